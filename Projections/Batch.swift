internal import Database
internal import Domain
internal import EventLog

/// A batch of events on its way into the tables: the connection, the checkpoint, and what was looked up on the way.
struct Batch {
    /// A collection's row.
    struct Collection {
        let id: Int64
        let uid: CollectionUID
        let owner: Int64
    }

    let connection: any Connection
    let checkpoint: Position
    private let stokens: StokenSealer
    private var lastChunkID: Int64
    private var lastRelationID: Int64
    private var collections: [CollectionUID: Collection] = [:]

    init(connection: any Connection, stokens: StokenSealer) throws {
        let row = try connection.first(
            Statement("SELECT position, last_chunk_id, last_relation_id FROM apus_projection"), []
        ) { row in (row.integer(0), row.integer(1), row.integer(2)) }
        guard let row else { throw DatabaseFault(.corrupt, "the projection has no checkpoint row") }
        self.connection = connection
        self.stokens = stokens
        checkpoint = Position(rawValue: row.0)
        (lastChunkID, lastRelationID) = (row.1, row.2)
    }

    func finish(at position: Position) throws {
        try connection.enqueue(
            Statement("UPDATE apus_projection SET position = $1, last_chunk_id = $2, last_relation_id = $3"),
            [.integer(position.rawValue), .integer(lastChunkID), .integer(lastRelationID)])
    }

    mutating func nextChunkID() -> Int64 {
        lastChunkID += 1
        return lastChunkID
    }

    mutating func nextRelationID() -> Int64 {
        lastRelationID += 1
        return lastRelationID
    }

    mutating func collection(_ uid: CollectionUID) throws -> Collection {
        if let known = collections[uid] { return known }
        let found = try connection.first(
            Statement("SELECT id, owner_id FROM django_etebase_collection WHERE uid = $1"), [.text(uid.rawValue)]
        ) { row in Collection(id: row.integer(0), uid: uid, owner: row.integer(1)) }
        guard let found else { throw DatabaseFault(.corrupt, "an event names a collection that is not in the read model") }
        collections[uid] = found
        return found
    }

    mutating func know(_ collection: Collection) { collections[collection.uid] = collection }
    mutating func forgetCollections() { collections = [:] }

    /// Gives the event a row among the stokens; its id is the position.
    func insertStoken(of record: RecordedEvent) throws {
        let stoken = stokens.stoken(LogHead(position: record.position, epoch: record.epoch))
        try connection.enqueue(
            Statement("INSERT INTO django_etebase_stoken (id, uid) VALUES ($1, $2)"),
            [.integer(record.position.rawValue), .text(stoken)])
    }
}
