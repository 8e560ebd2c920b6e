import Dispatch
import Synchronization
import Telemetry
import Testing

@testable import Database

@Suite("What is asked of PostgreSQL", .enabled(if: Engine.isPostgresExpected, Engine.withoutPostgres)) struct QuestionTests {
    @Test("and cannot all be sent takes no effect, and leaves no session behind in which nothing can be said")
    func notAllSent() async throws {
        try await Engine.postgres.place { place in
            let database = try #require(try await place.database() as? PostgresDatabase)
            try await database.write { try $0.run(script: "CREATE TABLE apus_value (number BIGINT)") }
            // libpq counts parameters in 16 bits.
            let tooMany = [Value](repeating: .integer(1), count: 70_000)
            let batch = [
                (statement: Statement("INSERT INTO apus_value VALUES ($1)"), values: [Value.integer(1)]),
                (statement: Statement("SELECT 1"), values: tooMany),
            ]
            // Of a transaction, and by themselves.
            let fault = try await #require(throws: DatabaseFault.self) {
                try await database.write { connection in
                    for (statement, values) in batch { try connection.enqueue(statement, values) }
                }
            }
            #expect(fault.kind.isUnavailable)
            let alone = try await #require(throws: DatabaseFault.self) {
                try await database.atomically(batch) { $0.integer(0) }
            }
            #expect(alone.kind.isUnavailable)
            #expect(try await database.write { try $0.first(Statement("SELECT count(*) FROM apus_value"), []) { $0.integer(0) } } == 0)
        }
    }

    @Test("and waits is bounded: who comes then is told to come again, and those who wait are answered", .timeLimit(.minutes(1)))
    func bounded() async throws {
        let address = PostgresAddress(url: try #require(Engine.postgresURL), role: .any)
        let connection = PostgresConnection(address, number: 0)
        let questions = PostgresQuestions(address, connections: [connection], as: .other, patience: .seconds(60))
        let told = Told()
        let end = DispatchSemaphore(value: 0)
        let (isHeld, hold) = AsyncStream.makeStream(of: Void.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            // However the test ends, nothing waits for the connection for ever.
            defer { end.signal() }
            group.addTask {
                try await connection.transact(.reading) { _ in
                    hold.finish()
                    end.wait()
                }
            }
            for await _ in isHeld {}
            for _ in 0..<Self.many {
                group.addTask {
                    do {
                        _ = try await questions.ask(Statement("SELECT 'there'::text"), []) { $0.text(0) }
                        told.answered.withLock { $0 += 1 }
                    } catch let fault as DatabaseFault where fault.kind.isUnavailable {
                        told.refused.withLock { $0 += 1 }
                    }
                }
            }
            while told.refused.withLock({ $0 }) < Self.many - Self.limit { try await Task.sleep(for: .milliseconds(1)) }
            end.signal()
            try await group.waitForAll()
        }
        #expect(told.answered.withLock { $0 } == Self.limit)
        #expect(told.refused.withLock { $0 } == Self.many - Self.limit)
    }

    private final class Told: Sendable {
        let answered = Mutex(0)
        let refused = Mutex(0)
    }

    /// How many may wait, and how many come.
    private static let limit = 1024
    private static let many = 1100
}

extension DatabaseFault.Kind {
    fileprivate var isUnavailable: Bool {
        if case .unavailable = self { true } else { false }
    }
}
