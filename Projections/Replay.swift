internal import Database
internal import Domain
internal import EventLog

/// What a log comes to when it is projected anew, beside the read model that a server works on.
///
/// The replay lies in an SQLite database of its own and follows the log to any position; nothing of it is held in memory.
/// It is compared with the live read model inside one transaction of the live database, and so at one moment. What differed
/// then, and what the replay has touched since, is noted: to mend the live tables only these rows are looked at again.
struct Replay: Sendable {
    static let pageEvents = 500
    private static let pageRows = 500

    private let scratch: SQLiteDatabase
    private let projection: DjangoProjection

    /// The log cannot be replayed any further.
    struct Stop: Error {
        let fault: String
    }

    /// What was found at one moment.
    struct Comparison: Sendable {
        struct Table: Sendable {
            let name: String
            let key: String
            var counts: [ReadModelTable.Difference: Int] = [:]
            var first: Int64 = 0
        }

        var position = Position.none
        var rows = 0
        /// What is wrong with the checkpoint, in words.
        var checkpoint: String?
        /// The tables that differ.
        var tables: [Table] = []

        var isSame: Bool { checkpoint == nil && tables.isEmpty }
    }

    /// - Parameter scratch: an empty database with the schema, which is filled.
    init(scratch: SQLiteDatabase, projection: DjangoProjection) throws {
        self.scratch = scratch
        self.projection = projection
        try scratch.writeWithin { connection in
            try connection.run(script: Self.notes)
            // What is there is asked for: of a conflict in a trigger's statement, the statement outside decides.
            for table in ReadModelTable.all {
                for (change, row) in [("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")] {
                    try connection.run(
                        script: """
                            CREATE TRIGGER replay_\(table.name)_\(change) AFTER \(change) ON \(table.name)
                            WHEN NOT EXISTS (SELECT 1 FROM replay_note WHERE name = '\(table.name)' AND row_key = \(row).\(table.key))
                            BEGIN
                                INSERT INTO replay_note (name, row_key) VALUES ('\(table.name)', \(row).\(table.key));
                            END
                            """)
                }
            }
        }
    }

    /// Where the replay should be, to be compared with the live tables: at their checkpoint, where it can be one.
    func goal(_ live: any Connection) throws -> Position {
        let head = try EventLog.head(live).position
        let checkpoint = try Checkpoint(live)?.position ?? head
        if try position() == .none {
            let base = try Epochs(live).base
            try scratch.writeWithin { connection in
                _ = try connection.execute(Statement("UPDATE apus_projection SET position = $1"), [.integer(base.rawValue)])
            }
        }
        return max(checkpoint > head ? head : checkpoint, try position())
    }

    func position() throws -> Position {
        try scratch.writeWithin { try Checkpoint($0)?.position } ?? .none
    }

    /// Projects the next page of events.
    ///
    /// - Returns: what is wrong with the log there, in words.
    /// - Throws: ``Stop`` where it cannot be read or projected.
    func advance(upTo goal: Position, _ live: any Connection) throws -> [String] {
        let last = try position()
        let page: [RecordedEvent]
        do {
            page = try EventLog.events(after: last, limit: min(Self.pageEvents, Int(goal.rawValue - last.rawValue)), live)
        } catch let fault as LogFault {
            throw Stop(fault: "log: after position \(last.rawValue): \(fault)")
        }
        guard !page.isEmpty else {
            throw Stop(fault: "log: it ends at position \(last.rawValue), and should at \(goal.rawValue)")
        }
        for (index, record) in page.enumerated() where record.position != last + (index + 1) {
            throw Stop(fault: "log: position \(last.rawValue + Int64(index) + 1) is missing")
        }
        let epochs = try Epochs(live).firsts
        let misplaced = page.filter { record in record.epoch != epochs.last { $0.position <= record.position }?.epoch }
            .map { "log: position \($0.position.rawValue) is of epoch \($0.epoch), in which it does not lie" }
        let claims = page.flatMap(\.event.claims).map(\.claim)
        let taken = try EventLog.taken(claims, live)
        let missing = claims.filter { taken[$0] == nil }.map { "log: the claim \($0) is missing" }
        do {
            return try scratch.writeWithin { connection in
                let broken = try page.flatMap { try follow($0, connection) }
                try projection.apply(page, connection)
                return misplaced + missing + broken
            }
        } catch let fault as DatabaseFault {
            throw Stop(fault: "read model: the events after position \(last.rawValue) cannot be projected: \(fault)")
        }
    }

    /// Projects everything up to a position.
    func advance(allTo goal: Position, _ live: any Connection) throws -> [String] {
        var faults: [String] = []
        while try position() < goal { faults += try advance(upTo: goal, live) }
        return faults
    }

    /// Keeps the heads of the event's streams, and looks whether it follows the last event of its own.
    private func follow(_ record: RecordedEvent, _ connection: any Connection) throws -> [String] {
        let head = try EventLog.heads(of: [record.stream], connection)
        for stream in record.streams {
            try connection.execute(Self.upsertHead, [.text(stream.text), .integer(record.position.rawValue)])
        }
        guard record.previous != head else { return [] }
        return ["log: position \(record.position.rawValue) does not follow its stream's last event"]
    }

    /// The streams of which the log says less than it should.
    func shortStreams(_ live: any Connection) throws -> [String] {
        try scratch.writeWithin { connection in
            var faults: [String] = []
            var last = ""
            while true {
                let page = try connection.query(Self.selectHeads, [.text(last), .integer(Int64(Self.pageRows))]) {
                    ($0.text(0), $0.integer(1))
                }
                let stored = try live.query(Self.selectLiveHeads, [.texts(page.map(\.0))]) { ($0.text(0), $0.integer(1)) }
                let heads = Dictionary(stored) { first, _ in first }
                // They may have moved on since.
                for (stream, head) in page where heads[stream] ?? 0 < head {
                    faults.append("log: the head of \(stream) is \(heads[stream] ?? 0), and should be \(head)")
                }
                guard let next = page.last?.0 else { return faults }
                last = next
            }
        }
    }

    /// Compares the live tables with the replay, which is brought to where they are, and notes the rows that differ.
    func compare(_ live: any Connection, _ dialect: Dialect) throws -> Comparison {
        var comparison = Comparison()
        let (head, checkpoint) = (try EventLog.head(live).position, try Checkpoint(live))
        comparison.position = try position()
        try scratch.writeWithin { connection in
            try connection.execute(Statement("DELETE FROM replay_note"), [])
            let replayed = try Checkpoint(connection)
            switch checkpoint {
            case nil: comparison.checkpoint = "there is no checkpoint"
            case let found? where found.position > head:
                comparison.checkpoint = "the checkpoint is \(found.position.rawValue), and the log ends at \(head.rawValue)"
            case let found? where dialect == .sqlite && found.position != head:
                comparison.checkpoint = "the checkpoint is \(found.position.rawValue), and should be \(head.rawValue)"
            case let found? where found != replayed: comparison.checkpoint = "the checkpoint differs from the log"
            default: break
            }
            for table in ReadModelTable.all {
                var differing = Comparison.Table(name: table.name, key: table.key)
                comparison.rows += try table.compare(live, connection) { key, difference in
                    if differing.counts.isEmpty { differing.first = key }
                    differing.counts[difference, default: 0] += 1
                    try connection.execute(Self.insertNote, [.text(table.name), .integer(key)])
                }
                if !differing.counts.isEmpty { comparison.tables.append(differing) }
            }
        }
        return comparison
    }

    /// Brings the live tables to where the replay is, in the caller's writing transaction: the rows that were noted.
    ///
    /// - Returns: how many rows were changed.
    func mend(_ live: any Connection) throws -> Int {
        try scratch.writeWithin { connection in
            var changed = 0
            // What has to go goes first, so that nothing that comes finds its unique values taken. Foreign keys are looked at
            // when the transaction ends.
            for table in ReadModelTable.all {
                changed += try eachNoted(table, connection) { keys in try remove(keys, table, live, connection) }
            }
            for table in ReadModelTable.all {
                changed += try eachNoted(table, connection) { keys in try restore(keys, table, live, connection) }
            }
            try live.execute(Self.deleteTokens, [])
            guard let checkpoint = try Checkpoint(connection) else {
                throw DatabaseFault(.corrupt, "the replay has no checkpoint row")
            }
            try checkpoint.save(live)
            return changed
        }
    }

    private func eachNoted(_ table: ReadModelTable, _ connection: any Connection, _ body: ([Int64]) throws -> Int) throws -> Int {
        var changed = 0
        var last = Int64.min
        while true {
            let keys = try connection.query(
                Self.selectNotes, [.text(table.name), .integer(last), .integer(Int64(Self.pageRows))]
            ) { $0.integer(0) }
            guard let next = keys.last else { return changed }
            changed += try body(keys)
            last = next
        }
    }

    /// Goes through the keys of a table that were noted, page by page, with the replay.
    func eachNoted(_ table: ReadModelTable, _ body: ([Int64], any Connection) throws -> Void) throws {
        try scratch.writeWithin { connection in
            _ = try eachNoted(table, connection) { keys in
                try body(keys, connection)
                return 0
            }
        }
    }

    private func remove(
        _ keys: [Int64], _ table: ReadModelTable, _ live: any Connection, _ replayed: any Connection
    ) throws -> Int {
        let (present, wanted) = (try table.rows(keys: keys, live), try table.rows(keys: keys, replayed))
        let unexpected = present.keys.filter { wanted[$0] == nil }
        let different = present.filter { key, values in wanted[key].map { $0 != values } ?? false }.map(\.key)
        guard let parked = table.parked else {
            // Those that are different are inserted again.
            try table.delete(keys: unexpected + different, live)
            return unexpected.count
        }
        try table.delete(keys: unexpected, live)
        try live.enqueue(
            Statement(list: "UPDATE \(table.name) SET \(parked) = ' ' || \(table.key) WHERE \(table.key) IN [$1 bigint]"),
            [.integers(different)])
        return unexpected.count
    }

    private func restore(
        _ keys: [Int64], _ table: ReadModelTable, _ live: any Connection, _ replayed: any Connection
    ) throws -> Int {
        let (present, wanted) = (try table.rows(keys: keys, live), try table.rows(keys: keys, replayed))
        let missing = wanted.filter { present[$0.key] == nil }.sorted { $0.key < $1.key }
        let different = wanted.filter { key, values in present[key].map { $0 != values } ?? false }
        try table.insert(missing.map { ($0.key, $0.value) }, live)
        for (key, values) in different { try table.update((key, values), live) }
        return missing.count + different.count
    }

    private static let notes = """
        CREATE TABLE replay_note (
            name    TEXT    NOT NULL,
            row_key INTEGER NOT NULL,
            PRIMARY KEY (name, row_key)
        ) STRICT, WITHOUT ROWID
        """

    private static let insertNote = Statement("INSERT OR IGNORE INTO replay_note (name, row_key) VALUES ($1, $2)")

    private static let selectNotes = Statement(
        "SELECT row_key FROM replay_note WHERE name = $1 AND row_key > $2 ORDER BY row_key LIMIT $3")

    private static let upsertHead = Statement(
        "INSERT INTO apus_stream (name, head) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET head = excluded.head")

    private static let selectHeads = Statement("SELECT name, head FROM apus_stream WHERE name > $1 ORDER BY name LIMIT $2")

    private static let selectLiveHeads = Statement(list: "SELECT name, head FROM apus_stream WHERE name IN [$1 text]")

    /// Sessions of users of whom the log knows nothing.
    private static let deleteTokens = Statement(
        "DELETE FROM token_auth_authtoken WHERE user_id NOT IN (SELECT id FROM myauth_user)")
}

/// How far a read model is, and the last ids that were given there.
private struct Checkpoint: Equatable {
    let position: Position
    let lastChunkID: Int64
    let lastRelationID: Int64

    /// Nil where the row is missing.
    init?(_ connection: any Connection) throws {
        let row = try connection.first(Statement("SELECT position, last_chunk_id, last_relation_id FROM apus_projection"), []) {
            ($0.integer(0), $0.integer(1), $0.integer(2))
        }
        guard let row else { return nil }
        position = Position(rawValue: row.0)
        (lastChunkID, lastRelationID) = (row.1, row.2)
    }

    func save(_ connection: any Connection) throws {
        try connection.execute(Self.upsert, [.integer(position.rawValue), .integer(lastChunkID), .integer(lastRelationID)])
    }

    private static let upsert = Statement(
        """
        INSERT INTO apus_projection (id, position, last_chunk_id, last_relation_id) VALUES (1, $1, $2, $3)
        ON CONFLICT (id) DO UPDATE
        SET position = excluded.position, last_chunk_id = excluded.last_chunk_id, last_relation_id = excluded.last_relation_id
        """)
}
