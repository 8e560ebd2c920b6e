public import Chunks
public import Database
internal import Domain
public import EventLog

/// Checks a log, and that the read model is what a replay of it gives (G5). A server may go on writing meanwhile.
///
/// At one moment the read model's position and a digest of each table are taken. The log up to there is projected into an
/// empty database beside it, and that must have the same digests.
public struct Verification: Sendable {
    private static let pageEvents = 500
    private static let pageRows = 1000

    private let database: any Database
    private let scratch: any Database
    private let projection: DjangoProjection
    private let chunks: ChunkStore

    /// What was found.
    public struct Report: Sendable {
        /// How many events the log has.
        public var events = 0
        /// How many rows of the read model were compared.
        public var rows = 0
        /// What is wrong, and where; empty when all is well.
        public var faults: [String] = []
    }

    /// - Parameters:
    ///   - scratch: an empty database with the schema, which is filled.
    ///   - chunks: where contents lie that have no row.
    public init(database: any Database, scratch: any Database, stokens: StokenSealer, chunks: ChunkStore) {
        self.database = database
        self.scratch = scratch
        projection = DjangoProjection(stokens: stokens)
        self.chunks = chunks
    }

    /// Checks everything.
    ///
    /// - Throws: `DatabaseFault` when a database cannot be read. What is wrong with the log is in the report.
    public func run() async throws -> Report {
        var report = Report()
        let (position, live) = try await database.read { connection in
            let position = try connection.first(Statement("SELECT position FROM apus_projection"), []) { $0.integer(0) }
            return (Position(rawValue: position ?? 0), try ReadModelTable.all.map { try $0.digest(connection) })
        }
        try await replay(upTo: position, &report)
        guard report.faults.isEmpty else { return report }
        let replayed = try await scratch.read { connection in try ReadModelTable.all.map { try $0.digest(connection) } }
        for (table, (live, replayed)) in zip(ReadModelTable.all, zip(live, replayed)) {
            report.rows += live.rows
            guard live != replayed else { continue }
            let place = try await firstDifference(in: table).map { " at \(table.key) \($0)" } ?? ""
            report.faults.append("read model: \(table.name) differs from the log\(place)")
        }
        try await checkChunks(upTo: position, &report)
        return report
    }

    /// Reads the log in order, checks its chains, and projects it into the scratch database.
    private func replay(upTo head: Position, _ report: inout Report) async throws {
        var last = Position.none
        var heads: [StreamID: Position] = [:]
        while last < head {
            let page: [RecordedEvent]
            do {
                let limit = min(Self.pageEvents, Int(head.rawValue - last.rawValue))
                page = try await database.read { [last] in try EventLog.events(after: last, limit: limit, $0) }
            } catch let fault as LogFault {
                report.faults.append("log: after position \(last.rawValue): \(fault)")
                return
            }
            for record in page {
                if record.position != last + 1 {
                    report.faults.append("log: position \(last.rawValue + 1) is missing")
                    return
                }
                if record.previous != heads[record.stream] ?? .none {
                    report.faults.append("log: position \(record.position.rawValue) does not follow its stream's last event")
                }
                for stream in record.streams { heads[stream] = record.position }
                last = record.position
            }
            guard !page.isEmpty else {
                report.faults.append("log: it ends at position \(last.rawValue), and should at \(head.rawValue)")
                return
            }
            try await checkClaims(of: page, &report)
            report.events += page.count
            let applied = try await scratch.write { [projection] connection in
                do { try projection.apply(page, connection) } catch let fault as DatabaseFault { return "\(fault)" }
                return ""
            }
            if !applied.isEmpty {
                report.faults.append(
                    "read model: the events after position \(last.rawValue - Int64(page.count)) cannot be projected: \(applied)")
                return
            }
        }
        try await checkHeads(heads, &report)
    }

    private func checkHeads(_ heads: [StreamID: Position], _ report: inout Report) async throws {
        for (stream, head) in heads {
            let stored = try await database.read { try EventLog.heads(of: [stream], $0) }
            // It may have moved on since.
            if stored < head { report.faults.append("log: the head of \(stream) is \(stored.rawValue), and should be \(head.rawValue)") }
        }
    }

    private func checkClaims(of page: [RecordedEvent], _ report: inout Report) async throws {
        let claims = page.flatMap(\.event.claims).map(\.claim)
        let taken = try await database.read { try EventLog.taken(claims, $0) }
        for claim in claims where taken[claim] == nil { report.faults.append("log: the claim \(claim) is missing") }
    }

    /// The key of the first row that is not the same. The read model may have moved on since it was found to differ.
    private func firstDifference(in table: ReadModelTable) async throws -> Int64? {
        var key: Int64 = 0
        while true {
            let live = try await database.read { [key] in try table.rows(after: key, limit: Self.pageRows, $0) }
            let replayed = try await scratch.read { [key] in try table.rows(after: key, limit: Self.pageRows, $0) }
            for (here, there) in zip(live, replayed) where here.key != there.key || here.values != there.values {
                return min(here.key, there.key)
            }
            guard live.count == replayed.count else {
                return live.count < replayed.count ? replayed[live.count].key : live[replayed.count].key
            }
            guard let last = live.last else { return nil }
            key = last.key
        }
    }

    /// Looks whether the contents that the log says were stored are there, in the table or in their files, and are the same.
    /// Those of deleted collections are nobody's concern.
    private func checkChunks(upTo head: Position, _ report: inout Report) async throws {
        var last = Position.none
        var found = 0
        while last < head, found < Self.chunkFaults {
            let events = try await database.read { [last] in try EventLog.events(after: last, limit: Self.pageEvents, $0) }
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
