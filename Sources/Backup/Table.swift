internal import Contents
internal import Database
internal import Sodium

/// A table as it goes from one database into another: by the columns that both have.
///
/// What one engine has alone is a matter of that engine: where an epoch is written, who projects.
struct Table {
    struct Column {
        let name: String
        let kind: Kind
    }

    enum Kind {
        case number
        case text
        case bytes

        /// What SQLite calls values of the kind.
        var words: String {
            switch self {
            case .number: "'integer', 'null'"
            case .text: "'text', 'null'"
            case .bytes: "'blob', 'text', 'null'"
            }
        }

        /// What a column holds in SQLite, by its declaration.
        init(declared: String) {
            let declared = declared.uppercased()
            self = declared.contains("INT") || declared == "BOOL" ? .number : declared == "BLOB" ? .bytes : .text
        }
    }

    let name: String
    /// As SQLite has them.
    let columns: [Column]
    /// What the rows are ordered by; none where the table has one row.
    private let key: [String]

    /// The tables of an SQLite database of which the ``Shape`` is known, but for those that a backup adds.
    static func all(_ connection: any Connection) throws -> [Table] {
        try connection.query(selectNames, []) { $0.text(0) }.map { name in
            let columns = try connection.query(selectColumns, [.text(name)]) { row in
                (column: Column(name: row.text(0), kind: Kind(declared: row.text(1))), isKey: row.flag(2))
            }
            return Table(name: name, columns: columns.map(\.column), key: columns.filter(\.isKey).map(\.column.name))
        }
    }

    /// Reads every row of the table in SQLite.
    func rows(_ connection: any Connection, _ body: ([Value]) throws -> Void) throws {
        try requireKinds(connection)
        let order = key.isEmpty ? "" : " ORDER BY " + Self.list(key)
        _ = try connection.query(Statement("SELECT \(Self.list(columns.map(\.name))) FROM \(quotedName)\(order)"), []) {
            try body(values($0))
        }
    }

    private var quotedName: String { Shape.quoted(name) }

    /// SQLite keeps any value in any column, but where a table is strict.
    private func requireKinds(_ connection: any Connection) throws {
        let wrong = columns.map { "typeof(\(Shape.quoted($0.name))) NOT IN (\($0.kind.words))" }.joined(separator: " OR ")
        guard try connection.first(Statement("SELECT 1 FROM \(quotedName) WHERE \(wrong) LIMIT 1"), [], { $0.integer(0) }) == nil else {
            throw DatabaseFault(.corrupt, "a row of \(name) holds what is no value of its column")
        }
    }

    /// Reads every row of the table in PostgreSQL, in the caller's transaction, some at a time.
    func rowsOfPostgres(_ connection: any Connection, _ body: ([Value]) throws -> Void) throws {
        let types = try connection.query(Self.selectTypes, [.text(name)]) { ($0.text(0), $0.text(1)) }
        let typed = Dictionary(uniqueKeysWithValues: types)
        let wanted = try columns.map { column in
            guard let type = typed[column.name] else {
                throw DatabaseFault(.corrupt, "the table \(name) has no column \(column.name)")
            }
            return Self.expression(column, type)
        }
        let cursor = Shape.quoted("backup_of_\(name)")
        try connection.run(script: "DECLARE \(cursor) CURSOR FOR SELECT \(wanted.joined(separator: ", ")) FROM \(quotedName)")
        let fetch = Statement("FETCH \(TableContents.isTable(name) ? Self.chunks : Self.page) FROM \(cursor)")
        while true {
            let page = try connection.query(fetch, [], values)
            guard !page.isEmpty else { break }
            for row in page { try body(row) }
        }
        try connection.run(script: "CLOSE \(cursor)")
    }

    /// Writes a row, perhaps later.
    func insert(_ values: [Value], _ connection: any Connection) throws {
        let names = Self.list(columns.map(\.name))
        let places = columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        try connection.enqueue(Statement("INSERT INTO \(quotedName) (\(names)) VALUES (\(places))"), values)
    }

    /// How many rows there are in SQLite, and a hash over all of them in their order.
    func sum(_ connection: any Connection) throws -> (rows: Int64, digest: [UInt8]) {
        var count: Int64 = 0
        var digest = Sodium.blake2b(Array(name.utf8))
        try rows(connection) { row in
            count += 1
            digest = Sodium.blake2b(digest + row.flatMap(\.bytes))
        }
        return (count, digest)
    }

    private func values(_ row: any Row) -> [Value] {
        columns.indices.map { index in
            switch columns[index].kind {
            case .number: .integer(orNull: row.integerOrNil(index))
            case .text: .text(orNull: row.textOrNil(index))
            case .bytes: .blob(orNull: row.blobOrNil(index))
            }
        }
    }

    private static func list(_ names: [String]) -> String { names.map(Shape.quoted).joined(separator: ", ") }

    /// A column of PostgreSQL as SQLite has it; moments are texts there, as Django writes them.
    private static func expression(_ column: Column, _ type: String) -> String {
        let name = Shape.quoted(column.name)
        return switch (column.kind, type) {
        case (_, "timestamp with time zone"): "to_char(\(name) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
        case (.number, "boolean"): "\(name)::integer"
        case (.text, _): "\(name)::text"
        case (.number, _), (.bytes, _): name
        }
    }

    /// How many rows are held in memory; of contents fewer, for each may have 32 MiB.
    private static let page = 500
    private static let chunks = 4

    private static let selectNames = Statement(
        """
        SELECT name
        FROM   sqlite_master
        WHERE  type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'apus\\_backup%' ESCAPE '\\'
        ORDER  BY name
        """)

    private static let selectColumns = Statement("SELECT name, type, pk > 0 FROM pragma_table_info($1) ORDER BY cid")

    private static let selectTypes = Statement(
        """
        SELECT column_name::text, data_type::text
        FROM   information_schema.columns
        WHERE  table_schema = current_schema() AND table_name = $1
        """)
}

extension Value {
    /// The value in a form that no other value has.
    fileprivate var bytes: [UInt8] {
        switch self {
        case .null: [0]
        case .integer(let number): [1] + Array("\(number);".utf8)
        case .text(let text): [2] + Array("\(text.utf8.count);".utf8) + Array(text.utf8)
        case .blob(let bytes): [3] + Array("\(bytes.count);".utf8) + bytes
        case .texts, .integers, .blobs: preconditionFailure("a column holds no list")
        }
    }
}
