internal import Database
internal import Sodium

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

    /// All of them. Left out is what is no projection: logins (`last_login`, tokens).
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

    /// What a table holds, in a few bytes.
    struct Digest: Hashable, Sendable {
        var rows = 0
        /// BLAKE2b over the digest so far and the next page of rows.
        var hash: [UInt8] = []
    }

    func digest(_ connection: any Connection) throws -> Digest {
        var digest = Digest()
        var key: Int64 = 0
        while true {
            let page = try rows(after: key, limit: Self.digestPage, connection)
            guard let last = page.last else { return digest }
            var bytes = digest.hash
            for row in page {
                bytes.append(integer: row.key)
                for value in row.values { bytes.append(value) }
            }
            digest = Digest(rows: digest.rows + page.count, hash: Sodium.blake2b(bytes))
            key = last.key
        }
    }

    /// Both databases are read in pages of the same size, so that the digests are made of the same pieces.
    private static let digestPage = 1000

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

extension [UInt8] {
    fileprivate mutating func append(integer: Int64) {
        for shift in stride(from: 56, through: 0, by: -8) { append(UInt8(truncatingIfNeeded: integer >> Int64(shift))) }
    }

    /// Appends a value behind its kind and length, so that no two rows give the same bytes.
    fileprivate mutating func append(_ value: Value) {
        switch value {
        case .null: append(0)
        case .integer(let number):
            append(1)
            append(integer: number)
        case .text(let text):
            append(2)
            append(integer: Int64(text.utf8.count))
            self += text.utf8
        case .blob(let bytes):
            append(3)
            append(integer: Int64(bytes.count))
            self += bytes
        case .texts, .integers, .blobs: preconditionFailure("a column holds one value")
        }
    }
}
