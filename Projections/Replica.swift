internal import Contents
internal import Database
internal import Domain
internal import EventLog

/// What a read model in a database of its own needs besides the projection: the contents of chunks, which lie beside the log,
/// and the mark from which log its rows come. The mark is the head row of its log, which has no events otherwise.
struct Replica: Sendable {
    /// How many bytes of contents go into one transaction, roughly.
    private static let batchBytes = 16 << 20

    /// Events with the contents that came with them.
    struct EventBatch: Sendable {
        var events: [RecordedEvent]
        /// Whether there are more events.
        var isFull: Bool
        /// How long the events' payloads are together.
        let bytes: Int
        fileprivate var contents = TableContents.Copies()

        init(events: [RecordedEvent], bytes: Int, isFull: Bool) {
            self.events = events
            self.bytes = bytes
            self.isFull = isFull
        }
    }

    let log: any Database
    let database: any Database
    let stokens: StokenSealer

    /// The batch with its contents, perhaps cut off where they are many. Those that lie in files are not copied.
    func completed(_ batch: EventBatch, _ log: any Connection) throws -> EventBatch {
        var bytes = 0
        var events = batch.events.prefix { record in
            defer { bytes += record.event.storedChunks.reduce(0) { $0 + $1.bytes } }
            return bytes < Self.batchBytes
        }
        if events.count < batch.events.count {
            // A command is not taken apart; one that is larger than a batch is one.
            let end = batch.events[...events.count].endOfWholeCommands
            events = batch.events.prefix(end > 0 ? end : batch.events.endOfFirstCommand)
        }
        var completed = EventBatch(events: Array(events), bytes: batch.bytes, isFull: batch.isFull || events.count < batch.events.count)
        // A content that was pruned may come again.
        var wanted: [CollectionUID: Set<ChunkUID>] = [:]
        for record in events {
            guard case .collection(let collection) = record.stream else { continue }
            wanted[collection, default: []].formUnion(record.event.storedChunks.map(\.uid))
        }
        completed.contents = try TableContents.copies(wanted, log)
        return completed
    }

    /// Writes what the projection does not, in its transaction.
    func write(_ batch: EventBatch, _ connection: any Connection) throws {
        guard let last = batch.events.last else { return }
        try TableContents.write(batch.contents, connection)
        try connection.enqueue(Self.updateMark, [.integer(last.position.rawValue), .integer(last.epoch)])
    }

    /// Deletes the contents that were pruned, once the rows are there: one may have come again since.
    func clean(after batch: EventBatch, _ connection: any Connection) throws {
        for case .revisionsPruned(let event) in batch.events.map(\.event) where !event.chunks.isEmpty {
            try TableContents.deleteUnnamed(Set(event.chunks), of: event.collection, connection)
        }
    }

    /// Looks whether the rows come from this log, which has all that they come from: it is asked after them.
    func check() async throws {
        let (mark, stoken) = try await database.read { connection in
            (
                try EventLog.head(connection),
                try connection.first(Self.selectStoken, []) { (id: $0.integer(0), uid: $0.text(1)) }
            )
        }
        guard mark.position != .none else { return }
        guard try await log.read({ try Epochs($0) }).contain(mark) else {
            throw DatabaseFault(.corrupt, "the read model is of a history that was lost when the log forked: empty its database")
        }
        // Stokens are made with the server's secret.
        guard let stoken, stokens.open(stoken.uid)?.position.rawValue != stoken.id else { return }
        throw DatabaseFault(.corrupt, "the read model is of another server's log")
    }

    /// Where an empty read model begins: the log of an adopted database has no first position of 1.
    func start(at checkpoint: Position) async throws -> Position {
        guard checkpoint == .none else { return checkpoint }
        let base = try await log.read { try Epochs($0).firsts.first.map { $0.position.rawValue - 1 } ?? 0 }
        try await database.write { try Checkpoint.begin(after: Position(rawValue: base), $0) }
        return Position(rawValue: base)
    }

    private static let selectStoken = Statement("SELECT id, uid FROM django_etebase_stoken ORDER BY id DESC LIMIT 1")

    private static let updateMark = Statement("UPDATE apus_log SET position = $1, epoch = $2")
}

extension RandomAccessCollection<RecordedEvent> where Index == Int {
    /// How many of them come before those of the last command, of which there may be more.
    var endOfWholeCommands: Int {
        guard let last else { return 0 }
        return count - reversed().prefix { $0.isOfCommand(of: last) }.count
    }

    /// How many of them are of the same command as the first.
    var endOfFirstCommand: Int {
        guard let first else { return 0 }
        return prefix { $0.isOfCommand(of: first) }.count
    }
}

extension RecordedEvent {
    /// Whether both may have come by one command: what somebody wishes at a moment, of one stream.
    fileprivate func isOfCommand(of other: RecordedEvent) -> Bool {
        // All of an adoption has one moment.
        if case .adopted = event.content { return position == other.position }
        return stream == other.stream && occurredAt == other.occurredAt && actor == other.actor
    }
}
