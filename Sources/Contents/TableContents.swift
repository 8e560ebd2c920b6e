package import Database
package import Domain
package import EventLog
internal import Sodium

/// Contents in a table of the log's database, or of another read model's. They are written with the events that name them.
package struct TableContents: ContentStore {
    static let name = "apus_chunk"

    private let database: any Database

    package init(_ database: any Database) { self.database = database }

    package var place: ContentPlace { .database }
    package var isBeforeAppend: Bool { false }

    package func put(
        _ contents: [ChunkUID: [UInt8]], of collection: CollectionUID, ownedBy owner: UserID
    ) async throws -> [ChunkUID: Write] {
        Self.writes(contents, of: collection)
    }

    /// What stores contents, in the transaction of the events that name them.
    static func writes(_ contents: [ChunkUID: [UInt8]], of collection: CollectionUID) -> [ChunkUID: Write] {
        Dictionary(
            uniqueKeysWithValues: contents.map { chunk, content in
                (chunk, Write(insert, [.text(collection.rawValue), .text(chunk.rawValue), .blob(content)]))
            })
    }

    package func get(_ contents: [ContentReference]) async throws -> [ContentReference: [UInt8]] {
        try await database.read { try Self.get(contents, $0) }
    }

    /// The contents, in a snapshot that is there already.
    package static func get(_ contents: [ContentReference], _ connection: any Connection) throws -> [ContentReference: [UInt8]] {
        guard !contents.isEmpty else { return [:] }
        let wanted = Dictionary(grouping: contents) { Key(collection: $0.name.collection, chunk: $0.name.chunk) }
        var found: [ContentReference: [UInt8]] = [:]
        let keys = Array(wanted.keys)
        let rows = try connection.query(
            selectContents, [.texts(keys.map(\.collection.rawValue)), .texts(keys.map(\.chunk.rawValue))]
        ) { row in (Key(collection: CollectionUID(row.text(0)), chunk: ChunkUID(row.text(1))), row.blob(2)) }
        for (key, content) in rows { for reference in wanted[key] ?? [] { found[reference] = content } }
        return found
    }

    package func get(_ content: ContentReference, from start: Int, count: Int) async throws -> [UInt8]? {
        let values: [Value] = [
            .text(content.name.collection.rawValue), .text(content.name.chunk.rawValue), .integer(Int64(start + 1)),
            .integer(Int64(count)),
        ]
        return try await database.read { try $0.first(Self.selectSlice, values) { $0.blob(0) } }
    }

    package func list(
        of collections: Set<CollectionUID>?, before time: Timestamp, _ body: ([HeldContent]) async throws -> Void
    ) async throws {
        var last = Key(collection: CollectionUID(""), chunk: ChunkUID(""))
        while true {
            let after: [Value] = [.text(last.collection.rawValue), .text(last.chunk.rawValue), .integer(Int64(pageContents))]
            let of = collections.map { [Value.texts($0.map(\.rawValue))] }
            let page = try await database.read { connection in
                try connection.query(of == nil ? Self.selectPage : Self.selectPageOf, after + (of ?? [])) { row in
                    (key: Key(collection: CollectionUID(row.text(0)), chunk: ChunkUID(row.text(1))), bytes: Int(row.integer(2)))
                }
            }
            guard let end = page.last?.key else { return }
            last = end
            try await body(page.map { HeldContent(key: .chunk($0.key.chunk, of: $0.key.collection), bytes: $0.bytes) })
        }
    }

    package func remove(_ content: HeldContent, before time: Timestamp) async throws -> Bool {
        guard case .chunk(let chunk, let collection) = content.key else { return false }
        return try await database.write { connection in
            try connection.execute(Self.delete, [.text(collection.rawValue), .texts([chunk.rawValue])]) > 0
        }
    }

    // MARK: What is done in transactions of others

    /// Deletes contents of a collection.
    package static func delete(_ chunks: Set<ChunkUID>, of collection: CollectionUID, _ connection: any Connection) throws {
        try connection.enqueue(delete, [.text(collection.rawValue), .texts(chunks.map(\.rawValue))])
    }

    /// Deletes all contents of collections.
    package static func delete(allOf collections: [CollectionUID], _ connection: any Connection) throws {
        try connection.enqueue(deleteAll, [.texts(collections.map(\.rawValue))])
    }

    /// Deletes those of some contents that no row names, once the rows are there.
    package static func deleteUnnamed(_ chunks: Set<ChunkUID>, of collection: CollectionUID, _ connection: any Connection) throws {
        try connection.enqueue(deleteUnnamed, [.text(collection.rawValue), .texts(chunks.map(\.rawValue))])
    }

    /// Contents as they are copied into the table of another database.
    package struct Copies: Sendable {
        fileprivate var rows: [[Value]] = []
        package init() {}
    }

    /// Reads those of some contents that lie in the table.
    package static func copies(_ wanted: [CollectionUID: Set<ChunkUID>], _ connection: any Connection) throws -> Copies {
        let pairs = wanted.flatMap { collection, chunks in chunks.map { (collection.rawValue, $0.rawValue) } }
        guard !pairs.isEmpty else { return Copies() }
        var copies = Copies()
        copies.rows = try connection.query(selectContents, [.texts(pairs.map(\.0)), .texts(pairs.map(\.1))]) { row in
            [.text(row.text(0)), .text(row.text(1)), .blob(row.blob(2))]
        }
        return copies
    }

    /// Writes copies, over others that may lie there that were pruned: a content is told by the newest event that names it.
    package static func write(_ copies: Copies, _ connection: any Connection) throws {
        try connection.enqueue(replace, rows: copies.rows)
    }

    /// What joins the contents that lie in the table, as `stored.content`, to each `chunk` of a `collection`.
    package static let join = "JOIN \(name) stored ON stored.collection = collection.uid AND stored.uid = chunk.uid"

    /// Whether it is this table, whose rows are long.
    package static func isTable(_ name: String) -> Bool { name == self.name }

    private struct Key: Hashable {
        let collection: CollectionUID
        let chunk: ChunkUID
    }

    private static let columns: KeyValuePairs<String, SetStatement.Kind> = ["collection": .text, "uid": .text, "content": .bytes]
    private static let insert = SetStatement(insertInto: name, columns)
    private static let replace = SetStatement(
        insertInto: name, columns, onConflict: "ON CONFLICT (collection, uid) DO UPDATE SET content = excluded.content")

    /// The contents of pairs: collections and uids come as two lists of the same length.
    package static let selectContents = Statement(
        """
        SELECT stored.collection, stored.uid, stored.content
        FROM   PAIRS [$1 text, $2 text] AS wanted
        THEN JOIN \(name) stored ON stored.collection = wanted.first AND stored.uid = wanted.second
        """)

    private static let selectSlice = Statement("SELECT substr(content, $3, $4) FROM \(name) WHERE collection = $1 AND uid = $2")

    private static func selectPage(_ condition: String) -> Statement {
        Statement(
            """
            SELECT collection, uid, length(content)
            FROM   \(name)
            WHERE  (collection, uid) > ($1, $2) AND \(condition)
            ORDER  BY collection, uid
            LIMIT  $3
            """)
    }

    private static let selectPage = selectPage("TRUE")
    private static let selectPageOf = selectPage("collection IN [$4 text]")

    private static let delete = Statement("DELETE FROM \(name) WHERE collection = $1 AND uid IN [$2 text]")
    private static let deleteAll = Statement("DELETE FROM \(name) WHERE collection IN [$1 text]")
    private static let deleteUnnamed = Statement(
        """
        DELETE FROM \(name)
        WHERE  collection = $1 AND uid IN [$2 text]
        AND    NOT EXISTS (
                   SELECT 1
                   FROM   django_etebase_collection owner
                   JOIN   django_etebase_collectionitemchunk chunk ON chunk.collection_id = owner.id
                   WHERE  owner.uid = \(name).collection AND chunk.uid = \(name).uid)
        """)
}

extension StoredChunk {
    /// What is recorded of a content.
    package init(uid: ChunkUID, content: [UInt8]) {
        self.init(uid: uid, bytes: content.count, digest: Sodium.blake2b(content, length: 16))
    }
}
