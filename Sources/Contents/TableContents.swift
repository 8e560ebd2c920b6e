package import Database
package import Domain
package import EventLog
package import Sodium

/// Contents in a table of the log's database, or of another read model's. They are written with the events that name them.
package struct TableContents: ContentStore {
    static let name = "apus_chunk"

    private let database: any Database
    /// Another one that has all that is looked for, where the first may be away or behind.
    private let otherwise: (any Database)?

    package init(_ database: any Database) { (self.database, otherwise) = (database, nil) }

    /// The same, read in another database as far as that has it.
    func reading(from database: any Database) -> TableContents { TableContents(database, otherwise: self.database) }

    private init(_ database: any Database, otherwise: any Database) { (self.database, self.otherwise) = (database, otherwise) }

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
        guard let otherwise else { return try await database.read { try Self.get(contents, $0) } }
        var found: [ContentReference: [UInt8]] = [:]
        // Whatever keeps it from answering, the other one answers.
        do { found = try await database.read { try Self.get(contents, $0) } } catch is DatabaseFault {}
        let missing = contents.filter { found[$0]?.count != $0.count }
        guard !missing.isEmpty else { return found }
        return found.merging(try await otherwise.read { try Self.get(missing, $0) }) { $1 }
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

    package func piece(_ range: Range<Int>, of content: ContentReference, _ hash: inout SHA256) async throws -> [UInt8]? {
        let values: [Value] = [
            .text(content.name.collection.rawValue), .text(content.name.chunk.rawValue), .integer(Int64(range.lowerBound + 1)),
            .integer(Int64(range.count)),
        ]
        @Sendable func read(_ connection: any Connection) throws -> [UInt8]? {
            try connection.first(Self.selectSlice, values) { $0.blob(0) }
        }
        guard let otherwise else { return try await database.read(read) }
        do { if let piece = try await database.read(read), piece.count == range.count { return piece } } catch is DatabaseFault {}
        return try await otherwise.read(read)
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

    /// Where contents lie, as their rows say now.
    func places(
        of names: [ContentName], _ reference: @escaping @Sendable (any Row) throws -> ContentReference?
    ) async throws -> [ContentName: ContentReference] {
        let wanted: [Value] = [.texts(names.map(\.collection.rawValue)), .texts(names.map(\.chunk.rawValue))]
        let found = try await database.read { connection in
            try connection.query(ContentStores.selectPlaces, wanted) { try reference($0) }.compactMap { $0 }
        }
        return Dictionary(found.map { ($0.name, $0) }) { first, _ in first }
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
            [
                .text(row.text(0)), .text(row.text(1)), .blob(row.blob(2)), .blob(orNull: row.blobOrNil(3)),
                .integer(orNull: row.integerOrNil(4)),
            ]
        }
        return copies
    }

    /// Writes copies, over others that may lie there that were pruned: a content is told by the newest event that names it.
    package static func write(_ copies: Copies, _ connection: any Connection) throws {
        try connection.enqueue(replace, rows: copies.rows)
    }

    // MARK: Contents in an S3 store

    /// What names an object, in the transaction of the events that name the chunk.
    static func write(naming digest: [UInt8], ofBytes count: Int, for chunk: ChunkUID, of collection: CollectionUID) -> Write {
        Write(
            insertNaming, [.text(collection.rawValue), .text(chunk.rawValue), .blob([]), .blob(digest), .integer(Int64(count))])
    }

    /// Keeps others from naming an object that is about to be removed, unless it is named.
    ///
    /// - Returns: false where it is named.
    static func mark(_ name: ObjectName, _ connection: any Connection) throws -> Bool {
        let (collection, chunk) = (Value.text(name.collection.rawValue), Value.text(name.chunk.rawValue))
        // A chunk that is named already is never stored again, so what lies elsewhere needs no mark.
        try connection.execute(insertMark, [collection, chunk, .blob(name.digest), .blob([])])
        let named = try connection.first(selectNaming, [collection, chunk]) { (digest: $0.blobOrNil(0), bytes: $0.integerOrNil(1)) }
        guard let named, named.digest == name.digest else { return true }
        return (named.bytes ?? 0) < 0
    }

    static func unmark(_ name: ObjectName, _ connection: any Connection) throws {
        try connection.execute(deleteMark, [.text(name.collection.rawValue), .text(name.chunk.rawValue), .blob(name.digest)])
    }

    /// Those of some objects that no row names.
    package static func unnamed(_ names: [ObjectName], _ connection: any Connection) throws -> Set<ObjectName> {
        let wanted: [Value] = [.texts(names.map(\.collection.rawValue)), .texts(names.map(\.chunk.rawValue))]
        let named = try connection.query(selectNamed, wanted) {
            ObjectName(ChunkUID($0.text(1)), in: CollectionUID($0.text(0)), digest: $0.blob(2))
        }
        return Set(names).subtracting(named)
    }

    /// Whether any content lies in an S3 store.
    package static func namesObjects(_ connection: any Connection) throws -> Bool {
        try connection.first(selectAnyNamed, []) { _ in true } ?? false
    }

    /// Says that a content lies in the S3 store now, unless what the row says has changed.
    func name(_ content: ContentReference, _ digest: [UInt8]) async throws -> Bool {
        let name: [Value] = [.text(content.name.collection.rawValue), .text(content.name.chunk.rawValue)]
        let values = name + [.blob(digest), .integer(Int64(content.count)), .blob([])]
        return try await database.write { connection in
            try connection.execute(content.place == .database ? Self.updateToObject : Self.insertMoved, values) > 0
        }
    }

    /// Takes a content into the table that lies elsewhere, unless what the row says has changed.
    func take(_ bytes: [UInt8], of content: ContentReference) async throws -> Bool {
        let values: [Value] = [.text(content.name.collection.rawValue), .text(content.name.chunk.rawValue), .blob(bytes)]
        return try await database.write { connection in
            guard let digest = content.digest else { return try connection.execute(Self.insertContent, values) > 0 }
            return try connection.execute(Self.updateToContent, values + [.blob(digest)]) > 0
        }
    }

    /// Takes a content into a copy of the table that was fetched from an S3 store.
    package static func take(_ bytes: [UInt8], of content: ContentReference, _ digest: [UInt8], _ connection: any Connection) throws {
        let name: [Value] = [.text(content.name.collection.rawValue), .text(content.name.chunk.rawValue)]
        try connection.execute(updateToContent, name + [.blob(bytes), .blob(digest)])
    }

    /// Lets go of a row whose content lies in its file now.
    func leave(_ content: ContentReference) async throws -> Bool {
        try await database.write { connection in
            try connection.execute(Self.delete, [.text(content.name.collection.rawValue), .texts([content.name.chunk.rawValue])]) > 0
        }
    }

    private static let insertNaming = SetStatement(
        insertInto: name, ["collection": .text, "uid": .text, "content": .bytes, "digest": .bytes, "bytes": .number])
    private static let insertMark = Statement(
        """
        INSERT INTO \(name) (collection, uid, content, digest, bytes)
        SELECT $1, $2, $4, $3, -1
        WHERE  NOT EXISTS (
                   SELECT 1
                   FROM   django_etebase_collection owner
                   JOIN   django_etebase_collectionitemchunk chunk ON chunk.collection_id = owner.id
                   WHERE  owner.uid = $1 AND chunk.uid = $2)
        ON CONFLICT DO NOTHING
        """)
    private static let selectNaming = Statement("SELECT digest, bytes FROM \(name) WHERE collection = $1 AND uid = $2")
    private static let deleteMark = Statement("DELETE FROM \(name) WHERE collection = $1 AND uid = $2 AND digest = $3 AND bytes < 0")
    private static let selectNamed = Statement(
        """
        SELECT stored.collection, stored.uid, stored.digest
        FROM   PAIRS [$1 text, $2 text] AS wanted
        THEN JOIN \(name) stored ON stored.collection = wanted.first AND stored.uid = wanted.second
        WHERE  stored.digest IS NOT NULL AND stored.bytes >= 0
        """)
    private static let selectAnyNamed = Statement("SELECT 1 FROM \(name) WHERE digest IS NOT NULL LIMIT 1")
    private static let updateToObject = Statement(
        "UPDATE \(name) SET content = $5, digest = $3, bytes = $4 WHERE collection = $1 AND uid = $2 AND digest IS NULL")
    private static let insertMoved = Statement(
        "INSERT INTO \(name) (collection, uid, content, digest, bytes) VALUES ($1, $2, $5, $3, $4) ON CONFLICT DO NOTHING")
    private static let insertContent = Statement(
        "INSERT INTO \(name) (collection, uid, content) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
    private static let updateToContent = Statement(
        "UPDATE \(name) SET content = $3, digest = NULL, bytes = NULL WHERE collection = $1 AND uid = $2 AND digest = $4")

    /// What joins the contents that lie in the table, as `stored.content`, to each `chunk` of a `collection`.
    package static let join = "JOIN \(name) stored ON stored.collection = collection.uid AND stored.uid = chunk.uid"

    /// Whether it is this table, whose rows are long.
    package static func isTable(_ name: String) -> Bool { name == self.name }

    private struct Key: Hashable {
        let collection: CollectionUID
        let chunk: ChunkUID
    }

    private static let insert = SetStatement(insertInto: name, ["collection": .text, "uid": .text, "content": .bytes])
    private static let replace = SetStatement(
        insertInto: name, ["collection": .text, "uid": .text, "content": .bytes, "digest": .bytes, "bytes": .number],
        onConflict: """
            ON CONFLICT (collection, uid) DO UPDATE SET content = excluded.content, digest = excluded.digest, bytes = excluded.bytes
            """)

    /// The contents of pairs: collections and uids come as two lists of the same length.
    package static let selectContents = Statement(
        """
        SELECT stored.collection, stored.uid, stored.content, stored.digest, stored.bytes
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
