internal import Database
internal import Domain
internal import EventLog

/// An event with which something came into a collection.
struct ContentEntry {
    let record: RecordedEvent
    let collection: CollectionUID
    let written: ContentWritten

    /// Nil for other events.
    private init?(_ record: RecordedEvent) {
        guard case .collection(let collection) = record.stream, let written = record.event.written else { return nil }
        (self.record, self.collection, self.written) = (record, collection, written)
    }

    /// Those with which events begin: they are applied together.
    static func run(atStartOf events: ArraySlice<RecordedEvent>) -> [ContentEntry] {
        var run: [ContentEntry] = []
        for record in events {
            guard let entry = ContentEntry(record) else { break }
            run.append(entry)
        }
        return run
    }
}

/// What a run of events names of what was there before it.
struct ContentNames {
    private(set) var collections: Set<CollectionUID> = []
    private(set) var items: [CollectionUID: Set<ItemUID>] = [:]
    private(set) var chunks: [CollectionUID: Set<ChunkUID>] = [:]
    private(set) var revisions: Set<RevisionUID> = []
    private var made: Set<CollectionUID> = []
    private var madeItems: [CollectionUID: Set<ItemUID>] = [:]
    private var madeChunks: [CollectionUID: Set<ChunkUID>] = [:]

    private static let namesAtOnce = 100_000

    /// Nil where more chunks are named than are gone through at once.
    init?(of run: [ContentEntry]) {
        guard run.reduce(0, { $0 + $1.record.event.namedChunks.count }) <= Self.namesAtOnce else { return nil }
        self.init(of: run) {}
    }

    /// - Parameter pause: called again and again while there is more: one event may name a chunk any number of times.
    init<Failure: Error>(of run: [ContentEntry], pausing pause: () throws(Failure) -> Void) throws(Failure) {
        for entry in run {
            add(entry.written, in: entry.collection)
            var rest = entry.record.event.namedChunks[...]
            while !rest.isEmpty {
                add(rest.prefix(Self.namesAtOnce), of: entry.collection)
                rest = rest.dropFirst(Self.namesAtOnce)
                if !rest.isEmpty { try pause() }
            }
        }
    }

    private mutating func add(_ written: ContentWritten, in collection: CollectionUID) {
        switch written {
        case .made(let revision):
            switch revision.new {
            case .collection:
                made.insert(collection)
                madeItems[collection, default: []].insert(revision.item)
            case .item:
                need(collection)
                madeItems[collection, default: []].insert(revision.item)
            case .nothing: need(revision.item, of: collection)
            }
            madeChunks[collection, default: []].formUnion(revision.revision.stored.map(\.uid))
        case .restored(let item, let revision):
            need(item, of: collection)
            revisions.insert(revision)
        case .stored(let chunk):
            need(collection)
            madeChunks[collection, default: []].insert(chunk.uid)
        }
    }

    private mutating func need(_ collection: CollectionUID) {
        if !made.contains(collection) { collections.insert(collection) }
    }

    private mutating func need(_ item: ItemUID, of collection: CollectionUID) {
        need(collection)
        if madeItems[collection]?.contains(item) != true { items[collection, default: []].insert(item) }
    }

    /// Those that were made before are not needed.
    private mutating func add(_ named: ArraySlice<ChunkUID>, of collection: CollectionUID) {
        // Content that repeats itself names a chunk again and again.
        var last: ChunkUID?
        for chunk in named where chunk != last {
            last = chunk
            if madeChunks[collection]?.contains(chunk) != true { chunks[collection, default: []].insert(chunk) }
        }
    }
}
