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
    /// Where the read model is, and with which ids it goes on.
    private(set) var checkpoint: Checkpoint
    private let stokens: StokenSealer

    /// - Parameter checkpoint: the row, as it is in the transaction.
    init(connection: any Connection, stokens: StokenSealer, at checkpoint: Checkpoint?) throws {
        guard let checkpoint else { throw DatabaseFault(.corrupt, "the projection has no checkpoint row") }
        self.connection = connection
        self.stokens = stokens
        self.checkpoint = checkpoint
    }

    mutating func finish(at position: Position) throws {
        try Counting.move(from: checkpoint.position, to: position, connection)
        checkpoint.position = position
        try checkpoint.move(connection)
    }

    mutating func nextChunkID() -> Int64 {
        checkpoint.lastChunkID += 1
        return checkpoint.lastChunkID
    }

    /// Notes an id that an adopted row has: what is counted goes on above it.
    mutating func note(chunkID: Int64) { checkpoint.lastChunkID = max(checkpoint.lastChunkID, chunkID) }

    /// Notes an id that an adopted row has: what is counted goes on above it.
    mutating func note(relationID: Int64) { checkpoint.lastRelationID = max(checkpoint.lastRelationID, relationID) }

    mutating func nextRelationID() -> Int64 {
        checkpoint.lastRelationID += 1
        return checkpoint.lastRelationID
    }

    /// The collection of a uid, which is there.
    func collection(_ uid: CollectionUID) throws -> Collection {
        guard let collection = try collections([uid])[uid] else {
            throw DatabaseFault(.corrupt, "an event names a collection that is not in the read model")
        }
        return collection
    }

    /// Those of the collections that are there.
    func collections(_ uids: Set<CollectionUID>) throws -> [CollectionUID: Collection] {
        guard !uids.isEmpty else { return [:] }
        var found: [CollectionUID: Collection] = [:]
        try connection.run([Self.query(collections: uids) { found[$0.uid] = $0 }])
        return found
    }

    /// The question for those of the collections that are there.
    static func query(collections uids: Set<CollectionUID>, _ read: @escaping (Collection) -> Void) -> Query {
        Query(selectCollections, [.texts(uids.map(\.rawValue))]) { row in
            read(Collection(id: row.integer(0), uid: CollectionUID(row.text(1)), owner: row.integer(2)))
        }
    }

    private static let selectCollections = Statement(
        "SELECT id, uid, owner_id FROM django_etebase_collection WHERE uid IN [$1 text]")

    func stoken(of record: RecordedEvent) -> String {
        stokens.stoken(LogHead(position: record.position, epoch: record.epoch))
    }

    /// Gives the event a row among the stokens; its id is the position.
    func insertStoken(of record: RecordedEvent) throws {
        try connection.enqueue(
            Self.insertStoken,
            [.integer(record.position.rawValue), .text(stoken(of: record))])
    }

    private static let insertStoken = Statement("INSERT INTO django_etebase_stoken (id, uid) VALUES ($1, $2)")
}
