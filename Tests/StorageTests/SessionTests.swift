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
                unlessBehind { try sessions.users(of: [ExactText(token)], at: noon, snapshot)[ExactText(token)] ?? nobody },
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
                token = try await sessions.create(for: ada, device: nil, at: noon)
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
                let token = try await sessions.create(for: ada, device: nil, at: noon)
                for (isActive, wanted) in [(false, nobody), (true, ada)] {
                    try await node.commit(ChangeUserActivity(username: "ada", isActive: isActive))
                    #expect(try await told(token, sessions, node) == [wanted, wanted])
                    try await node.caughtUp()
                    #expect(try await told(token, sessions, node) == [wanted, wanted])
                }
            }
        }
    }

    private func tokens(of user: UserID, _ node: Node) async throws -> Set<String> {
        Set(
            try await node.database.read { connection in
                try connection.query(Statement("SELECT key FROM token_auth_authtoken WHERE user_id = $1"), [.integer(user.rawValue)]) {
                    $0.text(0)
                }
            })
    }

    @Test("are one at a time for what is signed once, and end for good", arguments: Engine.all)
    func loginAgain(engine: Engine) async throws {
        try await engine.node { node in
            let sessions = Sessions(database: node.database, lifetime: nil)
            let ada = try await node.user("ada")
            try await node.caughtUp()
            let seed = [UInt8](repeating: 7, count: 32)
            let token = try await sessions.logIn(ada, seed: seed, device: nil, at: noon)
            #expect(
                token?.utf8.count == 40
                    && token?.utf8.allSatisfy { ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7a) || ($0 >= 0x30 && $0 <= 0x39) } == true)
            let again = await withTaskGroup(of: String?.self) { group in
                for _ in 0..<8 { group.addTask { try? await sessions.logIn(ada, seed: seed, device: "other", at: noon) } }
                return await group.reduce(into: Set<String?>()) { $0.insert($1) }
            }
            #expect(again == [token])
            #expect(try await sessions.logIn(ada, seed: seed.dropLast() + [8], device: nil, at: noon) != token)
            #expect(try await tokens(of: ada, node).count == 2)
            var seen: Set<String> = []
            var last = token
            while let ended = last {
                #expect(seen.insert(ended).inserted, "what has ended does not come back")
                try await sessions.delete(token: ended)
                last = try await sessions.logIn(ada, seed: seed, device: nil, at: noon)
                #expect(try await tokens(of: ada, node).count == (last == nil ? 1 : 2))
            }
            #expect(seen.count == 8, "and not for ever others in its place")
        }
    }

    @Test("of a user end but for one, and nobody else's", arguments: Engine.all)
    func others(engine: Engine) async throws {
        try await engine.node { node in
            let sessions = Sessions(database: node.database, lifetime: nil)
            let (ada, eve) = (try await node.user("ada"), try await node.user("eve"))
            try await node.caughtUp()
            let mine = try await sessions.create(for: ada, device: nil, at: noon)
            for user in [ada, ada, eve] { _ = try await sessions.create(for: user, device: nil, at: noon) }
            #expect(try await Set(sessions.deleteOthers(of: ada, than: mine)).count == 2)
            #expect(try await tokens(of: ada, node) == [mine])
            #expect(try await tokens(of: eve, node).count == 1)
        }
    }

    @Test("are removed some at a time once they have expired, and not while they live", arguments: Engine.all)
    func expired(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.caughtUp()
            let short = Sessions(database: node.database, lifetime: .seconds(1))
            for _ in 0..<3 { _ = try await short.create(for: ada, device: nil, at: noon) }
            let kept = [
                try await Sessions(database: node.database, lifetime: nil).create(for: ada, device: nil, at: noon),
                try await Sessions(database: node.database, lifetime: .seconds(60)).create(for: ada, device: nil, at: noon),
            ]
            let later = Timestamp(rawValue: noon.rawValue + 2_000_000)
            #expect(try await !short.removeExpired(at: Timestamp(rawValue: noon.rawValue + 999_999)))
            #expect(try await tokens(of: ada, node).count == 5)
            #expect(try await !short.removeExpired(at: later))
            #expect(try await tokens(of: ada, node) == Set(kept))
            for _ in 0..<501 { _ = try await short.create(for: ada, device: nil, at: noon) }
            #expect(try await short.removeExpired(at: later), "there may be more")
            #expect(try await tokens(of: ada, node).count == 3)
        }
    }

    @Test("of a user are a thousand at most: those go that were not used for longest", arguments: Engine.all)
    func many(engine: Engine) async throws {
        try await engine.node { node in
            let (ada, eve) = (try await node.user("ada"), try await node.user("eve"))
            try await node.caughtUp()
            let sessions = Sessions(database: node.database, lifetime: .seconds(60))
            let first = try await sessions.create(for: ada, device: nil, at: noon)
            _ = try await sessions.create(for: eve, device: nil, at: noon)
            var second = ""
            for number in 1...999 {
                let token = try await sessions.create(for: ada, device: nil, at: Timestamp(rawValue: noon.rawValue + Int64(number)))
                if number == 1 { second = token }
            }
            try await sessions.renew(tokens: [first], at: Timestamp(rawValue: noon.rawValue + 2000))
            let newest = try await sessions.create(for: ada, device: nil, at: Timestamp(rawValue: noon.rawValue + 3000))
            let left = try await tokens(of: ada, node)
            #expect(left.count == 1000 && left.isSuperset(of: [first, newest]) && !left.contains(second))
            #expect(try await tokens(of: eve, node).count == 1)
        }
    }
}
