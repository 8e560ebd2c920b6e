/// A statement about a set of rows. PostgreSQL runs it once, with the columns as arrays; SQLite, where a statement costs no
/// round trip, runs it for each row.
package struct SetStatement: Sendable {
    /// What a column holds, as PostgreSQL's arrays need to know it.
    package enum Kind: Sendable {
        case number
        case text
        case bytes
        /// ``Value/flag(_:)`` or null.
        case flag
        /// A time of UTC as text, which is what it is in SQLite.
        case moment
    }

    let each: Statement
    let whole: Statement
    let kinds: [Kind]

    /// Inserts the rows.
    ///
    /// - Parameter conflict: what to do with those that are there, as `ON CONFLICT … DO …`; then no two rows of a set may be
    ///   in each other's way.
    package init(insertInto table: String, _ columns: KeyValuePairs<String, Kind>, onConflict conflict: String = "") {
        self.init(insertInto: table, columns: columns.map { ($0.key, $0.value) }, onConflict: conflict)
    }

    /// Inserts the rows.
    ///
    /// - Parameter conflict: what to do with those that are there, as `ON CONFLICT … DO …`; then no two rows of a set may be
    ///   in each other's way.
    package init(insertInto table: String, columns: [(name: String, kind: Kind)], onConflict conflict: String = "") {
        kinds = columns.map(\.kind)
        let names = columns.map { "\"\($0.name)\"" }.joined(separator: ", ")
        let parameters = (1...columns.count).map { "$\($0)" }.joined(separator: ", ")
        let values = columns.enumerated().map { index, column in
            switch column.kind {
            case .flag: "value\(index + 1) <> 0"
            case .moment: "value\(index + 1)::timestamp AT TIME ZONE 'UTC'"
            case .number, .text, .bytes: "value\(index + 1)"
            }
        }.joined(separator: ", ")
        each = Statement("INSERT INTO \(table) (\(names)) VALUES (\(parameters)) \(conflict)")
        whole = Statement("INSERT INTO \(table) (\(names)) SELECT \(values) FROM \(Self.rows(kinds)) \(conflict)")
    }

    /// Sets columns in the rows with given keys, which are numbers: each row of the set is a key and the new values.
    package init(update table: String, key: String, set columns: KeyValuePairs<String, Kind>) {
        kinds = [.number] + columns.map(\.value)
        func assignments(_ name: String) -> String {
            columns.enumerated().map { "\($1.key) = \(name)\($0 + 2)" }.joined(separator: ", ")
        }
        each = Statement("UPDATE \(table) SET \(assignments("$")) WHERE \(key) = $1")
        whole = Statement("UPDATE \(table) SET \(assignments("value")) FROM \(Self.rows(kinds)) WHERE \(key) = value1")
    }

    /// Does the same to the rows of each key: each row of the set is a key.
    package init(update table: String, set assignment: String, key: String, where condition: String) {
        kinds = [.number]
        each = Statement("UPDATE \(table) SET \(assignment) WHERE \(key) = $1 AND \(condition)")
        whole = Statement("UPDATE \(table) SET \(assignment) FROM \(Self.rows(kinds)) WHERE \(key) = value1 AND \(condition)")
    }

    private static func rows(_ kinds: [Kind]) -> String {
        let arrays = kinds.enumerated().map { index, kind in
            switch kind {
            case .number, .flag: "$\(index + 1)::bigint[]"
            case .text, .moment: "$\(index + 1)::text[]"
            case .bytes: "$\(index + 1)::bytea[]"
            }
        }
        let values = (1...kinds.count).map { "value\($0)" }
        return "unnest(\(arrays.joined(separator: ", "))) AS rows (\(values.joined(separator: ", ")))"
    }

    /// What PostgreSQL runs for rows of several statements: each statement once, in the order of its first row.
    package static func gathered(_ rows: [(statement: SetStatement, row: [Value])]) -> [(statement: Statement, values: [Value])] {
        var sets: [(statement: SetStatement, rows: [[Value]])] = []
        var places: [String: Int] = [:]
        for (statement, row) in rows {
            let place = places[statement.whole.postgres] ?? sets.count
            places[statement.whole.postgres] = place
            if place == sets.count { sets.append((statement, [])) }
            sets[place].rows.append(row)
        }
        return sets.map { ($0.statement.whole, $0.statement.columns(of: $0.rows)) }
    }

    /// The columns of `rows`, each as one value.
    func columns(of rows: [[Value]]) -> [Value] {
        for row in rows { check(row) }
        return kinds.enumerated().map { index, kind in
            switch kind {
            case .number, .flag: .integers(rows.map { if case .integer(let number) = $0[index] { number } else { nil } })
            case .text, .moment: .texts(rows.map { if case .text(let text) = $0[index] { text } else { nil } })
            case .bytes: .blobs(rows.map { if case .blob(let bytes) = $0[index] { bytes } else { nil } })
            }
        }
    }

    /// Makes sure that a row has a value of its kind, or null, in each column. Another one is a bug, of which one engine would make a
    /// null and the other what it was not meant to be.
    func check(_ row: [Value]) {
        precondition(row.count == kinds.count, "a row of a set has \(row.count) values for \(kinds.count) columns")
        for (index, (kind, value)) in zip(kinds, row).enumerated() where !kind.takes(value) {
            preconditionFailure("column \(index + 1) of a set takes a \(kind), and was given \(value.kind)")
        }
    }
}

extension SetStatement.Kind {
    fileprivate func takes(_ value: Value) -> Bool {
        switch (self, value) {
        case (_, .null), (.number, .integer), (.text, .text), (.moment, .text), (.bytes, .blob): true
        case (.flag, .integer(let number)): number == 0 || number == 1
        case (.number, _), (.text, _), (.moment, _), (.bytes, _), (.flag, _): false
        }
    }
}

extension Value {
    /// What it is, without saying it.
    fileprivate var kind: String {
        switch self {
        case .null: "null"
        case .integer: "a number"
        case .text: "a text"
        case .blob: "bytes"
        case .texts, .integers, .blobs: "a list"
        }
    }
}
