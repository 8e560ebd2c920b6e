internal import Database
internal import Domain
internal import Projections

/// What both servers take for granted of the original's tables, whoever wrote them. On PostgreSQL and in whole databases the
/// engine sees to most of it; a database that was put together by hand, or half copied, may have lost that.
enum Soundness {
    /// What does not hold, in words; empty when all is well.
    ///
    /// - Throws: ``DatabaseFault`` when a table lacks a column.
    static func faults(_ connection: any Connection, _ dialect: Dialect) throws -> [String] {
        try lookForColumns(connection)
        return try connection.withWholeTables {
            let questions = (dialect == .sqlite ? wrongValues + cutValues : []) + repetitions + references.map(\.question) + rules
            return try questions.compactMap { question in
                let found = try connection.first(Statement(question.sql), []) { $0.integer(0) } ?? 0
                return found > 0 ? "\(found) \(question.words)" : nil
            }
        }
    }

    /// A question that counts what is wrong, and what it counts.
    fileprivate typealias Question = (sql: String, words: String)

    private static let tables = AdoptedRecord.Kind.allCases.map { ReadModelTable.of($0) }

    // MARK: Columns and what is in them

    private static func lookForColumns(_ connection: any Connection) throws {
        for (name, columns) in tables.map({ ($0.name, [$0.key] + $0.columns.map(\.name)) }) + tokens {
            let found = Set(try connection.query(selectColumns, [.text(name)]) { $0.text(0) })
            if let missing = columns.first(where: { !found.contains($0) }) {
                throw DatabaseFault(.corrupt, "the database of the EteSync server is not whole: \(name) lacks the column \(missing)")
            }
        }
    }

    private static let tokens = [("token_auth_authtoken", ["key", "created", "expiry", "user_id"])]

    private static let selectColumns = Statement(
        """
        {sqlite: SELECT name FROM pragma_table_info($1)}
        {postgres:
            SELECT column_name::text
            FROM   information_schema.columns
            WHERE  table_schema = current_schema() AND table_name = $1
        }
        """)

    /// SQLite takes any value for any column.
    private static let wrongValues: [Question] = tables.map { table in
        let wrong = table.columns.map { column in
            let null = nullable.contains(column.name) ? ", 'null'" : ""
            let type =
                switch column.kind {
                case .number, .flag: "integer"
                case .text, .moment: "text"
                case .bytes: "blob"
                }
            return "typeof(\"\(column.name)\") NOT IN ('\(type)'\(null))"
        }
        return (
            "SELECT count(*) FROM \(table.name) WHERE \(wrong.joined(separator: " OR "))",
            "rows of \(table.name) have what is no value of their columns"
        )
    }

    /// SQLite can keep a NUL in a text, and gives what stands before it: two uids would become one.
    private static let cutValues: [Question] = tables.compactMap { table in
        let texts = table.columns.filter { $0.kind == .text }.map { "instr(CAST(\"\($0.name)\" AS BLOB), x'00') > 0" }
        guard !texts.isEmpty else { return nil }
        return (
            "SELECT count(*) FROM \(table.name) WHERE \(texts.joined(separator: " OR "))",
            "rows of \(table.name) have a text with a NUL in it"
        )
    }

    private static let nullable: Set = ["current", "encryptionKey", "stoken_id", "collectionType_id"]

    // MARK: Keys

    /// What may stand in a table once.
    private static let repetitions: [Question] = [
        ("myauth_user", "id"), ("myauth_user", "username"), ("django_etebase_userinfo", "owner_id"),
        ("django_etebase_stoken", "id"), ("django_etebase_stoken", "uid"),
        ("django_etebase_collectiontype", "id"), ("django_etebase_collectiontype", "uid"),
        ("django_etebase_collection", "id"), ("django_etebase_collection", "uid"),
        ("django_etebase_collectionitem", "id"), ("django_etebase_collectionitem", "collection_id, uid"),
        ("django_etebase_collectionitemrevision", "id"), ("django_etebase_collectionitemrevision", "uid"),
        ("django_etebase_collectionitemrevision", "stoken_id"),
        ("django_etebase_collectionitemchunk", "id"), ("django_etebase_collectionitemchunk", "collection_id, uid"),
        ("django_etebase_revisionchunkrelation", "id"),
        ("django_etebase_collectionmember", "id"), ("django_etebase_collectionmember", "collection_id, user_id"),
        ("django_etebase_collectionmember", "stoken_id"),
        ("django_etebase_collectionmemberremoved", "id"), ("django_etebase_collectionmemberremoved", "collection_id, user_id"),
        ("django_etebase_collectionmemberremoved", "stoken_id"),
        ("django_etebase_collectioninvitation", "id"), ("django_etebase_collectioninvitation", "uid"),
    ].map { table, columns in
        let condition = nullable.contains(columns) ? "WHERE \(columns) IS NOT NULL" : ""
        let sql = """
            SELECT count(*) FROM (SELECT 1 FROM \(table) \(condition) GROUP BY \(columns) HAVING count(*) > 1) repeated
            """
        return (sql, "values of \(columns) stand in several rows of \(table)")
    }

    /// A column whose values are keys of another table.
    struct Reference {
        let table, column, target: String
        var isOptional = false

        fileprivate var question: Question {
            let sql = """
                SELECT count(*) FROM \(table) referring
                WHERE  NOT EXISTS (SELECT 1 FROM \(target) target WHERE target.id = referring."\(column)")
                \(isOptional ? "AND referring.\"\(column)\" IS NOT NULL" : "")
                """
            return (sql, "rows of \(table) refer to no row of \(target) (\(column))")
        }
    }

    static let references = [
        Reference(table: "django_etebase_userinfo", column: "owner_id", target: "myauth_user"),
        Reference(table: "token_auth_authtoken", column: "user_id", target: "myauth_user"),
        Reference(table: "django_etebase_collectiontype", column: "owner_id", target: "myauth_user"),
        Reference(table: "django_etebase_collection", column: "owner_id", target: "myauth_user"),
        Reference(table: "django_etebase_collection", column: "main_item_id", target: "django_etebase_collectionitem"),
        Reference(table: "django_etebase_collectionitem", column: "collection_id", target: "django_etebase_collection"),
        Reference(table: "django_etebase_collectionitemrevision", column: "item_id", target: "django_etebase_collectionitem"),
        Reference(table: "django_etebase_collectionitemrevision", column: "stoken_id", target: "django_etebase_stoken"),
        Reference(table: "django_etebase_collectionitemchunk", column: "collection_id", target: "django_etebase_collection"),
        Reference(table: "django_etebase_revisionchunkrelation", column: "chunk_id", target: "django_etebase_collectionitemchunk"),
        Reference(
            table: "django_etebase_revisionchunkrelation", column: "revision_id", target: "django_etebase_collectionitemrevision"),
        Reference(table: "django_etebase_collectionmember", column: "collection_id", target: "django_etebase_collection"),
        Reference(table: "django_etebase_collectionmember", column: "user_id", target: "myauth_user"),
        Reference(
            table: "django_etebase_collectionmember", column: "stoken_id", target: "django_etebase_stoken", isOptional: true),
        Reference(
            table: "django_etebase_collectionmember", column: "collectionType_id", target: "django_etebase_collectiontype",
            isOptional: true),
        Reference(table: "django_etebase_collectionmemberremoved", column: "collection_id", target: "django_etebase_collection"),
        Reference(table: "django_etebase_collectionmemberremoved", column: "user_id", target: "myauth_user"),
        Reference(
            table: "django_etebase_collectionmemberremoved", column: "stoken_id", target: "django_etebase_stoken", isOptional: true),
        Reference(table: "django_etebase_collectioninvitation", column: "fromMember_id", target: "django_etebase_collectionmember"),
        Reference(table: "django_etebase_collectioninvitation", column: "user_id", target: "myauth_user"),
    ]

    // MARK: Rules of the protocol

    private static let rules: [Question] = [
        (
            """
            SELECT count(*) FROM (
                SELECT item_id FROM django_etebase_collectionitemrevision
                GROUP BY item_id HAVING sum(CASE WHEN current = TRUE THEN 1 ELSE 0 END) <> 1
            ) items
            """, "items have revisions, and not one that is the current one"
        ),
        (
            "SELECT count(*) FROM django_etebase_collectionitemrevision WHERE current = FALSE",
            "old revisions are marked with false, not null"
        ),
        (
            """
            SELECT count(*) FROM django_etebase_collection collection
            JOIN   django_etebase_collectionitem item ON item.id = collection.main_item_id
            WHERE  item.uid <> collection.uid OR item.collection_id <> collection.id
            """, "collections have a main item that is not theirs"
        ),
    ]
}
