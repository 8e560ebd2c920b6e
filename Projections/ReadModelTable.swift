package import Database

/// A table of the read model with the columns that follow from the log.
package struct ReadModelTable: Sendable {
    private static let pageRows = 1000

    package let name: String
    /// What the rows are ordered by: a number.
    package let key: String
    package let columns: [(name: String, kind: SetStatement.Kind)]
    /// For a table with columns that do not follow from the log: one that is unique, and so must be out of the way while
    /// rows are changed in place.
    package let parked: String?
    private let insertion: SetStatement
    private let insertionOrUpdate: SetStatement

    /// All of them. Left out is what is no projection: logins (`last_login`, tokens).
    package static let all = [
        ReadModelTable(
            "myauth_user", key: "id", flags: ["is_superuser", "is_staff", "is_active"],
            texts: ["password", "username", "first_name", "last_name", "email"], moments: ["date_joined"], parked: "username"),
        ReadModelTable(
            "django_etebase_userinfo", key: "owner_id", numbers: ["version"],
            bytes: ["salt", "loginPubkey", "encryptedContent", "pubkey"]),
        ReadModelTable("django_etebase_stoken", key: "id", texts: ["uid"]),
        ReadModelTable("django_etebase_collection", key: "id", numbers: ["owner_id", "main_item_id"], texts: ["uid"]),
        ReadModelTable(
            "django_etebase_collectionitem", key: "id", numbers: ["version", "collection_id"], texts: ["uid"],
            bytes: ["encryptionKey"]),
        ReadModelTable(
            "django_etebase_collectionitemrevision", key: "id", flags: ["current", "deleted"], numbers: ["item_id", "stoken_id"],
            texts: ["uid"], bytes: ["meta"]),
        ReadModelTable(
            "django_etebase_collectionitemchunk", key: "id", numbers: ["collection_id"], texts: ["uid", "chunkFile"]),
        ReadModelTable("django_etebase_revisionchunkrelation", key: "id", numbers: ["chunk_id", "revision_id"]),
        ReadModelTable("django_etebase_collectiontype", key: "id", numbers: ["owner_id"], bytes: ["uid"]),
        ReadModelTable(
            "django_etebase_collectionmember", key: "id",
            numbers: ["collection_id", "user_id", "stoken_id", "accessLevel", "collectionType_id"], bytes: ["encryptionKey"]),
        ReadModelTable(
            "django_etebase_collectionmemberremoved", key: "id", numbers: ["collection_id", "user_id", "stoken_id"]),
        ReadModelTable(
            "django_etebase_collectioninvitation", key: "id", numbers: ["version", "fromMember_id", "user_id", "accessLevel"],
            texts: ["uid"], bytes: ["signedEncryptionKey"]),
        ReadModelTable("apus_collection", key: "id", numbers: ["revision_stoken", "member_stoken"]),
        ReadModelTable("apus_item", key: "id", numbers: ["collection_id", "stoken", "is_main"]),
        ReadModelTable("apus_usage", key: "id", numbers: ["items", "bytes"]),
        ReadModelTable("apus_chunk_size", key: "id", numbers: ["bytes"]),
    ]

    /// Those of them that are right where ``Counting`` is done.
    package static let counted: Set<String> = ["apus_usage", "apus_chunk_size"]  // names of ours

    private init(
        _ name: String, key: String, flags: [String] = [], numbers: [String] = [], texts: [String] = [], bytes: [String] = [],
        moments: [String] = [], parked: String? = nil
    ) {
        self.name = name
        self.key = key
        self.parked = parked
        let named: [(names: [String], kind: SetStatement.Kind)] = [
            (flags, .flag), (numbers, .number), (texts, .text), (bytes, .bytes), (moments, .moment),
        ]
        columns = named.flatMap { names, kind in names.map { ($0, kind) } }
        let changes = columns.map { "\"\($0.name)\" = excluded.\"\($0.name)\"" }.joined(separator: ", ")
        insertion = SetStatement(insertInto: name, columns: [(key, .number)] + columns)
        insertionOrUpdate = SetStatement(
            insertInto: name, columns: [(key, .number)] + columns, onConflict: "ON CONFLICT (\(key)) DO UPDATE SET \(changes)")
    }

    /// A row: its key and its other values, in the order of the columns.
    package typealias Line = (key: Int64, values: [Value])

    /// The rows after a key, by their keys.
    package func rows(after key: Int64, limit: Int, _ connection: any Connection) throws -> [Line] {
        let select = Statement("\(selectAll) WHERE \(self.key) > $1 ORDER BY \(self.key) LIMIT $2")
        return try connection.query(select, [.integer(key), .integer(Int64(limit))], line)
    }

    /// Goes through all rows, page by page. What happens to rows that were passed is not seen.
    package func eachPage(_ connection: any Connection, _ body: ([Line]) throws -> Void) throws {
        var last = Int64.min
        while true {
            let page = try rows(after: last, limit: Self.pageRows, connection)
            guard let end = page.last else { return }
            try body(page)
            last = end.key
        }
    }

    package func count(_ connection: any Connection) throws -> Int {
        try connection.first(Statement("SELECT count(*) FROM \(name)"), []) { Int($0.integer(0)) } ?? 0
    }

    /// Those rows that there are with these keys.
    package func rows(keys: [Int64], _ connection: any Connection) throws -> [Int64: [Value]] {
        let select = Statement("\(selectAll) WHERE \(key) IN [$1 bigint]")
        let found = try connection.query(select, [.integers(keys)], line)
        return Dictionary(uniqueKeysWithValues: found.map { ($0.key, $0.values) })
    }

    /// Those rows that a condition holds for, ordered by a column. The statement's parameters are numbers.
    package func rows(where condition: String, orderedBy column: String, _ values: [Value], _ connection: any Connection) throws -> [Line] {
        try connection.query(
            Statement("\(selectAll) WHERE \(condition) ORDER BY \(column)"), values, line)
    }

    package func insert(_ lines: [Line], _ connection: any Connection) throws {
        try connection.enqueue(insertion, rows: lines.map { [.integer($0.key)] + $0.values })
    }

    /// Inserts the rows, or changes those that have their keys. No two of them have the same key.
    package func upsert(_ lines: [Line], _ connection: any Connection) throws {
        try connection.enqueue(insertionOrUpdate, rows: lines.map { [.integer($0.key)] + $0.values })
    }

    package func update(_ line: Line, _ connection: any Connection) throws {
        let changes = zip(columns, columns.indices).map { "\"\($0.name)\" = \(place($1))" }.joined(separator: ", ")
        try connection.enqueue(
            Statement("UPDATE \(name) SET \(changes) WHERE \(key) = $1"), [.integer(line.key)] + line.values)
    }

    package func delete(keys: [Int64], _ connection: any Connection) throws {
        try connection.enqueue(Statement("DELETE FROM \(name) WHERE \(key) IN [$1 bigint]"), [.integers(keys)])
    }

    private func line(_ row: any Row) -> Line {
        let values = columns.enumerated().map { index, column -> Value in
            switch column.kind {
            case .number, .flag: .integer(orNull: row.integerOrNil(index + 1))
            case .text, .moment: .text(orNull: row.textOrNil(index + 1))
            case .bytes: .blob(orNull: row.blobOrNil(index + 1))
            }
        }
        return (row.integer(0), values)
    }

    private var selectAll: String {
        let names = columns.map { column in
            guard column.kind == .moment else { return "\"\(column.name)\"" }
            return "{sqlite: \"\(column.name)\"}{postgres: to_char(\"\(column.name)\" AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')}"
        }
        return "SELECT \(([key] + names).joined(separator: ", ")) FROM \(name)"
    }

    private func place(_ index: Int) -> String {
        let parameter = "$\(index + 2)"
        return columns[index].kind == .moment ? "\(parameter){postgres: ::timestamp AT TIME ZONE 'UTC'}" : parameter
    }
}
