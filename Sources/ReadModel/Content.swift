package import Contents
internal import Database
package import Domain

/// How much of an item's content is wanted: `prefetch` in the protocol.
package enum Prefetch: String, Sendable {
    /// With the contents of chunks.
    case auto
    /// Chunks by name only.
    case medium
}

/// Bytes that were not read yet: where they lie, and how many they are.
package struct StoredBytes: Hashable, Sendable {
    /// A column that may hold many bytes.
    enum Column: Hashable, Sendable {
        case meta
        case itemKey
        case collectionKey
        case collectionType
        case invitationKey
        case publicKey
    }

    enum Source: Hashable, Sendable {
        /// Of a chunk.
        case content(ContentReference)
        /// A column of the row with a number.
        case column(Column, of: Int64)
    }

    let source: Source
    package let count: Int

    /// Whether the snapshot that names them has them too.
    fileprivate var isInSnapshot: Bool {
        switch source {
        case .content(let content): content.place == .database
        case .column: true
        }
    }
}

extension StoredBytes {
    init(_ content: ContentReference) { self.init(source: .content(content), count: content.count) }
}

/// Bytes of an answer: at hand, or still where they lie because there are many of them.
package enum Content: Hashable, Sendable {
    case bytes([UInt8])
    case stored(StoredBytes)

    package var count: Int {
        switch self {
        case .bytes(let bytes): bytes.count
        case .stored(let stored): stored.count
        }
    }
}

/// A chunk of a revision.
package struct ChunkContent: Sendable {
    package let uid: String
    /// Nil where only the name is told: because only names were asked for, or because the content was told so often that it would
    /// not fit any more.
    package internal(set) var content: Content?

    init(uid: String, content: Content?) {
        self.uid = uid
        self.content = content
    }

    /// A chunk of which only the name is told.
    package init(named uid: String) { self.init(uid: uid, content: nil) }
}

/// A revision as it is served.
package struct RevisionContent: Sendable {
    let id: Int64
    package let uid: String
    package internal(set) var meta: Content
    package let isDeleted: Bool
    package internal(set) var chunks: [ChunkContent] = []
    /// How many chunks it names that are not listed here, for there are too many of them (``ReadModel/mentions(of:after:_:)``).
    package internal(set) var unlistedChunks = 0
}

/// An item with its current revision, as it is served.
package struct ItemContent: Sendable {
    package let uid: String
    package let version: Int64
    package internal(set) var encryptionKey: Content?
    /// Where the item last changed.
    package let changed: Position
    package internal(set) var revision: RevisionContent
}

extension StoredBytes.Column {
    /// What is no longer than this is read with its row: rows are read in numbers that have a limit.
    static let smallBytes = 4096

    /// The column in a statement, as two: the bytes when they are few, and how many they are.
    static func selected(_ column: String) -> String {
        "CASE WHEN length(\(column)) <= \(smallBytes) THEN \(column) END, length(\(column))"
    }

    private var table: (name: String, column: String, key: String) {
        switch self {
        case .meta: ("django_etebase_collectionitemrevision", "meta", "id")
        case .itemKey: ("django_etebase_collectionitem", "\"encryptionKey\"", "id")
        case .collectionKey: ("django_etebase_collectionmember", "\"encryptionKey\"", "id")
        case .collectionType: ("django_etebase_collectiontype", "uid", "id")
        case .invitationKey: ("django_etebase_collectioninvitation", "\"signedEncryptionKey\"", "id")
        case .publicKey: ("django_etebase_userinfo", "pubkey", "owner_id")
        }
    }

    var selectSlice: Statement {
        Statement("SELECT substr(\(table.column), $2, $3) FROM \(table.name) WHERE \(table.key) = $1")
    }

    var selectWhole: Statement {
        Statement("SELECT \(table.key), \(table.column) FROM \(table.name) WHERE \(table.key) IN [$1 bigint]")
    }
}

extension Row {
    /// What ``StoredBytes/Column/selected(_:)`` has selected as the columns from this one on; nil where it is null.
    func content(_ column: Int, _ name: StoredBytes.Column, of id: Int64) -> Content? {
        if let bytes = blobOrNil(column) { return .bytes(bytes) }
        return integerOrNil(column + 1).map { .stored(StoredBytes(source: .column(name, of: id), count: Int($0))) }
    }
}

extension Snapshot {
    /// The content of a chunk of a collection; nil when there is no such chunk.
    package func chunk(_ uid: ChunkUID, in collection: CollectionAccess) throws -> Content? {
        let found = try connection.first(Self.selectChunk, [.integer(collection.id), .text(uid.rawValue)]) { try content($0, from: 0) }
        guard case .stored(let stored)? = found, stored.count <= bounds.inlineBytes, stored.isInSnapshot else { return found }
        return try read([stored])[stored].map { .bytes($0) }
    }

    private static let selectChunk = Statement(
        """
        SELECT \(ContentStores.columns)
        FROM   django_etebase_collectionitemchunk chunk
        JOIN   django_etebase_collection collection ON collection.id = $1
        \(ContentStores.join())
        WHERE  chunk.uid = $2 AND chunk.collection_id + 0 = $1
        """)

    /// Where the content lies that a row names with `ContentStores.columns`.
    func content(_ row: any Row, from column: Int) throws -> Content {
        guard let reference = try contents.reference(row, from: column) else { throw Self.missingContent }
        return .stored(StoredBytes(reference))
    }

    static let missingContent = DatabaseFault(.corrupt, "a chunk is named whose content is not stored")

    /// The elements with those of their contents that the snapshot has: the others are fetched afterwards.
    func inlined<Element: PageElement>(_ elements: [Element]) throws -> [Element] {
        let stored = elements.stored.filter(\.isInSnapshot)
        return stored.isEmpty ? elements : elements.with(try read(stored))
    }

    /// Reads what lies in the database.
    ///
    /// - Throws: `DatabaseFault` where something is not there any more, or has another length.
    fileprivate func read(_ wanted: Set<StoredBytes>) throws -> [StoredBytes: [UInt8]] {
        var found: [StoredBytes: [UInt8]] = [:]
        var rows: [ContentReference] = []
        var columns: [StoredBytes.Column: [Int64: StoredBytes]] = [:]
        for stored in wanted {
            switch stored.source {
            case .content(let content): rows.append(content)
            case .column(let column, let id): columns[column, default: [:]][id] = stored
            }
        }
        for (content, bytes) in try TableContents.get(rows, connection) { found[StoredBytes(content)] = bytes }
        for (column, wanted) in columns {
            let values = try connection.query(column.selectWhole, [.integers(Array(wanted.keys))]) { ($0.integer(0), $0.blob(1)) }
            for (id, bytes) in values { wanted[id].map { found[$0] = bytes } }
        }
        guard wanted.allSatisfy({ found[$0]?.count == $0.count }) else { throw Self.missingContent }
        return found
    }

    /// Reads so many bytes of a column.
    fileprivate func read(_ column: StoredBytes.Column, of id: Int64, from start: Int, count: Int) throws -> [UInt8] {
        let piece = try connection.first(
            column.selectSlice, [.integer(id), .integer(Int64(start + 1)), .integer(Int64(count))]
        ) { $0.blob(0) }
        guard let piece, piece.count == count else { throw Self.missingContent }
        return piece
    }
}

extension ReadModel {
    /// Reads what an answer has left where it lies, whole.
    ///
    /// - Throws: `DatabaseFault` where something is not there any more: what was erased meanwhile is not told.
    package func read(_ stored: [StoredBytes]) async throws -> [StoredBytes: [UInt8]] {
        let near = Set(stored.filter(\.isInSnapshot))
        var found = near.isEmpty ? [:] : try await answers { try $0.read(near) }
        let far = Set(stored).subtracting(near).compactMap { stored in
            if case .content(let content) = stored.source { content } else { nil }
        }
        guard !far.isEmpty else { return found }
        let fetched = try await leftContents.get(far)
        for content in far {
            guard let bytes = fetched[content], bytes.count == content.count else { throw Snapshot.missingContent }
            found[StoredBytes(content)] = bytes
        }
        return found
    }

    /// Reads what an answer has left where it lies, some bytes at a time.
    package func reading(_ stored: StoredBytes, pieceBytes: Int) -> StoredReading {
        switch stored.source {
        case .content(let content): StoredReading(source: .content(leftContents.reading(content, pieceBytes: pieceBytes)))
        case .column(let column, let id):
            StoredReading(source: .column(column, of: id, stored.count, start: 0, pieceBytes: pieceBytes, self))
        }
    }

    /// A part of a column; it has so many bytes.
    fileprivate func piece(_ column: StoredBytes.Column, of id: Int64, from start: Int, count: Int) async throws -> [UInt8] {
        try await answers { try $0.read(column, of: id, from: start, count: count) }
    }

    /// The file that bytes lie in, all of it; nil where they do not lie in one of their own below the folder of all chunks.
    package func file(of stored: StoredBytes) async throws -> SentFile? {
        guard case .content(let content) = stored.source else { return nil }
        return try await leftContents.sent(content)
    }

    /// Path and query with which another program gets bytes from the S3 store, all of them; nil where they do not lie there.
    ///
    /// - Parameter method: GET or HEAD, of which they are good for one.
    package func object(of stored: StoredBytes, to method: String) -> String? {
        guard case .content(let content) = stored.source else { return nil }
        return leftContents.sentObject(content, to: method)
    }

    /// The items with all their contents at hand.
    ///
    /// - Throws: as ``read(_:)`` does.
    package func completed(_ items: [ItemContent]) async throws -> [ItemContent] {
        let stored = items.stored
        return stored.isEmpty ? items : items.with(try await read(Array(stored)))
    }
}

/// Bytes that are read piece by piece from where an answer has left them.
package struct StoredReading: Sendable {
    fileprivate enum Source: Sendable {
        case content(ContentReading)
        case column(StoredBytes.Column, of: Int64, Int, start: Int, pieceBytes: Int, ReadModel)
    }

    fileprivate var source: Source

    /// The next piece; nil at the end.
    ///
    /// - Throws: as ``ReadModel/read(_:)`` does; not all of it is given then.
    package mutating func next() async throws -> [UInt8]? {
        switch source {
        case .content(var reading):
            let piece = try await reading.next()
            source = .content(reading)
            return piece
        case .column(let column, let id, let count, let start, let pieceBytes, let readModel):
            guard start < count else { return nil }
            let piece = try await readModel.piece(column, of: id, from: start, count: min(pieceBytes, count - start))
            source = .column(column, of: id, count, start: start + piece.count, pieceBytes: pieceBytes, readModel)
            return piece
        }
    }
}
