internal import Contents
internal import Database
internal import Domain
internal import EventLog

/// What a run of events makes of collections, items and chunks: rows that go into each table together, so that a thousand
/// events need as many statements as one.
///
/// Which rows the events name is looked up first, for all of them at once (``NamedRows``); what the run itself makes is known from
/// then on.
struct ContentRows {
    private struct ItemKey: Hashable {
        let collection: Int64
        let uid: ItemUID
    }

    private struct ChunkKey: Hashable {
        let collection: Int64
        let uid: ChunkUID
    }

    private var collections: [CollectionUID: Batch.Collection]
    private var items: [ItemKey: Int64] = [:]
    private var chunks: [ChunkKey: Int64] = [:]

    /// A revision that is current now, and was not in the table when the run began.
    private enum Current {
        /// Made by the run: where in ``newRevisions`` it stands.
        case made(Int)
        /// Made current again: the id of its row.
        case restored(Int64)
    }

    private var newStokens: [[Value]] = []
    private var newCollections: [[Value]] = []
    private var newItems: [[Value]] = []
    private var newChanges: [[Value]] = []
    private var newRevisions: [[Value]] = []
    private var newChunks: [[Value]] = []
    private var newSizes: [[Value]] = []
    /// What the collections came to hold.
    private var growth: [Int64: Counting.Growth] = [:]
    /// The revisions that name chunks, in order. Their rows are made when they are written, few at a time: one revision may name
    /// a chunk any number of times.
    private var mentions: [(revision: Int64, collection: Int64, chunks: [ChunkUID])] = []
    /// Items whose current revision is in the table and is not current any more.
    private var superseded: [[Value]] = []
    private var current: [Int64: Current] = [:]
    /// The rows of revisions that the events name.
    private var revisions: [RevisionUID: Int64]
    /// Where in ``newRevisions`` those of the run stand.
    private var made: [RevisionUID: Int] = [:]
    /// The new stokens of revisions in the table that were restored.
    private var restored: [Int64: Position] = [:]
    private var changedItems: [Int64: Position] = [:]
    private var changedCollections: [Int64: Position] = [:]

    /// Applies events with which something came into collections.
    ///
    /// - Parameter named: what the run names, where it was looked up already.
    static func apply(_ run: [ContentEntry], naming named: NamedRows?, _ batch: inout Batch) throws {
        var rows = ContentRows(try named ?? NamedRows(run, in: batch.connection))
        for entry in run { try rows.add(entry, &batch) }
        try rows.write(batch.connection)
        try rows.writeRelations(&batch)
    }

    private init(_ named: NamedRows) {
        collections = named.collections
        revisions = named.revisions
        for (collection, uid, id) in named.items {
            if let known = collections[collection] { items[ItemKey(collection: known.id, uid: uid)] = id }
        }
        for (collection, uid, id) in named.chunks {
            if let known = collections[collection] { chunks[ChunkKey(collection: known.id, uid: uid)] = id }
        }
    }

    private mutating func add(_ entry: ContentEntry, _ batch: inout Batch) throws {
        let record = entry.record
        switch entry.written {
        case .made(let made):
            let (collection, item) = try place(made, entry)
            try add(made.revision, of: item, in: collection, record, &batch)
        case .restored(let uid, let revision):
            let collection = try collection(entry.collection)
            let item = try supersede(uid, of: collection, record)
            try restore(revision, of: item, record, batch)
            changedCollections[collection.id] = record.position
        case .stored(let chunk): add([chunk], in: try collection(entry.collection), &batch)
        }
    }

    /// Adds what comes with a revision, or notes that it takes the place of another.
    ///
    /// - Returns: where it belongs: its collection, and the row of its item.
    private mutating func place(_ made: MadeRevision, _ entry: ContentEntry) throws -> (Batch.Collection, Int64) {
        let id = entry.record.position.rawValue
        switch made.new {
        case .collection(let owner, let version):
            let collection = Batch.Collection(id: id, uid: entry.collection, owner: owner.rawValue)
            collections[entry.collection] = collection
            newCollections.append([.integer(id), .text(entry.collection.rawValue), .integer(collection.owner)])
            addItem(made.item, version: version, key: nil, at: id, in: collection, isMain: true)
            return (collection, id)
        case .item(let version, let encryptionKey):
            let collection = try collection(entry.collection)
            addItem(made.item, version: version, key: encryptionKey, at: id, in: collection, isMain: false)
            return (collection, id)
        case .nothing:
            let collection = try collection(entry.collection)
            return (collection, try supersede(made.item, of: collection, entry.record))
        }
    }

    private func collection(_ uid: CollectionUID) throws -> Batch.Collection {
        guard let collection = collections[uid] else {
            throw DatabaseFault(.corrupt, "an event names a collection that is not in the read model")
        }
        return collection
    }

    /// Notes that the item's current revision is not current any more.
    private mutating func supersede(_ uid: ItemUID, of collection: Batch.Collection, _ record: RecordedEvent) throws -> Int64 {
        guard let item = items[ItemKey(collection: collection.id, uid: uid)] else {
            throw DatabaseFault(.corrupt, "an event changes an item that is not in the read model")
        }
        // The original keeps NULL, not false, in old revisions: its unique constraint on (item, current) needs it.
        switch current.removeValue(forKey: item) {
        case .made(let row): newRevisions[row][Self.currentColumn] = .null
        case .restored: break
        case nil: superseded.append([.integer(item)])
        }
        changedItems[item] = record.position
        return item
    }

    /// Makes an earlier revision current again. Its row gets the new stoken: the original's tables have room for one row
    /// of a revision, and one stoken of a row.
    private mutating func restore(_ uid: RevisionUID, of item: Int64, _ record: RecordedEvent, _ batch: Batch) throws {
        newStokens.append([.integer(record.position.rawValue), .text(batch.stoken(of: record))])
        if let row = made[uid] {
            newRevisions[row][Self.currentColumn] = .flag(true)
            newRevisions[row][Self.stokenColumn] = .integer(record.position.rawValue)
            current[item] = .made(row)
        } else if let id = revisions[uid] {
            restored[id] = record.position
            current[item] = .restored(id)
        } else {
            throw DatabaseFault(.corrupt, "an event restores a revision that is not in the read model")
        }
    }

    private mutating func addItem(
        _ uid: ItemUID, version: Int, key: [UInt8]?, at id: Int64, in collection: Batch.Collection, isMain: Bool
    ) {
        items[ItemKey(collection: collection.id, uid: uid)] = id
        if !isMain { growth[collection.id, default: .init()].items += 1 }
        newItems.append([
            .integer(id), .text(uid.rawValue), .integer(Int64(version)), .blob(orNull: key), .integer(collection.id),
        ])
        newChanges.append([.integer(id), .integer(collection.id), .flag(isMain)])
    }

    private mutating func add(
        _ revision: Revision, of item: Int64, in collection: Batch.Collection, _ record: RecordedEvent, _ batch: inout Batch
    ) throws {
        let id = Value.integer(record.position.rawValue)
        newStokens.append([id, .text(batch.stoken(of: record))])
        current[item] = .made(newRevisions.count)
        made[revision.uid] = newRevisions.count
        newRevisions.append([
            id, .text(revision.uid.rawValue), .blob(revision.meta), .flag(true), .flag(revision.isDeleted), .integer(item), id,
        ])
        changedCollections[collection.id] = record.position
        growth[collection.id, default: .init()].bytes += Int64(revision.meta.count)
        add(revision.stored, in: collection, &batch)
        if !revision.chunks.isEmpty { mentions.append((record.position.rawValue, collection.id, revision.chunks)) }
    }

    /// Adds chunks whose content was stored.
    private mutating func add(_ stored: [StoredChunk], in collection: Batch.Collection, _ batch: inout Batch) {
        for chunk in stored {
            let id = batch.nextChunkID()
            chunks[ChunkKey(collection: collection.id, uid: chunk.uid)] = id
            growth[collection.id, default: .init()].bytes += Int64(chunk.bytes)
            newSizes.append([.integer(id), .integer(Int64(chunk.bytes))])
            newChunks.append([
                .integer(id), .text(chunk.uid.rawValue),
                .text(ChunkPath.path(of: chunk.uid, in: collection.uid, ownedBy: UserID(rawValue: collection.owner))),
                .integer(collection.id),
            ])
        }
    }

    private func write(_ connection: any Connection) throws {
        try connection.enqueue(Self.insertStokens, rows: newStokens)
        try connection.enqueue(Self.insertCollections, rows: newCollections.map { $0 + [$0[0]] })
        try connection.enqueue(Self.insertCollectionStates, rows: newCollections.map { [$0[0], $0[0], .integer(0)] })
        try connection.enqueue(Self.insertItems, rows: newItems)
        try connection.enqueue(Self.insertChanges, rows: newChanges.map { [$0[0], $0[1], $0[0], $0[2]] })
        try connection.enqueue(Self.supersede, rows: superseded)
        try connection.enqueue(Self.insertRevisions, rows: newRevisions)
        try connection.enqueue(Self.updateStokens, rows: Self.rows(restored))
        try connection.enqueue(Self.restore, rows: restoredRows)
        try connection.enqueue(Self.insertChunks, rows: newChunks)
        try connection.enqueue(Self.updateChanges, rows: Self.rows(changedItems))
        try connection.enqueue(Self.updateCollectionStates, rows: Self.rows(changedCollections))
        try Counting.add(sizes: newSizes, connection)
        try Counting.add(growth, connection)
    }

    /// Writes which chunks the revisions name, in slices: each is a short statement, with which the session shows that it lives.
    private func writeRelations(_ batch: inout Batch) throws {
        let connection = batch.connection
        let isLong = mentions.reduce(0) { $0 + $1.chunks.count } > Self.relationSlice
        // References are looked at with each slice, not all of them in the commit.
        if isLong { try connection.enqueue(Self.checkAtOnce, []) }
        var rows: [[Value]] = []
        for (revision, collection, chunks) in mentions {
            var last: (uid: ChunkUID, id: Int64)?
            for uid in chunks {
                if last?.uid != uid {
                    guard let id = self.chunks[ChunkKey(collection: collection, uid: uid)] else {
                        throw DatabaseFault(.corrupt, "an event names a chunk that is not in the read model")
                    }
                    last = (uid, id)
                }
                rows.append([.integer(batch.nextRelationID()), .integer(orNull: last?.id), .integer(revision)])
                guard rows.count == Self.relationSlice else { continue }
                try connection.enqueue(Self.insertRelations, rows: rows)
                try connection.run([])
                rows.removeAll(keepingCapacity: true)
            }
        }
        try connection.enqueue(Self.insertRelations, rows: rows)
        if isLong { try connection.enqueue(Self.checkLater, []) }
    }

    private static let relationSlice = 5_000
    private static let checkAtOnce = Statement("{sqlite: SELECT 1}{postgres: SET CONSTRAINTS ALL IMMEDIATE}")
    private static let checkLater = Statement("{sqlite: SELECT 1}{postgres: SET CONSTRAINTS ALL DEFERRED}")

    /// Those of the restored rows that no later event of the run superseded.
    private var restoredRows: [[Value]] {
        let ids = current.values.compactMap { current -> Int64? in if case .restored(let id) = current { id } else { nil } }
        return ids.sorted().map { [.integer($0)] }
    }

    private static func rows(_ positions: [Int64: Position]) -> [[Value]] {
        positions.sorted { $0.key < $1.key }.map { [.integer($0.key), .integer($0.value.rawValue)] }
    }

    private static let insertStokens = SetStatement(insertInto: "django_etebase_stoken", ["id": .number, "uid": .text])
    private static let insertCollections = SetStatement(
        insertInto: "django_etebase_collection", ["id": .number, "uid": .text, "owner_id": .number, "main_item_id": .number])
    private static let insertCollectionStates = SetStatement(
        insertInto: "apus_collection", ["id": .number, "revision_stoken": .number, "member_stoken": .number])
    private static let insertItems = SetStatement(
        insertInto: "django_etebase_collectionitem",
        ["id": .number, "uid": .text, "version": .number, "encryptionKey": .bytes, "collection_id": .number])
    private static let insertChanges = SetStatement(
        insertInto: "apus_item", ["id": .number, "collection_id": .number, "stoken": .number, "is_main": .number])
    private static let supersede = SetStatement(
        update: "django_etebase_collectionitemrevision", set: "current = NULL", key: "item_id", where: "current = TRUE")
    private static let insertRevisions = SetStatement(
        insertInto: "django_etebase_collectionitemrevision",
        [
            "id": .number, "uid": .text, "meta": .bytes, "current": .flag, "deleted": .flag, "item_id": .number,
            "stoken_id": .number,
        ])
    private static let currentColumn = 3
    private static let stokenColumn = 6
    private static let updateStokens = SetStatement(
        update: "django_etebase_collectionitemrevision", key: "id", set: ["stoken_id": .number])
    private static let restore = SetStatement(
        update: "django_etebase_collectionitemrevision", set: "current = TRUE", key: "id", where: "current IS NULL")
    private static let insertChunks = SetStatement(
        insertInto: "django_etebase_collectionitemchunk",
        ["id": .number, "uid": .text, "chunkFile": .text, "collection_id": .number])
    private static let insertRelations = SetStatement(
        insertInto: "django_etebase_revisionchunkrelation", ["id": .number, "chunk_id": .number, "revision_id": .number])
    private static let updateChanges = SetStatement(update: "apus_item", key: "id", set: ["stoken": .number])
    private static let updateCollectionStates = SetStatement(update: "apus_collection", key: "id", set: ["revision_stoken": .number])
}
