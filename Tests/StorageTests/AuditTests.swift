import Database
import Domain
import EventLog
import ReadModel
import TestSupport
import Testing

@Suite("Audits") struct AuditTests {
    private func entries(_ node: Node, of uid: CollectionUID = notes, pages limit: Int = 1000) async throws -> [AuditEntry] {
        var entries: [AuditEntry] = []
        while true {
            let page = try await node.snapshot { [entries] snapshot in
                try snapshot.audit(of: uid, after: entries.last?.head.position ?? .none, limit: limit)
            }
            #expect(page.elements.count <= limit)
            entries += page.elements
            if page.isDone { return entries }
        }
    }

    @Test("tell every kind of thing that happens in a collection, with names, oldest first", arguments: Engine.all)
    func whole(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            let found = try await entries(node)
            let text = found.prefix(16).map { "\($0.username ?? "-") \($0.action.rawValue) \($0.item?.rawValue ?? $0.member ?? "-")" }
            #expect(
                text == [
                    "ada collection_created notes", "ada member_joined ada", "ada item_created a", "ada item_created b",
                    "ada chunk_uploaded -", "ada item_changed a", "ada collection_changed notes", "ada item_deleted b",
                    "- item_restored b", "- item_restored a", "ada item_changed b", "ada item_created c", "ada item_deleted c",
                    "- item_restored a", "- item_restored b", "- item_restored c",
                ])
            let kinds = Set(found.map(\.action))
            #expect(
                kinds.isSuperset(of: [
                    .collectionRestored, .memberInvited, .memberJoined, .memberLevelChanged, .memberRemoved, .memberLeft,
                    .invitationRejected, .userReset,
                ]))
            #expect(found.map(\.head.position) == found.map(\.head.position).sorted())
            let level = try #require(found.first { $0.action == .memberLevelChanged })
            #expect(level.member == "ben" && level.level == .admin && level.username == "ada")
        }
    }

    @Test("give the same in pages of any size", arguments: Engine.all, [1, 3, 7])
    func pages(engine: Engine, limit: Int) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            #expect(try await entries(node, pages: limit).map(\.head) == entries(node).map(\.head))
        }
    }

    @Test("outlive the collection, whose owner was reset", arguments: Engine.all)
    func outlived(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            let found = try await entries(node, of: "tests")
            #expect(found.first?.action == .collectionCreated && found.last?.action == .userReset)
            let (known, unknown) = try await node.snapshot { (try $0.hasHistory(of: "tests"), try $0.hasHistory(of: "nothing")) }
            #expect(known && !unknown)
        }
    }

    @Test("of a user tell what was done to the account, and what the user did, also as a member of long ago", arguments: Engine.all)
    func user(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            let ben = try #require(try await node.snapshot { try $0.state(AccountNeeds(.name("ben"))) }.user)
            let found = try await node.snapshot { try $0.audit(at: $0.auditPositions(of: ben, at: Timestamp.always)) }
            let text = Set(found.map { "\($0.username ?? "-") \($0.action.rawValue) \($0.collection?.rawValue ?? $0.member ?? "-")" })
            #expect(
                text.isSuperset(of: [
                    "- user_created ben", "ada member_invited notes", "ben member_joined notes", "ada member_removed notes",
                    "ben member_left notes", "ben collection_created bens",
                ]), "\(text)")
            // The others are those who invited ben to their collections, and whom ben invited.
            let isConcerned = { (name: String?) in ["ben", "test_user1", "lost"].contains(name) || name?.hasPrefix("erased:") == true }
            #expect(found.allSatisfy { isConcerned($0.username) || isConcerned($0.member) })
            #expect(!text.contains("ada item_created notes"))
        }
    }

    @Test("keep to a range of time, both ends in it", arguments: Engine.all)
    func times(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            for second in 1...4 {
                try await node.meddle(
                    "UPDATE apus_event SET occurred_at = \(noon.rawValue + Int64(second) * 1_000_000) WHERE position = 3")
                let range = Timestamp(rawValue: noon.rawValue + 2_000_000)...Timestamp(rawValue: noon.rawValue + 3_000_000)
                let found = try await node.snapshot { try $0.audit(at: $0.auditPositions(of: notes, at: range)) }
                #expect(found.map(\.action) == ([2, 3].contains(second) ? [.memberJoined] : []))
                let positions = try await node.snapshot { try $0.auditPositions(of: ada, at: range) }
                #expect(positions.map(\.rawValue) == ([2, 3].contains(second) ? [3] : []))
            }
        }
    }

    @Test("have the client's address until the key of the user's stream is destroyed", arguments: Engine.all)
    func addresses(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            #expect(try await entries(node).map(\.address) == ["::1", "::1"])
            #expect(try await entries(node).map(\.session) == ["s1", "s1"])
            let columns = try await node.tables { $0 == "apus_event" }["apus_event"] ?? []
            #expect(!columns.contains { $0.contains("::1") }, "it is sealed")
            try await node.meddle("INSERT INTO apus_session (session, user_id, device, created_at) VALUES ('s1', 1, 'a phone', 0)")
            #expect(try await entries(node).map(\.device) == ["a phone", "a phone"])
            try await node.meddle("UPDATE apus_stream SET key = NULL WHERE name = 'user/1'")
            #expect(try await entries(node).map(\.address) == [nil, nil])
        }
    }
}
