import Database
import Domain
import EventLog
import TestSupport
import Testing

@testable import ReadModel

@Suite("A reset account") struct ResetTests {
    @Test("has neither keys nor sessions nor collections, and others keep what is shared", arguments: Engine.all)
    func emptied(engine: Engine) async throws {
        try await engine.node { node in
            let (ada, ben, eve) = (try await node.user("ada"), try await node.user("ben"), try await node.user("eve"))
            let sessions = Sessions(database: node.database, lifetime: nil)
            try await node.caughtUp()
            let tokens = [
                try await sessions.create(for: ada, device: nil, at: noon), try await sessions.create(for: ben, device: nil, at: noon),
            ]
            try await node.create("own", by: ada)
            try await node.commit(OfferedItem("x", "x-1", chunks: "k1"), to: "own", by: ada)
            try await node.create("team", by: ada)
            try await node.share("team", of: ada, with: ben, .readWrite)
            try await node.create(notes, by: eve)
            try await node.share(notes, of: eve, with: ada, .readWrite)
            let events = try await node.reset("Ada").map(\.event)
            #expect(events.last == .userReset(.init(user: ada, keys: nil, collections: ["own"])))
            let (account, uids, members) = try await node.snapshot { snapshot in
                let members = try ["own", "team", notes].map { uid in
                    try snapshot.state(CollectionNeeds(uid)).members.keys.sorted { $0.rawValue < $1.rawValue }
                }
                return (try snapshot.account(ada), try snapshot.state(ErasureNeeds(CanonicalName("ada"))).collections.map(\.uid), members)
            }
            #expect(account?.keys == nil && account?.isActive == true)
            #expect(uids == ["team"], "which it owns, and others have")
            #expect(members == [[], [ben], [eve]])
            let found = try await node.snapshot { snapshot in try tokens.map { try sessions.session(token: $0, at: noon, snapshot)?.user } }
            #expect(found == [nil, ben])
            #expect(try await node.user("ada") != ada, "the event of an initialization")
            let keys = try await node.snapshot { try $0.account(ada)?.keys }
            #expect(keys != nil)
        }
    }

    @Test("that is erased later leaves nothing of what it had before in the history", arguments: Engine.all)
    func erased(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create("own", by: ada)
            try await node.commit(OfferedItem("x", "x-1", chunks: "k1"), to: "own", by: ada)
            try await node.reset("ada")
            try await node.caughtUp()
            try await node.erase("ada")
            let metas = try await node.log().compactMap { $0.event.made?.revision.meta }
            #expect(metas.count == 2 && metas.allSatisfy(\.isEmpty))
        }
    }

    @Test("is one that has keys", arguments: Engine.all)
    func refused(engine: Engine) async throws {
        try await engine.node { node in
            _ = try await node.user("ada", keys: nil)
            await #expect(throws: Refusal.accountHasNoKeys) { try await node.reset("ada") }
            await #expect(throws: Refusal.doesNotExist(.user)) { try await node.reset("nobody") }
            _ = try await node.user("ben")
            try await node.erase("ben")
            await #expect(throws: Refusal.doesNotExist(.user)) { try await node.reset("ben") }
        }
    }
}
