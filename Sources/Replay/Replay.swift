package import Database
package import Domain
internal import EventLog
package import Projections

/// What a log comes to when it is projected anew, beside the read model that a server works on.
///
/// The replay lies in an SQLite database of its own and follows the log to any position; nothing of it is held in memory.
/// It is compared with the live read model inside one transaction of the live database, and so at one moment. What differed
/// then, and what the replay has touched since, is noted: to mend the live tables only these rows are looked at again.
package struct Replay: Sendable {
    static let pageRows = 500
    /// How many bytes of contents are looked at together, roughly.
    private static let pageBytes = 16 << 20

    package let scratch: SQLiteDatabase
    package let projection: DjangoProjection
    /// How many events are read and projected together.
    var pageEvents = 1000
    /// Told how many events are replayed.
    var advanced: Advanced = { _, _ in }

    /// The log cannot be replayed any further.
    package struct Stop: Error {
        package let fault: String
    }

    /// - Parameter scratch: an empty database with the schema, which is filled.
    package init(scratch: SQLiteDatabase, projection: DjangoProjection) throws {
        self.scratch = scratch
        self.projection = projection
        try scratch.writeWithin { try ReplayTables.prepare($0) }
    }

    /// Where the replay should be, to be compared with the live tables: at their checkpoint, where it can be one.
    package func goal(_ live: any Connection) throws -> Position {
        let head = try EventLog.head(live).position
        return min(try Checkpoint(live)?.position ?? head, head)
    }

    /// Where the replay is; at first where the log begins.
    private func begin(_ live: any Connection) throws -> Position {
        let found = try position()
        guard found == .none else { return found }
        let base = try Epochs(live).base
        try scratch.writeWithin { try Checkpoint.begin(after: base, $0) }
        return base
    }

    func position() throws -> Position {
        try scratch.writeWithin { try Checkpoint($0)?.position } ?? .none
    }

    /// A stretch of the log, as it was read.
    struct EventPage: Sendable {
        let events: [RecordedEvent]
        /// What is wrong with the log there, in words.
        let faults: [String]
        /// Whether it is so near the goal that what is left belongs into the transaction that compares.
        let isLast: Bool
        let end: Position
        let goal: Position
    }

    /// Reads the page of events after a position.
    ///
    /// - Throws: ``Stop`` where it cannot be read.
    private func page(after last: Position, upTo goal: Position, _ live: any Connection) throws -> EventPage {
        let limit = min(pageEvents, Int(goal.rawValue - last.rawValue))
        guard limit > 0 else { return EventPage(events: [], faults: [], isLast: true, end: last, goal: goal) }
        let events: [RecordedEvent]
        do { events = try EventLog.events(after: last, limit: limit, live) } catch let fault as LogFault {
            throw Stop(fault: "log: after position \(last.rawValue): \(fault)")
        }
        guard let end = events.last?.position else {
            throw Stop(fault: "log: it ends at position \(last.rawValue), and should at \(goal.rawValue)")
        }
        for (index, record) in events.enumerated() where record.position != last + (index + 1) {
            throw Stop(fault: "log: position \(last.rawValue + Int64(index) + 1) is missing")
        }
        let epochs = try Epochs(live).firsts
        let misplaced = events.filter { record in record.epoch != epochs.last { $0.position <= record.position }?.epoch }
            .map { "log: position \($0.position.rawValue) is of epoch \($0.epoch), in which it does not lie" }
        let claims = events.flatMap(\.event.claims).map(\.claim)
        let taken = try EventLog.taken(claims, live)
        let missing = claims.filter { taken[$0] == nil }.map { "log: the claim \($0) is missing" }
        return EventPage(events: events, faults: misplaced + missing, isLast: end + pageEvents >= goal, end: end, goal: goal)
    }

    /// Projects a page of events, which is the next one.
    ///
    /// - Returns: what is wrong with the log there, in words.
    /// - Throws: ``Stop`` where it cannot be projected.
    private func apply(_ page: EventPage, _ connection: any Connection) throws -> [String] {
        do {
            let broken = try follow(page.events, connection)
            try ReplayTables.prepare(for: page.events, connection)
            try noteContents(of: page.events, connection)
            try projection.apply(page.events, connection)
            return page.faults + broken
        } catch let fault as DatabaseFault {
            throw Stop(fault: "read model: the events up to position \(page.end.rawValue) cannot be projected: \(fault)")
        }
    }

    /// Projects the log up to where it should be, but for less than a page, which is left to the transaction that compares. While a
    /// page is projected, the next one is read.
    ///
    /// - Returns: what is wrong with the log there, in words.
    func follow(_ database: any Database) async throws -> [String] {
        var faults: [String] = []
        let start = try await database.read { try begin($0) }
        var upcoming: EventPage? = try await database.read { try page(after: start, upTo: goal($0), $0) }
        while let page = upcoming {
            try Task.checkCancellation()
            advanced(page.end.rawValue - start.rawValue - Int64(page.events.count), page.goal.rawValue - start.rawValue)
            async let next = page.isLast ? nil : database.read { [end = page.end] in try self.page(after: end, upTo: goal($0), $0) }
            if !page.events.isEmpty { faults += try await scratch.write { try apply(page, $0) } }
            upcoming = try await next
        }
        return faults
    }

    /// Projects everything up to a position, in the transaction that compares or mends.
    ///
    /// - Returns: what is wrong with the log there, in words.
    package func advance(upTo goal: Position, _ live: any Connection) throws -> [String] {
        var faults: [String] = []
        var last = try begin(live)
        while last < goal {
            let page = try page(after: last, upTo: goal, live)
            faults += try scratch.writeWithin { try apply(page, $0) }
            last = page.end
        }
        return faults
    }

    /// Keeps the heads of the events' streams, and looks whether each follows the last event of its own.
    private func follow(_ events: [RecordedEvent], _ connection: any Connection) throws -> [String] {
        let named = Set(events.map(\.stream.name))
        var heads = Dictionary(
            uniqueKeysWithValues: try connection.query(Self.selectHeadsOf, [.texts(named.map(\.rawValue))]) {
                (StreamName($0.text(0)), $0.integer(1))
            })
        var faults: [String] = []
        for record in events {
            if record.previous.rawValue != heads[record.stream.name] ?? 0 {
                faults.append("log: position \(record.position.rawValue) does not follow its stream's last event")
            }
            for stream in record.streams { heads[stream.name] = record.position.rawValue }
        }
        try connection.enqueue(Self.upsertHeads, rows: heads.map { [.text($0.key.rawValue), .integer($0.value)] })
        return faults
    }

    /// Notes what was stored beside the log with the events.
    private func noteContents(of events: [RecordedEvent], _ connection: any Connection) throws {
        var rows: [[Value]] = []
        for record in events {
            guard case .collection(let collection) = record.stream else { continue }
            rows += record.event.storedChunks.map { chunk in
                [.text(collection.rawValue), .text(chunk.uid.rawValue), .integer(Int64(chunk.bytes)), .blob(chunk.digest)]
            }
        }
        try connection.enqueue(Self.insertContents, rows: rows)
    }

    /// A content that the log says was stored.
    struct StoredContent: Sendable {
        let id: Int64
        let collection: CollectionUID
        let uid: ChunkUID
        /// Empty where nobody knows it.
        let digest: [UInt8]
    }

    /// The next contents that were stored, in the order of the log; so many that they can be held in memory.
    func contents(after last: Int64) async throws -> [StoredContent] {
        try await scratch.write { connection in
            var bytes: Int64 = 0
            let page = try connection.query(Self.selectContents, [.integer(last), .integer(Int64(Self.pageRows))]) { row in
                bytes += row.integer(3)
                let content = StoredContent(
                    id: row.integer(0), collection: CollectionUID(row.text(1)), uid: ChunkUID(row.text(2)), digest: row.blob(4))
                return (content, isInBounds: bytes <= Self.pageBytes)
            }
            return page.enumerated().prefix { $0.offset == 0 || $0.element.isInBounds }.map(\.element.0)
        }
    }

    /// The streams of which the log says less than it should.
    func shortStreams(_ live: any Connection) throws -> [String] {
        try scratch.writeWithin { connection in
            var faults: [String] = []
            var last = ""
            while true {
                let page = try connection.query(Self.selectHeads, [.text(last), .integer(Int64(Self.pageRows))]) {
                    (StreamName($0.text(0)), $0.integer(1))
                }
                let stored = try live.query(Self.selectHeadsOf, [.texts(page.map(\.0.rawValue))]) {
                    (StreamName($0.text(0)), $0.integer(1))
                }
                let heads = Dictionary(stored) { first, _ in first }
                // They may have moved on since.
                for (stream, head) in page where heads[stream] ?? 0 < head {
                    faults.append("log: the head of \(stream.rawValue.visible) is \(heads[stream] ?? 0), and should be \(head)")
                }
                guard let next = page.last?.0.rawValue else { return faults }
                last = next
            }
        }
    }

    private static let upsertHeads = SetStatement(
        insertInto: "apus_stream", ["name": .text, "head": .number], onConflict: "ON CONFLICT (name) DO UPDATE SET head = excluded.head")

    private static let insertContents = SetStatement(
        insertInto: "replay_content", ["collection": .text, "uid": .text, "bytes": .number, "digest": .bytes])

    private static let selectContents = Statement(
        "SELECT id, collection, uid, bytes, digest FROM replay_content WHERE id > $1 ORDER BY id LIMIT $2")

    private static let selectHeads = Statement("SELECT name, head FROM apus_stream WHERE name > $1 ORDER BY name LIMIT $2")

    private static let selectHeadsOf = Statement("SELECT name, head FROM apus_stream WHERE name IN [$1 text]")

}
