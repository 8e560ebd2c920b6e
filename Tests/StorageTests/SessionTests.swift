import Database
import Domain
import TestSupport
import Testing

@testable import ReadModel

@Suite("Sessions") struct SessionTests {
    /// What requests are told of a token's user, and what sockets are; nil where they wait for the tables.
    private func told(_ token: String, _ sessions: Sessions, _ node: Node) async throws -> [UserID?] {
        try await node.readModel.snapshot { snapshot in
            try [
                unlessBehind {
                    try sessions.session(token: token, at: noon, snapshot).flatMap { $0.isActive ? $0.user : nil } ?? nobody
                },
                unlessBehind { try sessions.users(of: [token], at: noon, snapshot)[token] ?? nobody },
            ]
        }
    }

    private let nobody = UserID(rawValue: -1)

    private func unlessBehind(_ body: () throws -> UserID) throws -> UserID? {
        do { return try body() } catch is Behind { return nil }
    }

    @Test("wait for their account where it is not in the tables yet, in requests and sockets alike", arguments: Engine.projectingLater)
    func notThereYet(engine: Engine) async throws {
        try await engine.place { place in
            var (ada, token) = (nobody, "")
            let sessions = Sessions(database: try await place.database(), lifetime: nil)
            try await place.node().running { node in
                ada = try await node.user("ada")
                try await node.caughtUp()
                token = try await sessions.create(for: ada, device: nil, isLogin: true, at: noon)
                #expect(try await told(token, sessions, node) == [ada, ada])
            }
            try await place.database().write { connection in
                try connection.run(
                    script: """
                        SET LOCAL session_replication_role = replica;
                        DELETE FROM django_etebase_userinfo;
                        DELETE FROM myauth_user;
                        UPDATE apus_projection SET position = 0
                        """)
            }
            #expect(try await told(token, sessions, place.node()) == [nil, nil])
            try await place.node().running { node in
                try await node.caughtUp()
                #expect(try await told(token, sessions, node) == [ada, ada])
            }
        }
    }

    @Test("are of users who are active as of the end of the log, in requests and sockets alike", arguments: Engine.projectingLater)
    func activity(engine: Engine) async throws {
        try await engine.place { place in
            let sessions = Sessions(database: try await place.database(), lifetime: nil)
            try await place.node().running { node in
                let ada = try await node.user("ada")
                try await node.caughtUp()
                let token = try await sessions.create(for: ada, device: nil, isLogin: true, at: noon)
                for (isActive, wanted) in [(false, nobody), (true, ada)] {
                    try await node.submit(user: "ada") { state throws(Refusal) in
                        try decide(ChangeUserActivity(isActive: isActive), state)
                    }
                    #expect(try await told(token, sessions, node) == [wanted, wanted])
                    try await node.caughtUp()
                    #expect(try await told(token, sessions, node) == [wanted, wanted])
                }
            }
        }
    }
}
