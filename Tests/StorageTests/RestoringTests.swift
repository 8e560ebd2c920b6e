import Database
import Domain
import EventLog
import ReadModel
import TestSupport
import Testing

@Suite("Bringing back what was deleted") struct RestoringTests {
    /// Ada's collection, in which `a` was changed, and then `a` and `b` were deleted by one request.
    private func given(_ engine: Engine, _ body: (Node, UserID) async throws -> Void) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await node.commit(OfferedItem("a", "a-1", chunks: "k1"), OfferedItem("b", "b-1"), OfferedItem("c", "c-1"), by: ada)
            try await node.commit(OfferedItem("a", "a-2", chunks: "k2", "k1"), by: ada)
            try await node.commit(OfferedItem("a", "a-3", isDeleted: true), OfferedItem("b", "b-2", isDeleted: true), by: ada)
            try await body(node, ada)
        }
    }

    @Test("who has synced the deletion is told the items as they were, and the stoken moves", arguments: Engine.all)
    func told(engine: Engine) async throws {
        try await given(engine) { node, ada in
            let synced = try await node.readModel.snapshot { try $0.access(to: notes, by: ada).revisionStoken }
            let events = try await node.restore { try $0.history(of: notes).restorations() }
            let last = try #require(events.last?.position)
            try await node.snapshot { snapshot in
                let access = try snapshot.access(to: notes, by: ada)
                #expect(access.revisionStoken == last && last > synced)
                let page = try snapshot.items(of: access, after: synced, limit: 10, includesMain: true, .auto)
                #expect(page.elements.map(\.uid) == ["a", "b"] && page.isDone)
                #expect(page.elements.map(\.revision.uid) == ["a-2", "b-1"])
                #expect(page.elements.allSatisfy { !$0.revision.isDeleted })
                #expect(page.elements.first?.revision.chunks.map(\.uid) == ["k2", "k1"])
                #expect(page.elements.first?.revision.chunks.map(\.content) == [.bytes(content), .bytes(content)])
                #expect(page.elements.last?.changed == last)
                #expect(try snapshot.collection(notes, of: ada, .medium).stoken == snapshot.stoken(at: last))
                #expect(
                    try snapshot.revisions(of: "a", in: access, before: nil, limit: 9, .medium).elements.map(\.uid) == [
                        "a-3", "a-2", "a-1",
                    ])
            }
        }
    }

    @Test("the original finds it too: by its row's stoken, and as the only one that is current", arguments: Engine.all)
    func original(engine: Engine) async throws {
        try await given(engine) { node, _ in
            let events = try await node.restore { try $0.history(of: notes).restorations(of: "a") }
            let last = try #require(events.last?.position.rawValue)
            try await node.caughtUp()
            let rows = try await node.database.read { connection in
                try connection.query(Self.selectRevisions, []) { "\($0.text(0)) \($0.integer(1)) \($0.integerOrNil(2) ?? -1)" }
            }
            #expect(rows == ["a-1 4 -1", "a-2 \(last) 1", "a-3 8 -1"])
            let stokens = try await node.database.read { try $0.query(Self.selectStokens, [.integer(last)]) { $0.text(0) } }
            #expect(stokens.count == 1)
        }
    }

    private static let selectRevisions = Statement(
        "SELECT uid, stoken_id, current FROM django_etebase_collectionitemrevision WHERE uid LIKE 'a-%' ORDER BY uid")
    private static let selectStokens = Statement("SELECT uid FROM django_etebase_stoken WHERE id = $1")

    @Test("a later transaction must know the restored revision as the etag", arguments: Engine.all)
    func etag(engine: Engine) async throws {
        try await given(engine) { node, ada in
            try await node.restore { try $0.history(of: notes).restorations(of: "a") }
            func change(from etag: RevisionUID) -> CommitItems {
                let revision = OfferedItem("a", "a-4").revision
                return CommitItems(
                    [OfferedItem(uid: "a", version: 1, encryptionKey: nil, etag: etag, revision: revision)], by: ada, checksEtags: true)
            }
            await #expect(throws: Refusal.self) { try await node.commit(change(from: "a-3")) }
            #expect(try await node.commit(change(from: "a-2")).count == 1)
        }
    }

    @Test("what a client has written since somebody looked stays", arguments: Engine.all)
    func overtaken(engine: Engine) async throws {
        try await given(engine) { node, ada in
            let chosen = try await node.readModel.snapshot { try $0.history(of: notes).restorations() }
            try await node.commit(OfferedItem("b", "b-3"), by: ada)
            let before = try await node.log().count
            await #expect {
                try await node.restore { _ in chosen }
            } throws: { error in
                if case .itemsFailed = error as? Refusal { true } else { false }
            }
            #expect(try await node.log().count == before)
            try await node.restore { try $0.history(of: notes).restorations() }
            let etags = try await node.readModel.snapshot { try $0.state(CollectionNeeds(notes, items: ["a", "b"])).etags }
            #expect(etags["a"] == "a-2" && etags["b"] == "b-3")
        }
    }

    @Test("a collection comes back with its main item, to members who have seen it go", arguments: Engine.all)
    func collection(engine: Engine) async throws {
        try await given(engine) { node, ada in
            try await node.commit(OfferedItem("notes", "notes-2", isDeleted: true), by: ada)
            let synced = try await node.readModel.snapshot { try $0.access(to: notes, by: ada).revisionStoken }
            try await node.restore { try $0.history(of: notes).restorations(of: "notes") }
            try await node.snapshot { snapshot in
                let page = try snapshot.collections(of: ada, types: nil, after: synced, limit: 5, .auto)
                #expect(page.elements.map(\.item.revision.uid) == ["notes-1"])
                #expect(page.elements.first?.item.revision.isDeleted == false)
            }
        }
    }
}
