import Database
import Domain
import ReadModel
import TestSupport
import Testing

@testable import EventLog

@Suite("Rewriting the past") struct RedactionTests {
    /// Doing away with all revisions that are not current, as of now.
    private func pruning(_ node: Node) async throws -> Prepared<PruneRevisions> {
        try await node.readModel.snapshot { snapshot in
            let old = try snapshot.history(of: notes).revisions(notKeptBy: RetentionPolicy(newest: 1, since: nil))
            return try snapshot.prepare(try snapshot.pruning(of: old, in: notes).command)
        }
    }

    @Test("is given up, and nothing has changed, where somebody has written meanwhile", arguments: Engine.all)
    func writtenMeanwhile(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            let prepared = try await node.readModel.snapshot { try $0.prepare(EraseUser(username: "ada")) }
            try await node.commit(OfferedItem("a", "a-1"), by: ada)
            let before = try await node.tables()
            await #expect {
                try await node.door.commit(prepared, by: .operator, at: noon, key: sealKey)
            } throws: { error in
                if case .conflict = (error as? DatabaseFault)?.kind { true } else { false }
            }
            #expect(try await node.tables() == before)
            try await node.erase("ada")
            _ = try await node.expectSoundLog()
        }
    }

    @Test("takes all that clients encrypted and all names from the events, and from nobody else's", arguments: Engine.all)
    func nothingIsLeft(engine: Engine) async throws {
        try await engine.node { node in
            let secret = Array("secret".utf8)
            let secretKeys = UserKeys(salt: secret, loginPubkey: secret, pubkey: secret, encryptedContent: secret)
            let ada = try await node.user("secret-ada", keys: nil)
            let ben = try await node.user("ben")
            try await node.commit(CreateUser(username: "secret-ada", email: "", keys: secretKeys, passwordSalt: "", mayCreate: true))
            try await node.commit(
                ChangePassword(user: ada, loginPubkey: secret + [UInt8](repeating: 0, count: 26), encryptedContent: secret))
            @Sendable func item(_ uid: ItemUID, _ revision: RevisionUID) -> OfferedItem {
                OfferedItem(
                    uid: uid, version: 1, encryptionKey: secret, etag: nil,
                    revision: OfferedRevision(
                        uid: revision, meta: secret, isDeleted: false,
                        chunks: [OfferedChunk(uid: "k", content: StoredChunk(uid: "k", bytes: 6, digest: secret))]))
            }
            for uid: CollectionUID in [notes, "shared"] {
                try await node.commit(
                    CreateCollection(
                        author: ada, item: item(ItemUID(uid.rawValue), RevisionUID("\(uid)-1")), collectionType: secret,
                        collectionKey: secret), by: ada, contents: ["k": content])
            }
            try await node.commit(CommitItems([item("a", "a-1"), item("a", "a-2")], to: notes, by: ada))
            for (uid, invitee) in [(notes, ben), ("shared", ben)] as [(CollectionUID, UserID)] {
                try await node.commit(
                    SendInvitation(
                        collection: uid, author: ada, invitation: "i", version: 1, invitee: invitee, level: .admin,
                        signedEncryptionKey: secret), by: ada)
            }
            try await node.commit(
                AcceptInvitation(
                    collection: "shared", author: ben, invitation: "i", collectionType: [5], encryptionKey: secret), by: ben)
            let told = { (events: [RecordedEvent]) in events.map { String(describing: $0.event) } }
            let words = ["secret", String(describing: secret)]
            func holds(_ text: String) -> Bool { words.contains { text.contains($0) } }
            let before = try await node.log()
            #expect(told(before).count(where: holds) == before.count - 1, "all but ben's sign-up")
            try await node.erase("secret-ada")
            let after = try await node.log()
            // What is in the shared collection is ben's too: its first revision, his invitation, his key.
            #expect(after.filter { holds(String(describing: $0.event)) }.allSatisfy { $0.stream == .collection("shared") })
            #expect(told(after).count(where: holds) == 3)
            #expect(after.prefix(before.count).map(\.position) == before.map(\.position))
            #expect(after.prefix(before.count).map(\.streams) == before.map(\.streams))
            #expect(after.prefix(before.count).filter { $0.actor.user == ada }.allSatisfy { $0.actor.address == nil })
        }
    }

    @Test("keeps a content that has been named since somebody looked", arguments: Engine.all)
    func namedSince(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await node.commit(OfferedItem("a", "a-1", chunks: "k1", "k2"), by: ada)
            try await node.commit(OfferedItem("a", "a-2"), by: ada)
            let prepared = try await pruning(node)
            #expect(prepared.command.revisions.map(\.revision) == ["a-1"] && prepared.command.chunks == ["k1", "k2"])
            try await node.commit(OfferedItem("b", "b-1", chunks: "k2"), by: ada)
            let events = try await node.door.commit(prepared, by: .operator, at: noon, key: sealKey)
            guard case .revisionsPruned(let event) = try #require(events.last).event else { throw Refusal.userExists }
            #expect(event.chunks == ["k1"])
            let kept = try await node.tables { $0 == "apus_chunk" }
            #expect(try #require(kept["apus_chunk"]).count == 1)
        }
    }

    @Test("is refused where a revision has become current again since somebody looked", arguments: Engine.all)
    func currentAgain(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await node.commit(OfferedItem("a", "a-1"), OfferedItem("a", "a-2"), by: ada)
            let prepared = try await pruning(node)
            try await node.restore(["a": "a-1"])
            let before = try await node.tables()
            await #expect(throws: Refusal.doesNotExist(.revision)) {
                try await node.door.commit(prepared, by: .operator, at: noon, key: sealKey)
            }
            #expect(try await node.tables() == before)
        }
    }
}
