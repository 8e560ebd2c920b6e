import Domain
import EventLog
import TestSupport
import Testing

@testable import ReadModel

@Suite("Those who may listen to a collection") struct AudienceTests {
    private func members(_ node: Node) async throws -> Set<UserID>? {
        try await node.readModel.snapshot { try $0.audience(of: notes)?.members }
    }

    @Test("are its members as of the end of the log, whatever made them so", arguments: Engine.all)
    func asOfTheEnd(engine: Engine) async throws {
        try await engine.place { place in
            var (ada, ben, test) = (UserID(rawValue: 0), UserID(rawValue: 0), UserID(rawValue: 0))
            try await place.node().running { node in
                (ada, ben, test) = (try await node.user("ada"), try await node.user("ben"), try await node.user("test_user1"))
                try await node.create(notes, by: ada)
                try await node.share(notes, of: ada, with: test, .readWrite)
                try await node.caughtUp()
                #expect(try await members(node) == [ada, test])
            }
            // Nothing is projected from here on, but on the engine whose append projects.
            var node = try await place.node()
            node.projector = nil
            try await node.running { node in
                try await node.commit(ResetUser(username: "test_user1", keys: keys))
                #expect(try await members(node) == [ada], "who was reset")
                try await node.share(notes, of: ada, with: ben, .readOnly)
                #expect(try await members(node) == [ada, ben], "who joined")
                try await node.remove(ben, from: notes, by: ada)
                #expect(try await members(node) == [ada], "who was removed")
            }
        }
    }
}
