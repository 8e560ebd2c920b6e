internal import Database

/// What a database on SQLite has: its tables with their columns, and its indexes. A backup has the shape of a new database, and
/// nothing of another: its names go into statements, and what it defines would run with them.
struct Shape {
    private struct Index: Hashable {  // names of ours
        let table: String
        let isUnique: Bool
        let isPartial: Bool
        /// Nil for an expression.
        let columns: [String?]
        /// What it was made by, where there are expressions.
        let script: String?
    }

    /// The columns of each table.
    private let tables: [String: Set<String>]
    private let indexes: [String: Index]

    /// The shape of a database of ours.
    init(of connection: any Connection) throws {
        var tables: [String: Set<String>] = [:]
        for object in try Self.objects(connection) where object.isTable {
            tables[object.name] = Set(try Self.columns(of: object.name, connection).map(\.name))
        }
        self.tables = tables
        indexes = try Self.indexes(connection)
    }

    /// Removes what other programs have made beside our tables: an adopted database may have some.
    func removeOthers(from connection: any Connection) throws {
        for object in try Self.objects(connection) where !knows(object) {
            try connection.run(script: "DROP \(object.kind.uppercased()) IF EXISTS \(Self.quoted(object.name))")
        }
        for (name, index) in try Self.indexes(connection) where indexes[name] != index {
            try connection.run(script: "DROP INDEX \(Self.quoted(name))")
        }
    }

    /// Makes sure that there is nothing but what a database of ours has, before anything else is asked of it.
    ///
    /// - Parameter more: tables that there are beside.
    /// - Throws: ``BackupFault`` that names what is too much.
    func requireNothingElse(in connection: any Connection, beside more: Set<String>) throws {
        for object in try Self.objects(connection) where !(object.isTable && more.contains(object.name)) && !knows(object) {
            throw Self.foreign("a \(object.kind)", object.name)
        }
        for table in try Self.objects(connection).map(\.name) {
            for column in try Self.columns(of: table, connection) {
                guard !column.isHidden, more.contains(table) || tables[table]?.contains(column.name) == true else {
                    throw Self.foreign("a column", "\(table).\(column.name)")
                }
            }
        }
        for (name, index) in try Self.indexes(connection) where indexes[name] != index { throw Self.foreign("an index", name) }
    }

    private func knows(_ object: Object) -> Bool { object.isTable && tables[object.name] != nil }

    private static func foreign(_ kind: String, _ name: String) -> BackupFault {
        let shown = String(name.unicodeScalars.prefix(longestShown).map { (" "..."~").contains($0) ? Character($0) : "?" })
        return BackupFault("the backup has \(kind) that no backup of apus has (\(shown)): nothing is restored")
    }

    private static let longestShown = 60

    // MARK: The catalogue

    private struct Object {
        let kind: String
        let name: String
        /// Whether it is a table whose rows lie in the file, and no view or module's.
        let isTable: Bool
    }

    private static func objects(_ connection: any Connection) throws -> [Object] {
        try connection.query(selectObjects, []) { row in Object(kind: row.text(0), name: row.text(1), isTable: row.flag(2)) }
    }

    private static func columns(of table: String, _ connection: any Connection) throws -> [(name: String, isHidden: Bool)] {
        try connection.query(selectColumns, [.text(table)]) { ($0.text(0), $0.flag(1)) }
    }

    private static func indexes(_ connection: any Connection) throws -> [String: Index] {
        var indexes: [String: Index] = [:]
        for (name, table, isUnique, isPartial, script) in try connection.query(
            selectIndexes, [], { ($0.text(0), $0.text(1), $0.flag(2), $0.flag(3), $0.text(4)) })
        {
            let columns = try connection.query(selectIndexColumns, [.text(name)]) { $0.textOrNil(0) }
            indexes[name] = Index(
                table: table, isUnique: isUnique, isPartial: isPartial, columns: columns, script: columns.contains(nil) ? script : nil)
        }
        return indexes
    }

    static func quoted(_ name: String) -> String { "\"" + name.replacing("\"", with: "\"\"") + "\"" }

    // Those that SQLite itself makes are named sqlite_…, which it lets nobody else do.
    private static let selectObjects = Statement(
        """
        SELECT type, name, CASE WHEN type = 'table' AND rootpage > 0 AND sql LIKE 'CREATE TABLE%' THEN 1 ELSE 0 END
        FROM   sqlite_master
        WHERE  type <> 'index' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
        ORDER  BY name
        """)

    private static let selectColumns = Statement("SELECT name, CASE WHEN hidden = 0 THEN 0 ELSE 1 END FROM pragma_table_xinfo($1)")

    private static let selectIndexes = Statement(
        """
        SELECT made.name, made.tbl_name, listed."unique", listed.partial, made.sql
        FROM   sqlite_master made
        JOIN   pragma_index_list(made.tbl_name) listed ON listed.name = made.name
        WHERE  made.type = 'index' AND made.sql IS NOT NULL
        ORDER  BY made.name
        """)

    private static let selectIndexColumns = Statement("SELECT name FROM pragma_index_info($1) ORDER BY seqno")
}
