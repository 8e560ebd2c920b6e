/// A statement of SQL with parameters `$1`, `$2` …, prepared once by each connection.
///
/// It is written once for both engines. Where they differ it has marks:
///
/// | mark | stands for |
/// |---|---|
/// | `{sqlite: …}`, `{postgres: …}` | what only one of them is told; there are no braces in it |
/// | `IN [$2 text]`, `IN [$2 bigint]` | `IN` the elements of the second parameter, a list |
/// | `PAIRS [$1 bigint, $2 text]` | a table whose columns, `first` and `second`, have the elements of two parameters, as many of both |
/// | `THEN JOIN` | a join that looks up each row of what stands before it |
package struct Statement: Sendable {
    let sqlite: String
    let postgres: String

    package init(_ sql: String) {
        var (sqlite, postgres) = (sql, sql)
        if sql.utf8.contains(UInt8(ascii: "{")) {
            sqlite = sqlite.replacing(Self.ofSQLite) { $0.output.1 }.replacing(Self.ofPostgres) { _ in "" }
            postgres = postgres.replacing(Self.ofPostgres) { $0.output.1 }.replacing(Self.ofSQLite) { _ in "" }
            precondition(!sqlite.contains("{") && !postgres.contains("{"), "a statement has a mark that is none")
        }
        if sql.utf8.contains(UInt8(ascii: "[")) {
            sqlite = Self.withJSON(sqlite)
            postgres = Self.withArrays(postgres)
        }
        // SQLite would take `$1` for a name and number its parameters by their first appearance.
        let (dollar, questionMark) = (UInt8(ascii: "$"), UInt8(ascii: "?"))
        self.sqlite = String(decoding: sqlite.utf8.map { $0 == dollar ? questionMark : $0 }, as: UTF8.self)
        self.postgres = postgres
    }

    private static func withJSON(_ sql: String) -> String {
        sql.replacing(list) { "IN (SELECT value FROM json_each(\($0.output.1)))" }.replacing(pairs) { match in
            """
            (WITH first_list AS MATERIALIZED (SELECT key, value FROM json_each(\(match.output.1))),
                  second_list AS MATERIALIZED (SELECT key, value FROM json_each(\(match.output.3)))
             SELECT first_list.value AS first, second_list.value AS second
             FROM   first_list JOIN second_list ON second_list.key = first_list.key)
            """
        }.replacing("THEN JOIN", with: "CROSS JOIN")
    }

    private static func withArrays(_ sql: String) -> String {
        sql.replacing(list) { "= ANY(\($0.output.1)::\($0.output.2)[])" }.replacing(pairs) { match in
            let (one, first, other, second) = (match.output.1, match.output.2, match.output.3, match.output.4)
            return "(SELECT first, second FROM unnest(\(one)::\(first)[], \(other)::\(second)[]) AS pairs (first, second))"
        }.replacing("THEN JOIN", with: "JOIN")
    }

    private static var ofSQLite: Regex<(Substring, Substring)> { /\{sqlite: ?([^{}]*)\}/ }
    private static var ofPostgres: Regex<(Substring, Substring)> { /\{postgres: ?([^{}]*)\}/ }
    private static var list: Regex<(Substring, Substring, Substring)> { /IN \[(\$[0-9]+) (text|bigint)\]/ }
    private static var pairs: Regex<(Substring, Substring, Substring, Substring, Substring)> {
        /PAIRS \[(\$[0-9]+) (text|bigint), (\$[0-9]+) (text|bigint)\]/
    }
}
