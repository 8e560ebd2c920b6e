package import Database
internal import Domain
internal import NIOPosix

/// The stores of a server, and which of them takes new contents.
package struct ContentStores: Sendable {
    package let table: TableContents
    package let files: FileContents
    private let place: ContentPlace

    /// - Parameter place: where new contents go.
    package init(table: TableContents, files: FileContents, place: ContentPlace = .database) {
        (self.table, self.files, self.place) = (table, files, place)
    }

    /// All of them.
    package var all: [any ContentStore] { ContentPlace.allCases.map { store($0) } }

    /// The one for new contents.
    var new: any ContentStore { store(place) }

    private func store(_ place: ContentPlace) -> any ContentStore {
        switch place {
        case .database: table
        case .files: files
        }
    }

    /// The same, whose table is read in another database.
    package func reading(from database: any Database) -> ContentStores {
        ContentStores(table: TableContents(database), files: files, place: place)
    }

    /// Contents, whichever store each lies in. What is missing is left out.
    ///
    /// - Throws: `DatabaseFault` when one is there and cannot be read.
    package func get(_ contents: [ContentReference]) async throws -> [ContentReference: [UInt8]] {
        var found: [ContentReference: [UInt8]] = [:]
        for (place, contents) in Dictionary(grouping: contents, by: \.place) {
            found.merge(try await store(place).get(contents)) { first, _ in first }
        }
        return found
    }

    /// A part of a content, shorter than `count` where the content ends; nil where there is none.
    ///
    /// - Throws: `DatabaseFault` when it is there and cannot be read.
    package func get(_ content: ContentReference, from start: Int, count: Int) async throws -> [UInt8]? {
        try await store(content.place).get(content, from: start, count: count)
    }

    /// The file that holds a content, for another program to send it; nil where it lies in none that may be sent.
    package func sent(_ content: ContentReference) async throws -> SentFile? {
        guard content.place == .files else { return nil }
        return try await NIOThreadPool.singleton.runIfActive { files.sent(content.name.path.rawValue) }
    }

    // MARK: Where a row's content lies

    /// What a statement selects to learn where the content of each `chunk` of a `collection` lies, once ``join(where:)`` is there too.
    package static let columns = #"collection.uid, chunk.uid, chunk."chunkFile", length(stored.content)"#

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
        if let bytes = row.integerOrNil(column + 3) { return ContentReference(name, in: .database, count: Int(bytes)) }
        return try files.length(name.path.rawValue).map { ContentReference(name, in: .files, count: $0) }
    }
}
