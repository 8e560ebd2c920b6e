internal import Database

/// A table of the read model with the columns that follow from the log.
struct ReadModelTable: Sendable {
    enum Kind: Sendable {
        case number
        case text
        case bytes
        /// SQLite has Django's texts, PostgreSQL a type.
        case moment
    }

    let name: String
    /// What the rows are ordered by: a number.
    let key: String
    let columns: [(name: String, kind: Kind)]

    /// A page of rows after a key. Left out is what is no projection: logins (`last_login`, tokens).
    static let all = [
        ReadModelTable(
            "myauth_user", key: "id", numbers: ["is_superuser", "is_staff", "is_active"],
            texts: ["password", "username", "first_name", "last_name", "email"], moments: ["date_joined"]),
        ReadModelTable(
            "django_etebase_userinfo", key: "owner_id", numbers: ["version"],
            bytes: ["salt", "loginPubkey", "encryptedContent", "pubkey"]),
        ReadModelTable("django_etebase_stoken", key: "id", texts: ["uid"]),
        ReadModelTable("django_etebase_collection", key: "id", numbers: ["owner_id", "main_item_id"], texts: ["uid"]),
        ReadModelTable(
            "django_etebase_collectionitem", key: "id", numbers: ["version", "collection_id"], texts: ["uid"],
            bytes: ["encryptionKey"]),
        ReadModelTable(
            "django_etebase_collectionitemrevision", key: "id", numbers: ["current", "deleted", "item_id", "stoken_id"],
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
    ]

    private init(
        _ name: String, key: String, numbers: [String] = [], texts: [String] = [], bytes: [String] = [], moments: [String] = []
    ) {
        self.name = name
        self.key = key
        columns =
            numbers.map { ($0, .number) } + texts.map { ($0, .text) } + bytes.map { ($0, .bytes) } + moments.map { ($0, .moment) }
    }

    /// The rows after a key, each as its key and its other values.
    func rows(after key: Int64, limit: Int, _ connection: any Connection) throws -> [(key: Int64, values: [Value])] {
        try connection.query(select, [.integer(key), .integer(Int64(limit))]) { row in
            let values = columns.enumerated().map { index, column -> Value in
                switch column.kind {
                case .number: .integer(orNull: row.integerOrNil(index + 1))
                case .text, .moment: .text(orNull: row.textOrNil(index + 1))
                case .bytes: .blob(orNull: row.blobOrNil(index + 1))
                }
            }
            return (row.integer(0), values)
        }
    }

    private var select: Statement {
        func text(_ moment: (String) -> String) -> String {
            let list = columns.map { $0.kind == .moment ? moment($0.name) : "\"\($0.name)\"" }
            return "SELECT \(([key] + list).joined(separator: ", ")) FROM \(name) WHERE \(key) > $1 ORDER BY \(key) LIMIT $2"
        }
        return Statement(
            sqlite: text { "\"\($0)\"" },
            postgres: text { "to_char(\"\($0)\" AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')" })
    }
}
