/// Where encrypted contents lie: in a table beside the log, in files, or in an S3 store.
///
/// Pattern: a port, ``ContentStore``, with a file for each store behind it. New contents go into one of them; contents may lie in
/// several at the same time, and what a row names is found where it lies: what has a row in the table is read from there, or from the S3
/// store where the row says so, everything else from its file. Snapshots of the read model give ``ContentReference``s; bytes are fetched afterwards, but those of the table,
/// which cost nothing more in the snapshot itself. Contents never change.
///
/// Invariants: a content that an event names is durable before the event is appended, or with it. A file is never
/// replaced: where another content lies at its path, left over by an append that failed or is being tried just now, the
/// content goes into the table, whose rows come first. So no order of writers on any number of hosts can give a chunk the
/// content of another attempt. What lies in a store without an event is waste, nothing else.
///
/// Concurrency: files are written and read on threads of their own. How long one is, is looked up in the snapshot that names it.
package import Domain
package import EventLog
package import Sodium

/// Which store a content lies in. The raw value is what the setting calls it, but for an S3 store, which it names by its address.
package enum ContentPlace: String, CaseIterable, Sendable {
    case database
    case files
    case objects = "s3"
}

/// What tells a content from every other, in all stores.
package struct ContentName: Hashable, Sendable {
    package let collection: CollectionUID
    package let chunk: ChunkUID
    /// What the chunk's row has as its file, whether or not one lies there.
    package let path: ExactText

    package init(_ chunk: ChunkUID, in collection: CollectionUID, path: String) {
        (self.collection, self.chunk, self.path) = (collection, chunk, ExactText(path))
    }
}

/// Where a content lies, and how long it is: what a snapshot gives in place of the bytes.
package struct ContentReference: Hashable, Sendable {
    package let place: ContentPlace
    package let name: ContentName
    package let count: Int
    /// SHA-256 of a content in an S3 store, by which it is found there.
    package let digest: [UInt8]?

    package init(_ name: ContentName, in place: ContentPlace, count: Int, digest: [UInt8]? = nil) {
        (self.place, self.name, self.count, self.digest) = (place, name, count, digest)
    }
}

/// What a store holds, as it knows it, whether or not a row names it.
package struct HeldContent: Hashable, Sendable {
    package enum Key: Hashable, Sendable {
        case chunk(ChunkUID, of: CollectionUID)
        case path(ExactText)
        case object(ObjectName)
    }

    package let key: Key
    package let bytes: Int
}

/// A place for contents.
package protocol ContentStore: Sendable {
    var place: ContentPlace { get }

    /// Whether contents lie in the store before the events that name them are appended; otherwise they come with them, and a
    /// command that is refused costs nothing.
    var isBeforeAppend: Bool { get }

    /// Puts contents where they belong, durably.
    ///
    /// - Returns: those that are not there yet, with what has to be written in the transaction of the events that name them.
    /// - Throws: `DatabaseFault` when one cannot be put; then nothing may be appended that names it.
    func put(
        _ contents: [ChunkUID: [UInt8]], of collection: CollectionUID, ownedBy owner: UserID
    ) async throws -> [ChunkUID: Write]

    /// Contents that lie in this store, all of them at once; their callers bound how many bytes that may be. What is missing is left out.
    ///
    /// - Throws: `DatabaseFault` when one is there and cannot be read.
    func get(_ contents: [ContentReference]) async throws -> [ContentReference: [UInt8]]

    /// A piece of a content that is read from its beginning to its end, shorter than `range` where the content is; nil where there
    /// is none.
    ///
    /// - Parameter hash: over the pieces before; a store that others have compares it at the end.
    /// - Throws: `DatabaseFault` when it is there and cannot be read, or is not what was stored.
    func piece(_ range: Range<Int>, of content: ContentReference, _ hash: inout SHA256) async throws -> [UInt8]?

    /// What the store holds, some at a time.
    ///
    /// - Parameters:
    ///   - collections: those whose contents are listed; nil for all.
    ///   - time: what was put there since, or was come upon by a writer, is left out, but where contents come with their events.
    func list(
        of collections: Set<CollectionUID>?, before time: Timestamp, _ body: ([HeldContent]) async throws -> Void
    ) async throws

    /// Removes a content that no event names, unless a writer has come upon it since `time` and is about to name it.
    ///
    /// - Returns: whether it was removed.
    /// - Throws: `DatabaseFault` when it could not be.
    func remove(_ content: HeldContent, before time: Timestamp) async throws -> Bool

    /// Ends the removal of contents: where a store keeps others from naming what it removes, until now.
    func conclude(_ removed: [HeldContent]) async throws
}

extension ContentStore {
    package func conclude(_ removed: [HeldContent]) async throws {}
}

/// How many contents are listed at a time.
let pageContents = 500
