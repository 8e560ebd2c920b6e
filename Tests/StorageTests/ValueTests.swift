import Database
import Testing

@Suite("Values") struct ValueTests {
    private static let insert = SetStatement(insertInto: "apus_value", ["number": .number, "name": .text, "bytes": .bytes, "flag": .flag])

    /// Inserts rows into a table of their own.
    private static func insert(_ rows: [[Value]], _ engine: Engine) async throws -> Int64? {
        try await engine.place { place in
            try await place.database().write { connection in
                let bytes = engine == .sqlite ? "BLOB" : "bytea"
                try connection.run(script: "CREATE TABLE apus_value (number BIGINT, name TEXT, bytes \(bytes), flag BOOLEAN)")
                try connection.enqueue(insert, rows: rows)
                return try connection.first(Statement("SELECT count(*) FROM apus_value WHERE number IS NULL"), []) { $0.integer(0) }
            }
        }
    }

    @Test("of a set are what their columns take, or null", arguments: Engine.all)
    func right(engine: Engine) async throws {
        let rows: [[Value]] = [[.integer(1), .text("a"), .blob([1]), .flag(true)], [.null, .null, .null, .null]]
        #expect(try await Self.insert(rows, engine) == 1)
    }

    @Test("of another kind than their column stop the program, on SQLite")
    func wrongOnSQLite() async {
        await #expect(processExitsWith: .failure) { _ = try await ValueTests.insert(ValueTests.wrong, .sqlite) }
    }

    @Test(
        "of another kind than their column stop the program, on PostgreSQL",
        .enabled(if: Engine.isPostgresExpected, Engine.withoutPostgres))
    func wrongOnPostgres() async {
        await #expect(processExitsWith: .failure) { _ = try await ValueTests.insert(ValueTests.wrong, .postgres) }
    }

    private static let wrong: [[Value]] = [[.text("1"), .text("a"), .blob([1]), .flag(true)]]

    @Test(
        "of a text are no number when they are read, on PostgreSQL either",
        .enabled(if: Engine.isPostgresExpected, Engine.withoutPostgres))
    func readAsNumber() async {
        await #expect(processExitsWith: .failure) {
            try await Engine.postgres.place { place in
                _ = try await place.database().ask(Statement("SELECT 'ab'::text"), []) { $0.integer(0) }
            }
        }
    }
}
