internal import Database
internal import Domain
internal import EventLog

extension Batch {
    mutating func create(_ event: CollectionCreated, _ record: RecordedEvent) throws {
        let id = record.position.rawValue
        let collection = Collection(id: id, uid: event.collection, owner: event.owner.rawValue)
        know(collection)
        try connection.enqueue(
            Statement("INSERT INTO django_etebase_collection (id, uid, owner_id, main_item_id) VALUES ($1, $2, $3, $1)"),
            [.integer(id), .text(event.collection.rawValue), .integer(collection.owner)])
        try connection.enqueue(
            Statement("INSERT INTO apus_collection (id, revision_stoken, member_stoken) VALUES ($1, $1, 0)"), [.integer(id)])
        try insertItem(id, uid: event.collection.rawValue, version: event.version, key: nil, in: collection, isMain: true)
        try insert(event.revision, of: id, in: collection, record)
    }

    mutating func create(_ event: ItemCreated, _ record: RecordedEvent) throws {
        let id = record.position.rawValue
        let collection = try collection(event.collection)
        try insertItem(id, uid: event.item.rawValue, version: event.version, key: event.encryptionKey, in: collection, isMain: false)
        try insert(event.revision, of: id, in: collection, record)
        try move(collection, to: record.position)
    }

    mutating func revise(_ event: ItemRevised, _ record: RecordedEvent) throws {
        let collection = try collection(event.collection)
        let found = try connection.first(
            Statement("SELECT id FROM django_etebase_collectionitem WHERE uid = $1 AND collection_id = $2"),
            [.text(event.item.rawValue), .integer(collection.id)]
        ) { $0.integer(0) }
        guard let item = found else { throw DatabaseFault(.corrupt, "an event revises an item that is not in the read model") }
        // The original keeps NULL, not false, in old revisions: its unique constraint on (item, current) needs it.
        try connection.enqueue(
            Statement("UPDATE django_etebase_collectionitemrevision SET current = NULL WHERE item_id = $1 AND current = TRUE"),
            [.integer(item)])
        try insert(event.revision, of: item, in: collection, record)
        try connection.enqueue(
            Statement("UPDATE apus_item SET stoken = $2 WHERE id = $1"), [.integer(item), .integer(record.position.rawValue)])
        try move(collection, to: record.position)
    }

    /// Makes the rows of chunks whose content was stored. The path is where the original would have put the file.
    mutating func store(_ chunks: [StoredChunk], in collection: Collection) throws {
        for chunk in chunks {
            let uid = chunk.uid.rawValue
            let path = "user_\(collection.owner)/\(collection.uid)/\(uid.prefix(2))/\(uid.dropFirst(2))"
            try connection.enqueue(
                Statement(
                    """
                    INSERT INTO django_etebase_collectionitemchunk (id, uid, "chunkFile", collection_id)
                    VALUES ($1, $2, $3, $4)
                    """), [.integer(nextChunkID()), .text(uid), .text(path), .integer(collection.id)])
        }
    }

    private func insertItem(
        _ id: Int64, uid: String, version: Int, key: [UInt8]?, in collection: Collection, isMain: Bool
    ) throws {
        try connection.enqueue(
            Statement(
                """
                INSERT INTO django_etebase_collectionitem (id, uid, version, "encryptionKey", collection_id)
                VALUES ($1, $2, $3, $4, $5)
                """), [.integer(id), .text(uid), .integer(Int64(version)), .blob(orNull: key), .integer(collection.id)])
        try connection.enqueue(
            Statement("INSERT INTO apus_item (id, collection_id, stoken, is_main) VALUES ($1, $2, $1, $3)"),
            [.integer(id), .integer(collection.id), .flag(isMain)])
    }

    private mutating func insert(
        _ revision: Revision, of item: Int64, in collection: Collection, _ record: RecordedEvent
    ) throws {
        try insertStoken(of: record)
        let id = Value.integer(record.position.rawValue)
        try connection.enqueue(
            Statement(
                """
                INSERT INTO django_etebase_collectionitemrevision (id, uid, meta, current, deleted, item_id, stoken_id)
                VALUES ($1, $2, $3, TRUE, $4 <> 0, $5, $1)
                """), [id, .text(revision.uid.rawValue), .blob(revision.meta), .flag(revision.isDeleted), .integer(item)])
        try store(revision.stored, in: collection)
        for chunk in revision.chunks {
            try connection.enqueue(
                Statement(
                    """
                    INSERT INTO django_etebase_revisionchunkrelation (id, chunk_id, revision_id)
                    SELECT $1, id, $2
                    FROM   django_etebase_collectionitemchunk
                    WHERE  collection_id = $3 AND uid = $4
                    """), [.integer(nextRelationID()), id, .integer(collection.id), .text(chunk.rawValue)], changing: 1)
        }
    }

    private func move(_ collection: Collection, to position: Position) throws {
        try connection.enqueue(
            Statement("UPDATE apus_collection SET revision_stoken = $2 WHERE id = $1"),
            [.integer(collection.id), .integer(position.rawValue)])
    }
}
