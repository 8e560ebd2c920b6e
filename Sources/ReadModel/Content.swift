internal import Chunks
internal import Database
public import Domain

/// How much of an item's content is wanted: `prefetch` in the protocol.
public enum Prefetch: String, Sendable {
    /// With the contents of chunks.
    case auto
    /// Chunks by name only.
    case medium
}

/// Bytes that were not read yet: where they lie, and how many they are.
public struct StoredBytes: Hashable, Sendable {
    /// A column that may hold many bytes.
    enum Column: Hashable, Sendable {
        case meta
        case itemKey
        case collectionKey
        case collectionType
        case invitationKey
        case publicKey
    }

    enum Place: Hashable, Sendable {
        /// A chunk's row beside the log.
        case row(collection: ExactText, chunk: ExactText)
        /// A chunk's file, by its path.
        case file(ExactText)
        /// A column of the row with a number.
        case column(Column, of: Int64)
    }

    let place: Place
    public let count: Int
}

/// Bytes of an answer: at hand, or still where they lie because there are many of them.
public enum Content: Hashable, Sendable {
    case bytes([UInt8])
    case stored(StoredBytes)

    public var count: Int {
        switch self {
        case .bytes(let bytes): bytes.count
        case .stored(let stored): stored.count
        }
    }
}

/// A chunk of a revision.
public struct ChunkContent: Sendable {
    public let uid: String
    /// Nil where only the name is told: because only names were asked for, or because the content was told so often that it would
    /// not fit any more.
    public internal(set) var content: Content?

    init(uid: String, content: Content?) {
        self.uid = uid
        self.content = content
    }

    /// A chunk of which only the name is told.
    public init(named uid: String) { self.init(uid: uid, content: nil) }
}

/// A revision as it is served.
public struct RevisionContent: Sendable {
    let id: Int64
    public let uid: String
    public internal(set) var meta: Content
    public let isDeleted: Bool
    public internal(set) var chunks: [ChunkContent] = []
    /// How many chunks it names that are not listed here, for there are too many of them (``ReadModel/mentions(of:after:_:)``).
    public internal(set) var unlistedChunks = 0
}

/// An item with its current revision, as it is served.
public struct ItemContent: Sendable {
    public let uid: String
    public let version: Int64
    public internal(set) var encryptionKey: Content?
    /// Where the item last changed.
    public let changed: Position
    public internal(set) var revision: RevisionContent
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
        Statement(list: "SELECT \(table.key), \(table.column) FROM \(table.name) WHERE \(table.key) IN [$1 bigint]")
    }
}

extension Row {
    /// What ``StoredBytes/Column/selected(_:)`` has selected as the columns from this one on; nil where it is null.
    func content(_ column: Int, _ name: StoredBytes.Column, of id: Int64) -> Content? {
        if let bytes = blobOrNil(column) { return .bytes(bytes) }
        return integerOrNil(column + 1).map { .stored(StoredBytes(place: .column(name, of: id), count: Int($0))) }
    }
}

extension Snapshot {
    /// The content of a chunk of a collection; nil when there is no such chunk.
    public func chunk(_ uid: ChunkUID, in collection: CollectionAccess) throws -> Content? {
        let found = try connection.first(
            Statement(
                """
                SELECT length(stored.content), chunk."chunkFile"
                FROM   django_etebase_collectionitemchunk chunk
                LEFT   JOIN apus_chunk stored ON stored.collection = $2 AND stored.uid = chunk.uid
                WHERE  chunk.uid = $3 AND chunk.collection_id + 0 = $1
                """), [.integer(collection.id), .text(collection.uid.rawValue), .text(uid.rawValue)]
        ) { row in (bytes: row.integerOrNil(0), path: row.text(1)) }
        guard let found else { return nil }
        let stored = try stored(
            uid.rawValue, of: collection.uid.rawValue, bytes: found.bytes.map { Int($0) }, path: found.path)
        if stored.count > bounds.inlineBytes { return .stored(stored) }
        return try read([stored])[stored].map { .bytes($0) }
    }

    /// Where a chunk's content lies: in its row, whose length is known then, or else in its file.
    func stored(_ chunk: String, of collection: String, bytes: Int?, path: String) throws -> StoredBytes {
        if let bytes { return StoredBytes(place: .row(collection: ExactText(collection), chunk: ExactText(chunk)), count: bytes) }
        guard let count = try chunks.length(path) else { throw Self.missingContent }
        return StoredBytes(place: .file(ExactText(path)), count: count)
    }

    static let missingContent = DatabaseFault(.corrupt, "a chunk is named whose content is not stored")

    /// Reads what was left where it lies, each once.
    ///
    /// - Throws: `DatabaseFault` where something is not there any more, or has another length.
    func read(_ wanted: some Sequence<StoredBytes>) throws -> [StoredBytes: [UInt8]] {
        var found: [StoredBytes: [UInt8]] = [:]
        var rows: [(collection: String, chunk: String)] = []
        var columns: [StoredBytes.Column: [Int64]] = [:]
        var places: [StoredBytes.Place: StoredBytes] = [:]
        for stored in Set(wanted) {
            places[stored.place] = stored
            switch stored.place {
            case .row(let collection, let chunk): rows.append((collection.rawValue, chunk.rawValue))
            case .file(let path): found[stored] = try chunks.read(path.rawValue)
            case .column(let column, let id): columns[column, default: []].append(id)
            }
        }
        if !rows.isEmpty {
            let contents = try connection.query(
                Self.selectRows, [.texts(rows.map(\.collection)), .texts(rows.map(\.chunk))]
            ) { row in
                (StoredBytes.Place.row(collection: ExactText(row.text(0)), chunk: ExactText(row.text(1))), row.blob(2))
            }
            for (place, bytes) in contents { places[place].map { found[$0] = bytes } }
        }
        for (column, ids) in columns {
            let values = try connection.query(column.selectWhole, [.integers(ids)]) { row in
                (StoredBytes.Place.column(column, of: row.integer(0)), row.blob(1))
            }
            for (place, bytes) in values { places[place].map { found[$0] = bytes } }
        }
        guard places.values.allSatisfy({ found[$0]?.count == $0.count }) else { throw Self.missingContent }
        return found
    }

    /// Reads a part of what was left where it lies.
    func read(_ stored: StoredBytes, from start: Int, count: Int) throws -> [UInt8] {
        let slice: [Value] = [.integer(Int64(start + 1)), .integer(Int64(count))]
        let bytes: [UInt8]? =
            switch stored.place {
            case .row(let collection, let chunk):
                try connection.first(Self.selectSlice, [.text(collection.rawValue), .text(chunk.rawValue)] + slice) { $0.blob(0) }
            case .file(let path): try chunks.read(path.rawValue, from: start, count: count)
            case .column(let column, let id): try connection.first(column.selectSlice, [.integer(id)] + slice) { $0.blob(0) }
            }
        guard let bytes, bytes.count == count else { throw Self.missingContent }
        return bytes
    }

    // Collections and uids come as two lists of the same length.
    private static let selectRows = Statement(
        pairs: """
            SELECT stored.collection, stored.uid, stored.content
            FROM   PAIRS [$1 text, $2 text] AS wanted
            THEN JOIN apus_chunk stored ON stored.collection = wanted.first AND stored.uid = wanted.second
            """)

    private static let selectSlice = Statement(
        "SELECT substr(content, $3, $4) FROM apus_chunk WHERE collection = $1 AND uid = $2")
}

extension ReadModel {
    /// Reads what an answer has left where it lies, whole.
    ///
    /// - Throws: `DatabaseFault` where something is not there any more: what was erased meanwhile is not told.
    public func read(_ stored: [StoredBytes]) async throws -> [StoredBytes: [UInt8]] {
        try await contents { try $0.read(stored) }
    }

    /// Reads a part of what an answer has left where it lies.
    ///
    /// - Throws: as ``read(_:)`` does.
    public func read(_ stored: StoredBytes, from start: Int, count: Int) async throws -> [UInt8] {
        try await contents { try $0.read(stored, from: start, count: count) }
    }
}
