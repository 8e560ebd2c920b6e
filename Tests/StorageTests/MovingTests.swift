import Domain
import EventLog
import Synchronization
import TestSupport
import Testing

@testable import Database

@Suite("While PostgreSQL moves", .enabled(if: Engine.isPostgresExpected, Engine.withoutPostgres), .timeLimit(.minutes(2)))
struct MovingTests {
    /// Longer than any test takes.
    private static let long = Duration.seconds(600)
    private static let one = Statement("SELECT 1")

    /// With one session, for which hardly anybody waits while there is a server.
    private func database(_ relay: Relay, patience: Duration = .milliseconds(200), moveLimit: Duration = long) -> PostgresDatabase {
        PostgresDatabase(url: relay.url, connections: 1, patience: patience, moveLimit: moveLimit)
    }

    private func ask(_ database: PostgresDatabase) async throws -> Int64? {
        try await database.ask(Self.one, []) { $0.integer(0) }.first
    }

    private func read(_ database: PostgresDatabase) async throws -> Int64? {
        try await database.read { try $0.first(Self.one, []) { $0.integer(0) } }
    }

    private func write(_ database: PostgresDatabase) async throws -> Int64? {
        try await database.write { try $0.first(Self.one, []) { $0.integer(0) } }
    }

    private func append(_ database: PostgresDatabase) async throws -> Int64? {
        try await database.atomically([(Self.one, [])]) { $0.integer(0) }
    }

    private var kinds: [@Sendable (PostgresDatabase) async throws -> Int64?] { [ask, read, write, append] }

    @Test("reads and writes wait for it, and do not lose patience with those before them") func waits() async throws {
        try await Relay.with { relay in
            // More than twelve take on a machine with much to do, and less than they wait.
            let database = database(relay, patience: .seconds(10))
            for kind in kinds { #expect(try await kind(database) == 1) }
            try await relay.cut()
            let told = Told()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for kind in kinds + kinds + kinds {
                    group.addTask {
                        let answer = try await kind(database)
                        #expect(answer == 1)
                        told.answered.withLock { $0 += 1 }
                    }
                }
                while !database.isMoving { try await Task.sleep(for: .milliseconds(1)) }
                try await Task.sleep(for: .seconds(11))
                #expect(told.answered.withLock { $0 } == 0)
                try await relay.mend()
                try await group.waitForAll()
            }
            #expect(!database.isMoving)
        }
    }

    @Test("for too long, all are told at once, until it is back; then another move is waited for") func longOutage() async throws {
        try await Relay.with { relay in
            let database = database(relay, moveLimit: .seconds(2))
            #expect(try await ask(database) == 1)
            try await relay.cut()
            await #expect(throws: DatabaseFault.self) { try await read(database) }
            #expect(!database.isMoving)
            // If each waited, the test would be over its time.
            for kind in kinds {
                for _ in 0..<50 { await #expect(throws: DatabaseFault.self) { _ = try await kind(database) } }
            }
            try await relay.mend()
            #expect(try await append(database) == 1)
            try await relay.cut()
            async let waiting = read(database)
            while !database.isMoving { try await Task.sleep(for: .milliseconds(1)) }
            try await relay.mend()
            #expect(try await waiting == 1)
        }
    }

    @Test("no more than a bound wait, and the others are told to come again") func bounded() async throws {
        let (limit, many) = (1024, 1100)
        try await Relay.with { relay in
            let database = database(relay, patience: Self.long)
            #expect(try await read(database) == 1)
            try await relay.cut()
            let told = Told()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<many {
                    group.addTask {
                        do {
                            _ = try await read(database)
                            told.answered.withLock { $0 += 1 }
                        } catch is DatabaseFault { told.refused.withLock { $0 += 1 } }
                    }
                }
                // One has the session, and tries to open it.
                while told.refused.withLock({ $0 }) < many - limit - 1 { try await Task.sleep(for: .milliseconds(1)) }
                try await relay.mend()
                try await group.waitForAll()
            }
            #expect(told.answered.withLock { $0 } == limit + 1)
        }
    }

    @Test("those who would rather know are told at once") func impatient() async throws {
        try await Relay.with { relay in
            let database = database(relay, moveLimit: .zero)
            #expect(try await read(database) == 1)
            try await relay.cut()
            for _ in 0..<50 { await #expect(throws: DatabaseFault.self) { try await read(database) } }
            #expect(!database.isMoving)
        }
    }

    @Test("an append that is lost with its session is in the log once", arguments: [Relay.Loss.answer, .question])
    func lostAppend(loss: Relay.Loss) async throws {
        try await Relay.with { relay in
            try await Engine.postgres.place(over: relay) { place in
                try await place.node().running { node in
                    let ada = try await node.user("ada")
                    try await node.create(notes, by: ada)
                    for number in 1...3 {
                        try await node.commit(OfferedItem(ItemUID("before-\(number)"), RevisionUID("before-\(number)")), by: ada)
                        relay.lose(loss, with: "ItemCreated")
                        let made = try await node.commit(OfferedItem(ItemUID("item-\(number)"), RevisionUID("item-\(number)")), by: ada)
                        #expect(relay.hasLost)
                        let log = try await node.expectSoundLog()
                        #expect(log.revisions.suffix(2).map(\.rawValue) == ["before-\(number)", "item-\(number)"])
                        #expect(made.map(\.position) == log.suffix(1).map(\.position))
                    }
                }
            }
        }
    }

    @Test("an append whose session lives on may still happen, and is answered with a fault") func unknownAppend() async throws {
        try await Relay.with { relay in
            try await Engine.postgres.place(over: relay) { place in
                try await place.node().running { node in
                    let ada = try await node.user("ada")
                    try await node.create(notes, by: ada)
                    try await node.commit(OfferedItem("before", "before"), by: ada)
                    relay.lose(.time, with: "ItemCreated")
                    let fault = await #expect(throws: DatabaseFault.self) { try await node.commit(OfferedItem("item", "item"), by: ada) }
                    guard case .unavailable? = fault?.kind else {
                        Issue.record("\(String(describing: fault))")
                        return
                    }
                    #expect(try await node.expectSoundLog().revisions.last == "before")
                }
            }
        }
    }

    private final class Told: Sendable {
        let answered = Mutex(0)
        let refused = Mutex(0)
    }
}
