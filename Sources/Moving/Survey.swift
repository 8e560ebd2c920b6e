package import Contents
package import Database
internal import Domain

/// What a database of the original holds, before it is adopted.
package struct Survey: Sendable {
    /// How many of each there are, in words.
    package private(set) var counts: [(what: String, count: Int64)] = []
    /// What is unusual and is taken over all the same, in words.
    package private(set) var oddities: [String] = []
    /// Files of chunks that are missing, in words; they are taken over all the same.
    package private(set) var missingFiles: [String] = []
    /// What makes it impossible to take the database over, in words.
    package private(set) var faults: [String] = []

    /// How many rows of chunks were looked at, for whose contents there are files.
    private var lookedAt = 0
    private var missing = 0

    /// What there is to take over, in words: rows, and files of chunks that are there.
    package var words: String { "\(counts.reduce(0) { $0 + $1.count }) rows and \(lookedAt - missing) files of chunks" }

    private static let pageRows = 1000
    /// How many missing files are named.
    private static let namedFiles = 10

    /// Looks, and changes nothing.
    ///
    /// - Throws: `DatabaseFault` when a table or column is not there.
    package init(_ connection: any Connection, _ dialect: Dialect, chunks: FileContents) throws {
        faults = try Soundness.faults(connection, dialect)
        try connection.withWholeTables {
            for (what, table) in Self.tables {
                counts.append((what, try connection.first(Statement("SELECT count(*) FROM \(table)"), []) { $0.integer(0) } ?? 0))
            }
            for (question, words) in Self.questions {
                let found = try connection.first(Statement(question), []) { $0.integer(0) } ?? 0
                if found > 0 { oddities.append("\(found) \(words)") }
            }
        }
        try lookForFiles(connection, chunks)
    }

    /// Looks only whether files of chunks are missing, whose contents are not in the database either.
    ///
    /// - Throws: `DatabaseFault`.
    package init(filesOf connection: any Connection, in chunks: FileContents) throws { try lookForFiles(connection, chunks) }

    private mutating func lookForFiles(_ connection: any Connection, _ chunks: FileContents) throws {
        var last = Int64.min
        while true {
            let page = try connection.query(Self.selectFiles, [.integer(last), .integer(Int64(Self.pageRows))]) {
                ($0.integer(0), $0.text(1))
            }
            guard let end = page.last else { break }
            lookedAt += page.count
            for (_, path) in page where !chunks.hasFile(path) {
                missing += 1
                if missing <= Self.namedFiles { missingFiles.append("the file of a chunk is missing: \(path.visible)") }
            }
            last = end.0
        }
        if missing > Self.namedFiles { missingFiles.append("\(missing) files of chunks are missing in all") }
    }

    private static let selectFiles = Statement(
        #"SELECT id, "chunkFile" FROM django_etebase_collectionitemchunk WHERE id > CAST($1 AS bigint) ORDER BY id LIMIT $2"#)

    private static let tables = [
        ("users", "myauth_user"), ("login tokens", "token_auth_authtoken"), ("collections", "django_etebase_collection"),
        ("items", "django_etebase_collectionitem"), ("revisions", "django_etebase_collectionitemrevision"),
        ("chunks", "django_etebase_collectionitemchunk"), ("members", "django_etebase_collectionmember"),
        ("removed members", "django_etebase_collectionmemberremoved"), ("invitations", "django_etebase_collectioninvitation"),
        ("stokens", "django_etebase_stoken"),
    ]

    private static let questions = [
        (
            "SELECT count(*) FROM myauth_user WHERE id NOT IN (SELECT owner_id FROM django_etebase_userinfo)",
            "users have no keys: they have not signed up in an app yet"
        ),
        (
            """
            SELECT count(*) FROM (
                SELECT lower(email) FROM myauth_user WHERE email <> '' GROUP BY lower(email) HAVING count(*) > 1
            ) shared
            """, "email addresses are those of several users"
        ),
        (
            #"SELECT count(*) FROM django_etebase_collectionmember WHERE "collectionType_id" IS NULL"#,
            "memberships have no collection type"
        ),
        (
            "SELECT count(*) FROM django_etebase_collectionmember WHERE stoken_id IS NULL", "memberships have no stoken"
        ),
        (
            """
            SELECT count(*) FROM (
                SELECT lower(username) FROM myauth_user GROUP BY lower(username) HAVING count(*) > 1
            ) shared
            """, "user names differ from others only in their case, in which names are the same: some of these users cannot log in"
        ),
        (
            """
            SELECT count(*) FROM django_etebase_collection collection WHERE NOT EXISTS (
                SELECT 1 FROM django_etebase_collectionmember member
                WHERE  member.collection_id = collection.id AND member.user_id = collection.owner_id
            )
            """, "collections were left by their owners"
        ),
        (
            """
            SELECT count(*) FROM django_etebase_collectionitem item WHERE NOT EXISTS (
                SELECT 1 FROM django_etebase_collectionitemrevision revision WHERE revision.item_id = item.id
            )
            """, "items have no revision"
        ),
        (
            """
            SELECT count(*) FROM django_etebase_collectionitemchunk chunk WHERE NOT EXISTS (
                SELECT 1 FROM django_etebase_revisionchunkrelation used WHERE used.chunk_id = chunk.id
            )
            """, "chunks are used by no revision"
        ),
    ]
}
