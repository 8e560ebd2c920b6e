package import Database
internal import Domain
internal import NIOPosix
internal import Sodium

/// The stores of a server, and which of them takes new contents.
package struct ContentStores: Sendable {
    package let table: TableContents
    package let files: FileContents
    /// Nil where no S3 store is known.
    package let objects: ObjectContents?
    package let place: ContentPlace
    /// Where it is looked up what became of a content that is not where it was.
    private let log: TableContents

    /// - Parameter place: where new contents go.
    package init(table: TableContents, files: FileContents, objects: ObjectContents? = nil, place: ContentPlace = .database) {
        precondition(place != .objects || objects != nil, "new contents go into a store that is known")
        (self.table, self.files, self.objects, self.place, log) = (table, files, objects, place, table)
    }

    private init(_ other: ContentStores, reading table: TableContents) {
        (self.table, files, objects, place, log) = (table, other.files, other.objects, other.place, other.log)
    }

    /// All of them.
    package var all: [any ContentStore] { [table, files] + [objects].compactMap { $0 as (any ContentStore)? } }

    /// The one for new contents.
    var new: any ContentStore {
        switch place {
        case .database: table
        case .files: files
        // As is looked at when these are made.
        case .objects: objects ?? table
        }
    }

    package func store(_ place: ContentPlace) throws -> any ContentStore {
        switch place {
        case .database: return table
        case .files: return files
        case .objects:
            guard let objects else {
                throw DatabaseFault(
                    .unavailable, "chunks: some lie in an S3 store that is not known: APUS_CHUNKS, or APUS_CHUNKS_ALSO, names it")
            }
            return objects
        }
    }

    /// The same, whose table is read in another database, as far as that has what is looked for.
    package func reading(from database: any Database) -> ContentStores { ContentStores(self, reading: log.reading(from: database)) }

    /// Contents, whichever store each lies in. What is missing is left out.
    ///
    /// - Throws: `DatabaseFault` when one is there and cannot be read.
    package func get(_ contents: [ContentReference]) async throws -> [ContentReference: [UInt8]] {
        var found = try await getAtOnce(contents)
        let moved = try await moved(contents.filter { found[$0]?.count != $0.count })
        guard !moved.isEmpty else { return found }
        let again = try await getAtOnce(Array(moved.values))
        for (content, place) in moved { found[content] = again[place] }
        return found
    }

    private func getAtOnce(_ contents: [ContentReference]) async throws -> [ContentReference: [UInt8]] {
        var found: [ContentReference: [UInt8]] = [:]
        for (place, contents) in Dictionary(grouping: contents, by: \.place) {
            found.merge(try await store(place).get(contents)) { first, _ in first }
        }
        return found
    }

    /// Reads a content from its beginning to its end, some bytes at a time.
    package func reading(_ content: ContentReference, pieceBytes: Int) -> ContentReading {
        ContentReading(stores: self, content: content, pieceBytes: pieceBytes)
    }

    /// Where contents lie now that were moved since their references were read.
    fileprivate func moved(_ contents: [ContentReference]) async throws -> [ContentReference: ContentReference] {
        guard !contents.isEmpty else { return [:] }
        let places = try await log.places(of: contents.map(\.name)) { try reference($0, from: 0) }
        var moved: [ContentReference: ContentReference] = [:]
        for content in contents {
            if let place = places[content.name], place != content { moved[content] = place }
        }
        return moved
    }

    /// The file that holds a content, for another program to send it; nil where it lies in none that may be sent.
    package func sent(_ content: ContentReference) async throws -> SentFile? {
        guard content.place == .files else { return nil }
        return try await NIOThreadPool.singleton.runIfActive { files.sent(content.name.path.rawValue) }
    }

    /// Path and query of the S3 store with which another program gets a content from there; nil where it does not lie there.
    ///
    /// - Parameter method: GET or HEAD, of which they are good for one.
    package func sentObject(_ content: ContentReference, to method: String) -> String? {
        content.place == .objects ? objects?.sent(content, to: method) : nil
    }

    // MARK: Where a row's content lies

    /// What a statement selects to learn where the content of each `chunk` of a `collection` lies, once ``join(where:)`` is there too.
    package static let columns =
        #"collection.uid, chunk.uid, chunk."chunkFile", COALESCE(stored.bytes, length(stored.content)), stored.digest"#
    /// How many columns these are.
    package static let columnCount = 5

    /// Where the contents of chunks lie, whose collections and uids come as two lists of the same length.
    package static let selectPlaces = Statement(
        """
        SELECT \(columns)
        FROM   PAIRS [$1 text, $2 text] AS wanted
        THEN JOIN django_etebase_collection collection ON collection.uid = wanted.first
        THEN JOIN django_etebase_collectionitemchunk chunk ON chunk.uid = wanted.second AND chunk.collection_id + 0 = collection.id
        \(join())
        """)

    /// Joins where the content of a `chunk` of a `collection` lies.
    ///
    /// - Parameter condition: whether that is wanted to be known.
    package static func join(where condition: String = "TRUE") -> String {
        "LEFT JOIN \(TableContents.name) stored ON \(condition) AND stored.collection = collection.uid AND stored.uid = chunk.uid"
    }

    /// Where the content lies that a row names, which has ``columns`` from this one on; nil where it is missing.
    ///
    /// - Throws: `DatabaseFault` when it cannot be told.
    package func reference(_ row: any Row, from column: Int) throws -> ContentReference? {
        let name = ContentName(ChunkUID(row.text(column + 1)), in: CollectionUID(row.text(column)), path: row.text(column + 2))
        if let bytes = row.integerOrNil(column + 3) {
            guard let digest = row.blobOrNil(column + 4) else { return ContentReference(name, in: .database, count: Int(bytes)) }
            return ContentReference(name, in: .objects, count: Int(bytes), digest: digest)
        }
        return try files.length(name.path.rawValue).map { ContentReference(name, in: .files, count: $0) }
    }
}

/// A content that is read piece by piece, whichever store it lies in.
package struct ContentReading: Sendable {
    fileprivate let stores: ContentStores
    fileprivate var content: ContentReference
    fileprivate let pieceBytes: Int
    private var start = 0
    private var hash = SHA256()

    fileprivate init(stores: ContentStores, content: ContentReference, pieceBytes: Int) {
        (self.stores, self.content, self.pieceBytes) = (stores, content, pieceBytes)
    }

    /// The next piece; nil at the end.
    ///
    /// - Throws: `DatabaseFault` where it is missing, cannot be read, or is not what was stored: not all of it is given then.
    package mutating func next() async throws -> [UInt8]? {
        guard start < content.count else { return nil }
        let range = start..<min(start + pieceBytes, content.count)
        var piece = try await stores.store(content.place).piece(range, of: content, &hash)
        if start == 0, piece?.count != range.count, let moved = try await stores.moved([content])[content] {
            content = moved
            hash = SHA256()
            piece = try await stores.store(moved.place).piece(range, of: moved, &hash)
        }
        guard let piece, piece.count == range.count else {
            throw DatabaseFault(.corrupt, "a chunk is named whose content is not stored, or not all of it")
        }
        start = range.upperBound
        return piece
    }
}
