/// The log: the truth that everything else is a projection of.
///
/// Pattern: one dense sequence of positions; each event belongs to a stream and moves the heads of all streams that it
/// touches. Commands are queued and committed in groups (``Committer``): in one transaction the group's heads are looked
/// up, each command is decided on the state that it brought and the events that came since, and what was decided is
/// appended, projected and committed, with one flush to the disk for all.
///
/// Invariants: whoever sees position p sees all below p (G2); a command's events are appended together or not at all
/// (G6); a key is claimed once in the whole log; payloads are sealed with a key of their stream. Events are never changed, but
/// by a ``Redaction``, which an event records.
///
/// A new epoch begins where the end of the log may be lost though somebody has seen it: on PostgreSQL with a restored, promoted or
/// copied database, on SQLite with a restored backup. A power cut needs none. On SQLite an event is on the disk before anybody
/// sees it, also after a sync that failed and a process that was killed (``Database/SQLiteDatabase`` says how), so the
/// positions that are gone were seen by nobody. On PostgreSQL an event may be seen a moment before its record is flushed only
/// where `synchronous_commit` is off, which nobody who appends has; where `fsync` is off nothing holds, and the log warns of it.
///
/// Concurrency: the writer of a database is single. Reading takes any connection.
package import Database
package import Domain
internal import Sodium

/// An event at its place in the log.
package struct RecordedEvent: Sendable {
    package let position: Position
    /// Grows when history forks: after a restored backup, or a promoted standby that had lost the end.
    package let epoch: Int64
    /// The stream that it belongs to; never ``StreamID/createdUser``.
    package let stream: StreamID
    /// The head that the stream had before: what a reader has seen last, if it has missed nothing.
    package let previous: Position
    package let actor: Actor
    package let occurredAt: Timestamp
    package let event: Event

    package init(
        position: Position, epoch: Int64, stream: StreamID, previous: Position, actor: Actor, occurredAt: Timestamp, event: Event
    ) {
        self.position = position
        self.epoch = epoch
        self.stream = stream
        self.previous = previous
        self.actor = actor
        self.occurredAt = occurredAt
        self.event = event
    }

    /// All streams whose heads the event moved.
    package var streams: [StreamID] {
        var streams = [stream]
        for touched in event.touches where !streams.contains(touched) { streams.append(touched) }
        return streams
    }
}

/// Where the log ends, or ended.
package struct LogHead: Hashable, Sendable {
    package let position: Position
    package let epoch: Int64

    package init(position: Position, epoch: Int64) {
        self.position = position
        self.epoch = epoch
    }
}

/// Something is wrong with the log itself. Nothing is skipped: whoever meets it stops there.
package enum LogFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// An event of a type or version that this program does not know.
    case unknownEvent(type: String, version: Int64)
    /// An event that cannot be read: the payload was changed, or the key of its stream was destroyed.
    case unreadable(Position)
    /// Too many commands wait; the caller may try again.
    case overloaded
    /// The state of a decision is of a history that was lost when the log forked: it must be read again.
    case lost
    /// The program is shutting down.
    case closed

    /// In words.
    package var description: String {
        switch self {
        case .unknownEvent(let type, let version):
            "the next event, of type \(type) and version \(version), is unknown to this version of apus: use a newer one"
        case .unreadable(let position):
            "position \(position.rawValue) cannot be read: its payload or the key of its stream was changed or lost; a backup may have it"
        case .overloaded: "too many commands wait"
        case .lost: "history has forked since the command was decided"
        case .closed: "the program is ending"
        }
    }
}

/// Questions about the log. Each is answered in the caller's transaction.
package enum EventLog {
    /// Where the log ends.
    package static func head(_ connection: any Connection) throws -> LogHead {
        var head: LogHead?
        try connection.run([queryHead { head = $0 }])
        guard let head else { throw DatabaseFault(.corrupt, "the log has no head row") }
        return head
    }

    /// The question where the log ends.
    package static func queryHead(_ read: @escaping (LogHead) -> Void) -> Query {
        Query(selectHead, []) { row in read(LogHead(position: Position(rawValue: row.integer(0)), epoch: row.integer(1))) }
    }

    static let selectHead = Statement("SELECT position, epoch FROM apus_log")

    /// The events after `position`, in order.
    ///
    /// - Parameter limit: how many at most.
    /// - Throws: ``LogFault`` at the first event that cannot be read.
    package static func events(after position: Position, limit: Int, _ connection: any Connection) throws -> [RecordedEvent] {
        try connection.query(selectAfter, [.integer(position.rawValue), .integer(Int64(limit))], decode)
    }

    /// The next events after `position`, in order: as many as fit, but one at least, however large it is.
    ///
    /// - Parameters:
    ///   - limit: how many at most.
    ///   - bytes: how long their payloads may be together; they are measured before one is read.
    /// - Returns: the events, how long their payloads are together, and whether there may be more of them.
    /// - Throws: ``LogFault`` at the first event that cannot be read.
    package static func batch(
        after position: Position, limit: Int, bytes: Int, _ connection: any Connection
    ) throws -> (events: [RecordedEvent], bytes: Int, isFull: Bool) {
        var total = 0
        let events = try connection.query(
            selectBatch, [.integer(position.rawValue), .integer(Int64(limit)), .integer(Int64(bytes))]
        ) { row in
            total += Int(row.integer(11))
            return try decode(row)
        }
        return (events, total, events.count == limit || total >= bytes)
    }

    /// Asks ahead what ``batch(after:limit:bytes:_:)`` asks.
    package static func ask(batchAfter position: Position, limit: Int, bytes: Int, ahead inquiry: inout Inquiry) {
        inquiry.ask(selectBatch, [.integer(position.rawValue), .integer(Int64(limit)), .integer(Int64(bytes))])
    }

    static let selectBatch = Statement(
        """
        SELECT \(columns), length(event.payload)
        FROM   apus_event event
        LEFT   JOIN apus_stream stream ON stream.name = event.stream
        WHERE  event.position > $1
        AND    event.position <= (SELECT max(measured.position)
                                  FROM   (SELECT next.position, sum(next.bytes) OVER (ORDER BY next.position) - next.bytes AS earlier
                                          FROM   (SELECT position, length(payload) AS bytes
                                                  FROM   apus_event
                                                  WHERE  position > $1
                                                  ORDER  BY position
                                                  LIMIT  $2) next) measured
                                  WHERE  measured.earlier < $3)
        ORDER  BY event.position
        """)

    /// What can be said of an event without its stream's key.
    package struct Line: Sendable {
        package let position: Position
        package let epoch: Int64
        package let occurredAt: Timestamp
        package let type: String
        package let stream: String
        package let actor: UserID?
        package let session: String?
    }

    /// The lines of the events after `position`, in order.
    ///
    /// - Parameter limit: how many at most.
    package static func lines(after position: Position, limit: Int, _ connection: any Connection) throws -> [Line] {
        try connection.query(selectLines, [.integer(position.rawValue), .integer(Int64(limit))]) { row in
            Line(
                position: Position(rawValue: row.integer(0)), epoch: row.integer(1), occurredAt: Timestamp(rawValue: row.integer(2)),
                type: row.text(3), stream: row.text(4), actor: row.integerOrNil(5).map(UserID.init), session: row.textOrNil(6))
        }
    }

    static let selectLines = Statement(
        """
        SELECT position, epoch, occurred_at, type, stream, actor, session
        FROM   apus_event
        WHERE  position > $1
        ORDER  BY position
        LIMIT  $2
        """)

    /// The events after `position` that touch `stream`, in order.
    ///
    /// - Parameter limit: how many at most.
    package static func events(
        touching stream: StreamID, after position: Position, limit: Int = .max, _ connection: any Connection
    ) throws -> [RecordedEvent] {
        var events: [RecordedEvent] = []
        try connection.run([query(touching: stream, after: position, limit: limit) { events.append($0) }])
        return events
    }

    /// The events after `position` that touch `stream`, in order, with the addresses of the clients where they were recorded:
    /// what an audit tells. It costs what it answers, however long the log is.
    ///
    /// - Parameters:
    ///   - times: only what happened then. That costs all that touches the stream after `position`, until there is enough.
    ///   - limit: how many at most.
    ///   - bytes: how long their payloads may be together, but one comes at least; they are measured before one is read.
    /// - Returns: the events, and whether there are no more of them.
    package static func history(
        of stream: StreamID, after position: Position, at times: ClosedRange<Timestamp>, limit: Int, bytes: Int,
        _ connection: any Connection
    ) throws -> (events: [RecordedEvent], isDone: Bool) {
        let place: [Value] = [
            .text(stream.name.rawValue), .integer(position.rawValue), .integer(times.lowerBound.rawValue),
            .integer(times.upperBound.rawValue),
            .integer(Int64(limit) + 1),
        ]
        let measured = try connection.query(times == Timestamp.always ? selectHistory : selectHistoryAtTimes, place) { row in
            (position: Position(rawValue: row.integer(0)), bytes: Int(row.integer(1)))
        }
        var total = 0
        let fitting = measured.prefix(limit).prefix { event in
            defer { total += event.bytes }
            return total == 0 || total + event.bytes <= bytes
        }
        return (try history(at: fitting.map(\.position), connection), fitting.count == measured.count)
    }

    /// The events at `positions`, in order, with the addresses of the clients where they were recorded.
    package static func history(at positions: some Sequence<Position>, _ connection: any Connection) throws -> [RecordedEvent] {
        try connection.query(selectPositions, [.integers(positions.map(\.rawValue))], decodeWithAddress)
    }

    /// Where the events are that touch any of `streams` and happened at one of `times`.
    ///
    /// - Parameter actor: only what this user did; nil for all.
    package static func positions(
        touching streams: [StreamID], by actor: UserID? = nil, at times: ClosedRange<Timestamp>, _ connection: any Connection
    ) throws -> Set<Position> {
        let found = try connection.query(
            actor == nil ? selectTouching : selectTouchingByActor,
            [
                .texts(streams.map(\.name.rawValue)), .integer(times.lowerBound.rawValue), .integer(times.upperBound.rawValue),
            ] + (actor.map { [.integer($0.rawValue)] } ?? [])
        ) { Position(rawValue: $0.integer(0)) }
        return Set(found)
    }

    /// Where the newest events are that touch any of `streams`, newest first. It costs what is asked for of each stream, however long
    /// that is.
    ///
    /// - Parameters:
    ///   - end: only those before it.
    ///   - limit: how many at most.
    package static func newest(
        touching streams: [StreamID], before end: Position, limit: Int, _ connection: any Connection
    ) throws -> [Position] {
        var found: Set<Position> = []
        try connection.run(
            streams.map { stream in
                Query(selectNewest, [.text(stream.name.rawValue), .integer(end.rawValue), .integer(Int64(limit))]) { row in
                    found.insert(Position(rawValue: row.integer(0)))
                }
            })
        return Array(found.sorted(by: >).prefix(limit))
    }

    private static let selectNewest = Statement(
        "SELECT position FROM apus_stream_event WHERE stream = $1 AND position < $2 ORDER BY position DESC LIMIT $3")

    /// The question for the events after `position` that touch `stream`, in order.
    ///
    /// - Parameter limit: how many at most.
    package static func query(
        touching stream: StreamID, after position: Position, limit: Int = .max, _ read: @escaping (RecordedEvent) -> Void
    ) -> Query {
        Query(selectTail, [.text(stream.name.rawValue), .integer(position.rawValue), .integer(Int64(limit))]) { row in
            read(try decode(row))
        }
    }

    /// The question for the events after `position` that touch `stream`, in order: as many as fit, but one at least, however large
    /// it is.
    ///
    /// - Parameters:
    ///   - limit: how many at most.
    ///   - bytes: how long their payloads may be together; they are measured before one is read.
    ///   - read: told each event, and how long its payload is.
    package static func query(
        touching stream: StreamID, after position: Position, limit: Int, bytes: Int, _ read: @escaping (RecordedEvent, Int) -> Void
    ) -> Query {
        let values: [Value] = [
            .text(stream.name.rawValue), .integer(position.rawValue), .integer(Int64(limit)), .integer(Int64(bytes)),
        ]
        return Query(selectBoundedTail, values) { row in read(try decode(row), Int(row.integer(11))) }
    }

    static let selectBoundedTail = Statement(tail(after: "$2", limit: "$3", bytes: "$4"))
    private static let selectUnprojected = Statement(
        tail(after: "(SELECT projection.position FROM apus_projection projection)", limit: "$2", bytes: "$3"))

    private static func tail(after position: String, limit: String, bytes: String) -> String {
        """
        SELECT \(columns), length(event.payload)
        FROM   (SELECT next.position, sum(next.bytes) OVER (ORDER BY next.position) - next.bytes AS earlier
                FROM   (SELECT touched.position, length(named.payload) AS bytes
                        FROM   apus_stream_event touched
                        JOIN   apus_event named ON named.position = touched.position
                        WHERE  touched.stream = $1 AND touched.position > \(position)
                        ORDER  BY touched.position
                        LIMIT  \(limit)) next) measured
        JOIN   apus_event event ON event.position = measured.position
        LEFT   JOIN apus_stream stream ON stream.name = event.stream
        WHERE  measured.earlier < \(bytes)
        ORDER  BY event.position
        """
    }

    /// Where the events up to `end` are that touch any of `streams`, in order.
    static func positions(touching streams: [StreamID], upTo end: Position, _ connection: any Connection) throws -> [Position] {
        try connection.query(selectTouchingUpTo, [.texts(streams.map(\.name.rawValue)), .integer(end.rawValue)]) {
            Position(rawValue: $0.integer(0))
        }
    }

    /// Keeps others from appending until the caller's writing transaction ends. On SQLite its writer is alone anyway.
    package static func lockHead(_ connection: any Connection) throws {
        _ = try connection.query(selectHeadForUpdate, []) { _ in }
    }

    /// What keeps others from appending: the head row stays locked until the transaction ends.
    static let selectHeadForUpdate = Statement("SELECT position FROM apus_log WHERE id = 1{postgres:  FOR UPDATE}")

    private static let selectAfter = Statement(selectEvents + " WHERE event.position > $1 ORDER BY event.position LIMIT $2")

    static let selectTail = Statement(
        """
        \(selectEvents)
        JOIN   apus_stream_event touched ON touched.position = event.position
        WHERE  touched.stream = $1 AND touched.position > $2
        ORDER  BY touched.position
        LIMIT  $3
        """)

    /// Those of `claims` that are taken, and by whom.
    package static func taken(_ claims: [Claim], _ connection: any Connection) throws -> TakenClaims {
        guard !claims.isEmpty else { return [:] }
        var taken: TakenClaims = [:]
        try connection.run([query(taken: claims) { taken[$0] = $1 }])
        return taken
    }

    /// The question which of `claims` are taken, and by whom.
    package static func query(taken claims: [Claim], _ read: @escaping (Claim, UserID) -> Void) -> Query {
        let byKey = Dictionary(claims.flatMap { claim in claim.keys.map { ($0, claim) } }) { first, _ in first }
        return Query(selectClaims, [.texts(byKey.keys.map(\.rawValue).sorted())]) { row in
            if let claim = byKey[ClaimKey(row.text(0))] { read(claim, UserID(rawValue: row.integer(1))) }
        }
    }

    static let selectClaims = Statement("SELECT key, holder FROM apus_claim WHERE key IN [$1 text]")

    /// The last position that touches any of `streams`.
    package static func heads(of streams: [StreamID], _ connection: any Connection) throws -> Position {
        try self.streams(streams, connection).values.map(\.head).max() ?? .none
    }

    /// The heads and keys of those of `streams` that have events.
    static func streams(
        _ streams: [StreamID], _ connection: any Connection
    ) throws -> [StreamID: (head: Position, key: [UInt8]?)] {
        var found: [StreamID: (head: Position, key: [UInt8]?)] = [:]
        try connection.run([query(streams: streams) { found[$0] = ($1, $2) }])
        return found
    }

    /// The question for the heads and keys of those of `streams` that have events.
    package static func query(streams: [StreamID], _ read: @escaping (StreamID, Position, [UInt8]?) -> Void) -> Query {
        let byName = Dictionary(streams.map { ($0.name, $0) }) { first, _ in first }
        return Query(selectStreams, [.texts(byName.keys.map(\.rawValue).sorted())]) { row in
            if let stream = byName[StreamName(row.text(0))] { read(stream, Position(rawValue: row.integer(1)), row.blobOrNil(2)) }
        }
    }

    /// Asks ahead for the heads of streams and of that of a user whom another statement finds (``heads(of:_:)``).
    ///
    /// - Parameters:
    ///   - statement: of ``headsWithUser(_:)``, with its second parameter.
    ///   - isUser: whether that is the user's number, by the answers.
    package static func ask(
        headsOf streams: [StreamID], and statement: Statement, _ parameter: Value, ahead inquiry: inout Inquiry,
        isUser: @escaping @Sendable (UserID, Inquiry.Answers) -> Bool
    ) {
        let known = Set(streams.map(\.name.rawValue))
        let number = inquiry.count
        inquiry.ask(statement, [.texts(Array(known)), parameter], for: selectStreams) { values, answers in
            guard case .texts(let names)? = values.first else { return nil }
            let isAnswered = names.allSatisfy { name in
                guard let name else { return false }
                if known.contains(name) { return true }
                guard case .user(let user)? = StreamID(StreamName(name)) else { return false }
                return isUser(user, answers)
            }
            return isAnswered ? Inquiry.Found(number) : nil
        }
    }

    /// Asks ahead who holds a claim, and for the head of that user's stream.
    package static func ask(holderOf claim: Claim, ahead inquiry: inout Inquiry) {
        guard let key = claim.keys.first, claim.keys.count == 1 else { return }
        let holder = inquiry.ask(query(taken: [claim]) { _, _ in })
        ask(headsOf: [], and: selectHeadOfHolder, .text(key.rawValue), ahead: &inquiry) { user, answers in
            answers.first(holder)?.integer(1) == user.rawValue
        }
    }

    private static let selectHeadOfHolder = headsWithUser("(SELECT holder FROM apus_claim WHERE key = $2)")

    /// The heads of streams, `$1`, and of that of a user whom a subquery in parentheses finds, with the parameter `$2`. For PostgreSQL.
    package static func headsWithUser(_ subquery: String) -> Statement {
        Statement(
            """
            SELECT name, head, key
            FROM   apus_stream
            WHERE  name = ANY(array_append($1::text[], 'user/' || \(subquery)))
            """)
    }

    /// The question for the events that touch any of some streams after a position of each: in no order, and more than once where they
    /// touch several.
    static func query(touching streams: [StreamID: Position], _ read: @escaping (RecordedEvent) -> Void) -> Query {
        let pairs = streams.map { (name: $0.key.name.rawValue, position: $0.value.rawValue) }
        return Query(selectTails, [.texts(pairs.map(\.name)), .integers(pairs.map(\.position))]) { row in read(try decode(row)) }
    }

    /// Asks ahead for the events that touch any of some streams after a position of each, and thereby for those that touch fewer.
    static func ask(touching streams: [StreamID: Position], ahead inquiry: inout Inquiry) {
        let number = inquiry.count
        let known = Dictionary(uniqueKeysWithValues: streams.map { ($0.key.name.rawValue, $0.value.rawValue) })
        inquiry.ask(query(touching: streams) { _ in }, for: selectTails) { values, answers in
            guard values.count == 2, case .texts(let names) = values[0], case .integers(let positions) = values[1] else { return nil }
            let asked = Dictionary(uniqueKeysWithValues: zip(names.compactMap(\.self), positions.compactMap(\.self)))
            guard asked.count == names.count, asked.allSatisfy({ known[$0.key] == $0.value }) else { return nil }
            let rows = answers.rows(number)
            return Inquiry.Found(number, rows: rows.indices.filter { asked[rows[$0].text(11)] != nil })
        }
    }

    static let selectTails = Statement(
        """
        SELECT \(columns), touched.stream
        FROM   PAIRS [$1 text, $2 bigint] AS wanted
        THEN JOIN apus_stream_event touched ON touched.stream = wanted.first AND touched.position > wanted.second
        THEN JOIN apus_event event ON event.position = touched.position
        LEFT   JOIN apus_stream stream ON stream.name = event.stream
        """)

    /// Asks ahead for the events of a stream that are not in the tables beside the log
    /// (``query(touching:after:limit:bytes:_:)``).
    ///
    /// - Parameter isCheckpoint: whether the tables end at a position, by the answers.
    package static func ask(
        unprojected stream: StreamID, limit: Int, bytes: Int, ahead inquiry: inout Inquiry,
        isCheckpoint: @escaping @Sendable (Position, Inquiry.Answers) -> Bool
    ) {
        let name = Value.text(stream.name.rawValue)
        let bounds: [Value] = [.integer(Int64(limit)), .integer(Int64(bytes))]
        let number = inquiry.count
        inquiry.ask(selectUnprojected, [name] + bounds, for: selectBoundedTail) { values, answers in
            guard values.count == 4, values[0] == name, Array(values[2...]) == bounds, case .integer(let position) = values[1],
                isCheckpoint(Position(rawValue: position), answers)
            else { return nil }
            return Inquiry.Found(number)
        }
    }

    /// The streams that the events after `position`, up to `end`, belong to.
    package static func streams(after position: Position, upTo end: Position, _ connection: any Connection) throws -> [StreamID] {
        try connection.query(
            Self.selectStreamsAfter,
            [.integer(position.rawValue), .integer(end.rawValue)]
        ) { StreamID(StreamName($0.text(0))) }.compactMap { $0 }
    }

    static let selectStreams = Statement("SELECT name, head, key FROM apus_stream WHERE name IN [$1 text]")

    private static let columns = """
        event.position, event.epoch, event.stream, event.previous, event.type, event.version, event.actor, event.session,
               event.occurred_at, event.payload, stream.key
        """

    private static let selectEvents = """
        SELECT \(columns)
        FROM   apus_event event
        LEFT   JOIN apus_stream stream ON stream.name = event.stream
        """

    private static let selectEventsWithAddresses = """
        SELECT \(columns), event.origin, origin.key
        FROM   apus_event event
        LEFT   JOIN apus_stream stream ON stream.name = event.stream
        LEFT   JOIN apus_stream origin ON origin.name = 'user/' || event.actor AND event.origin IS NOT NULL
        """

    // The page is cut before anything is joined to it: all times are in the range.
    private static let selectHistory = Statement(
        """
        SELECT event.position, length(event.payload)
        FROM   (SELECT position FROM apus_stream_event WHERE stream = $1 AND position > $2 ORDER BY position LIMIT $5) paged_event
        JOIN   apus_event event ON event.position = paged_event.position
        WHERE  event.occurred_at >= $3 AND event.occurred_at <= $4
        ORDER  BY event.position
        """)

    private static let selectTouchingUpTo = Statement(
        "SELECT DISTINCT position FROM apus_stream_event WHERE stream IN [$1 text] AND position <= $2 ORDER BY position")

    private static let selectHistoryAtTimes = Statement(
        """
        SELECT event.position, length(event.payload)
        FROM   apus_stream_event touched
        JOIN   apus_event event ON event.position = touched.position
        WHERE  touched.stream = $1 AND touched.position > $2 AND event.occurred_at >= $3 AND event.occurred_at <= $4
        ORDER  BY touched.position
        LIMIT  $5
        """)

    private static let selectPositions = Statement(
        "\(selectEventsWithAddresses) WHERE event.position IN [$1 bigint] ORDER BY event.position")

    private static let touching = """
        SELECT event.position
        FROM   apus_stream_event touched
        JOIN   apus_event event ON event.position = touched.position
        WHERE  touched.stream IN [$1 text] AND event.occurred_at >= $2 AND event.occurred_at <= $3
        """

    private static let selectTouching = Statement(touching)
    private static let selectTouchingByActor = Statement(touching + " AND event.actor = $4")

    private static func decode(_ row: any Row) throws -> RecordedEvent { try decode(row, address: nil) }

    /// An address whose key was destroyed with its user is nobody's business any more.
    private static func decodeWithAddress(_ row: any Row) throws -> RecordedEvent {
        guard let origin = row.blobOrNil(11), let key = row.blobOrNil(12), key.count == SecretBox.keyBytes else { return try decode(row) }
        return try decode(row, address: SecretBox(key: key).open(origin).map { String(decoding: $0, as: UTF8.self) })
    }

    private static func decode(_ row: any Row, address: String?) throws -> RecordedEvent {
        let position = Position(rawValue: row.integer(0))
        guard let stream = StreamID(StreamName(row.text(2))), let key = row.blobOrNil(10) else { throw LogFault.unreadable(position) }
        let event = try EventCodec.decode(
            type: row.text(4), version: row.integer(5), payload: row.blob(9), key: key, at: position)
        return RecordedEvent(
            position: position, epoch: row.integer(1), stream: stream, previous: Position(rawValue: row.integer(3)),
            actor: Actor(user: row.integerOrNil(6).map(UserID.init), session: row.textOrNil(7), address: address),
            occurredAt: Timestamp(rawValue: row.integer(8)), event: event)
    }

    static let selectStreamsAfter = Statement(
        "SELECT DISTINCT stream FROM apus_event WHERE position > $1 AND position <= $2")
}
