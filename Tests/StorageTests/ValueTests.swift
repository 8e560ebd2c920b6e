import Database
import Domain
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

    @Test("in lists are what was given, whatever is in them", arguments: Engine.all)
    func lists(engine: Engine) async throws {
        let texts = [
            "", "abc", "\"", "\\", "a\"b\\c", "\u{1}\t\n\u{1f}\u{7f}", "é", "e\u{301}", "\u{1F469}\u{200D}\u{1F4BB}", "{,}", "null",
        ]
        let numbers: [Int64?] = [0, -1, nil, .max, .min]
        try await engine.place { place in
            let database = try await place.database()
            let pairs = Statement("SELECT wanted.first, wanted.second FROM PAIRS [$1 text, $2 text] AS wanted")
            let found = try await database.ask(pairs, [.texts(texts), .texts(texts.map { $0 == "abc" ? nil : $0 })]) { row in
                (ExactText(row.text(0)), row.textOrNil(1).map { ExactText($0) })
            }
            #expect(found.map(\.0) == texts.map { ExactText($0) })
            #expect(found.map(\.1) == texts.map { $0 == "abc" ? nil : ExactText($0) })
            let isOneOf = Statement("SELECT 1 WHERE $2 IN [$1 bigint]")
            for number in numbers.compactMap(\.self) {
                #expect(try await database.ask(isOneOf, [.integers(numbers), .integer(number)]) { $0.integer(0) } == [1])
            }
        }
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
