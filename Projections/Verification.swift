public import Chunks
public import Database
internal import Domain
public import EventLog

/// Checks a log, and that the read model is what a replay of it gives (G5). A server may go on writing meanwhile.
///
/// The log is projected into an empty database beside the read model, and at one moment the two are compared.
public struct Verification: Sendable {
    let database: any Database
    let replay: Replay
    private let chunks: ChunkStore

    /// What was found.
    public struct Report: Sendable {
        /// How many events were replayed.
        public var events = 0
        /// How many rows of the read model were compared.
        public var rows = 0
        /// What is wrong, and where; empty when all is well.
        public var faults: [String] = []
    }

    /// - Parameters:
    ///   - scratch: an empty database with the schema, which is filled.
    ///   - chunks: where contents lie that have no row.
    public init(database: any Database, scratch: SQLiteDatabase, stokens: StokenSealer, chunks: ChunkStore) throws {
        self.database = database
        self.chunks = chunks
        replay = try Replay(scratch: scratch, projection: DjangoProjection(stokens: stokens))
    }

    /// Checks everything.
    ///
    /// - Throws: `DatabaseFault` when a database cannot be read. What is wrong with the log is in the report.
    public func run() async throws -> Report {
        var report = Report()
        guard let comparison = try await compare(&report) else { return report }
        report.note(comparison)
        try await checkBeside(&report)
        return report
    }

    /// Replays the log up to where the read model is, and compares.
    ///
    /// - Returns: nil when the log cannot be replayed; the report says why.
    func compare(_ report: inout Report) async throws -> Replay.Comparison? {
        do {
            while true {
                // The last page is replayed in the transaction that compares, where nothing moves on.
                let faults: [String]? = try await database.read { [replay] connection in
                    let goal = try replay.goal(connection)
                    guard try replay.position() + Replay.pageEvents < goal else { return nil }
                    return try replay.advance(upTo: goal, connection)
                }
                guard let faults else { break }
                report.faults += faults
            }
            let (faults, comparison, base) = try await database.read { [replay, dialect = database.dialect] connection in
                let faults = try replay.advance(allTo: replay.goal(connection), connection)
                return (faults, try replay.compare(connection, dialect), try Epochs(connection).base)
            }
            report.faults += faults
            report.events = Int(comparison.position.rawValue - base.rawValue)
            report.rows = comparison.rows
            return comparison
        } catch let stop as Replay.Stop {
            report.faults.append(stop.fault)
            return nil
        }
    }

    /// Checks what lies beside the events and the tables that follow from them: heads of streams, contents of chunks.
    func checkBeside(_ report: inout Report) async throws {
        report.faults += try await database.read { [replay] connection in try replay.shortStreams(connection) }
        try await checkChunks(&report)
    }

    /// Looks whether the contents that the log says were stored are there, in the table or in their files, and are the same.
    /// Those of deleted collections are nobody's concern.
    private func checkChunks(_ report: inout Report) async throws {
        let head = try await database.read { try EventLog.head($0).position }
        var last = Position.none
        var found = 0
        while last < head, found < Self.chunkFaults {
            let events = try await database.read { [last] in try EventLog.events(after: last, limit: Replay.pageEvents, $0) }
            guard let end = events.last else { return }
            for event in events.map(\.event) {
                guard case .collection(let collection) = event.stream else { continue }
                for chunk in event.storedChunks {
                    guard let fault = try await fault(of: chunk, in: collection) else { continue }
                    report.faults.append("chunks: the content of \(chunk.uid) of collection \(collection) \(fault)")
                    found += 1
                }
            }
            last = end.position
        }
    }

    private func fault(of chunk: StoredChunk, in collection: CollectionUID) async throws -> String? {
        try await database.read { [chunks] connection in
            let found = try connection.first(Self.selectContent, [.text(collection.rawValue), .text(chunk.uid.rawValue)]) { row in
                (content: row.blobOrNil(0), path: row.text(1))
            }
            guard let found else { return nil }
            guard let content = try found.content ?? chunks.read(found.path) else { return "is missing" }
            // An adopted chunk may have no digest.
            let isSame = chunk.digest.isEmpty || StoredChunk(uid: chunk.uid, content: content) == chunk
            return isSame ? nil : "was changed"
        }
    }

    /// How many faults of chunks are told, roughly.
    private static let chunkFaults = 100

    private static let selectContent = Statement(
        """
        SELECT stored.content, chunk."chunkFile"
        FROM   django_etebase_collection collection
        JOIN   django_etebase_collectionitemchunk chunk ON chunk.collection_id = collection.id
        LEFT   JOIN apus_chunk stored ON stored.collection = collection.uid AND stored.uid = chunk.uid
        WHERE  collection.uid = $1 AND chunk.uid = $2
        """)
}

extension Verification.Report {
    mutating func note(_ comparison: Replay.Comparison) {
        if let checkpoint = comparison.checkpoint { faults.append("read model: \(checkpoint)") }
        faults += comparison.tables.map { table in
            "read model: \(table.name) differs from the log at \(table.key) \(table.first): \(table.words)"
        }
    }
}

extension Replay.Comparison.Table {
    /// How many rows are not as they should be.
    var words: String {
        let counted: [(ReadModelTable.Difference, String)] = [
            (.missing, "missing"), (.unexpected, "unexpected"), (.different, "different"),
        ]
        return counted.compactMap { difference, word in counts[difference].map { "\($0) \(word)" } }.joined(separator: ", ")
    }
}
