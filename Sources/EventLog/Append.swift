public import Database
internal import Domain
internal import Sodium

/// A statement that goes into the append's own transaction, so that what it writes is there exactly when the events are:
/// the contents of chunks.
public struct Write: Sendable {
    public let statement: Statement
    public let values: [Value]

    public init(_ statement: Statement, _ values: [Value]) {
        self.statement = statement
        self.values = values
    }
}

/// Appends to the log inside one writing transaction. What it learns of streams and claims is kept for the length of
/// that transaction, in which nobody else writes.
struct Appender {
    private struct Stream {
        var head: Position
        var key: [UInt8]?
        var isStored: Bool
    }

    let connection: any Connection
    private(set) var head: LogHead
    /// What was appended so far, in order.
    private(set) var appended: [RecordedEvent] = []
    private var streams: [StreamID: Stream] = [:]

    init(_ connection: any Connection) throws {
        self.connection = connection
        head = try EventLog.head(connection)
    }

    /// The events after `position` that touch any of `streams`, oldest first; those appended just now among them.
    mutating func tail(of streams: [StreamID], after position: Position) throws -> [RecordedEvent] {
        var tail: [Position: RecordedEvent] = [:]
        for stream in streams where try load(stream).head > position {
            for event in try EventLog.events(touching: stream, after: position, connection) { tail[event.position] = event }
        }
        return tail.values.sorted { $0.position < $1.position }
    }

    /// The first claim of `events` that somebody holds already, or that two of the events make.
    func firstTakenClaim(of events: [Event]) throws -> (claim: Claim, holder: UserID)? {
        var made: Set<Claim> = []
        for claim in events.flatMap(\.claims) {
            if let holder = try EventLog.holder(of: claim.claim, connection), !(claim.isRepeatable && holder == claim.holder) {
                return (claim.claim, holder)
            }
            if !made.insert(claim.claim).inserted, !claim.isRepeatable {
                return (claim.claim, claim.holder ?? UserID(rawValue: 0))
            }
        }
        return nil
    }

    /// Appends `events` at the next positions. The caller has checked their claims.
    mutating func append(_ events: [Event], by actor: Actor, at time: Timestamp) throws -> [RecordedEvent] {
        var records: [RecordedEvent] = []
        for event in events {
            let position = head.position + 1
            let stream = event.stream == .createdUser ? .user(UserID(rawValue: position.rawValue)) : event.stream
            let record = RecordedEvent(
                position: position, epoch: head.epoch, stream: stream, previous: try load(stream).head, actor: actor, occurredAt: time,
                event: event)
            try insert(record)
            head = LogHead(position: position, epoch: head.epoch)
            records.append(record)
        }
        appended += records
        return records
    }

    /// Writes down where the log ends now.
    func finish() throws {
        try connection.execute(Statement("UPDATE apus_log SET position = $1"), [.integer(head.position.rawValue)])
    }

    private mutating func insert(_ record: RecordedEvent) throws {
        let position = Value.integer(record.position.rawValue)
        for stream in record.streams {
            try move(stream, to: record.position)
            try connection.execute(
                Statement("INSERT INTO apus_stream_event (stream, position) VALUES ($1, $2)"), [.text(stream.name), position])
        }
        for claim in record.event.claims {
            try connection.execute(
                Statement("INSERT INTO apus_claim (key, holder, position) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"),
                [.text(claim.claim.key), .integer(holder(of: claim, in: record).rawValue), position])
        }
        guard let key = try load(record.stream).key else { throw LogFault.unreadable(record.position) }
        let encoded = EventCodec.encode(record.event, key: key)
        try connection.execute(
            Self.insertEvent,
            [
                position, .integer(record.epoch), .text(record.stream.name), .integer(record.previous.rawValue), .text(encoded.type),
                .integer(encoded.version), .integer(orNull: record.actor.user?.rawValue), .text(orNull: record.actor.session),
                .blob(orNull: try origin(of: record.actor)), .integer(record.occurredAt.rawValue), .blob(encoded.payload),
            ])
    }

    /// Without a holder of its own a claim is the actor's, or that of the user whom the event creates.
    private func holder(of claim: ClaimMade, in record: RecordedEvent) -> UserID {
        if let holder = claim.holder { return holder }
        if case .userCreated = record.event { return UserID(rawValue: record.position.rawValue) }
        return record.actor.user ?? UserID(rawValue: 0)
    }

    /// The client's address, sealed for the actor, so that erasing the user erases it in other people's streams too.
    private mutating func origin(of actor: Actor) throws -> [UInt8]? {
        guard let user = actor.user, let address = actor.address, let key = try load(.user(user)).key else { return nil }
        return SecretBox(key: key).seal(Array(address.utf8))
    }

    private mutating func load(_ stream: StreamID) throws -> Stream {
        if let known = streams[stream] { return known }
        let stored = try EventLog.stream(stream, connection)
        let loaded =
            stored.map { Stream(head: $0.head, key: $0.key, isStored: true) }
            ?? Stream(head: .none, key: Sodium.randomBytes(SecretBox.keyBytes), isStored: false)
        streams[stream] = loaded
        return loaded
    }

    private mutating func move(_ stream: StreamID, to position: Position) throws {
        var state = try load(stream)
        if state.isStored {
            try connection.execute(
                Statement("UPDATE apus_stream SET head = $2 WHERE name = $1"), [.text(stream.name), .integer(position.rawValue)])
        } else {
            try connection.execute(
                Statement("INSERT INTO apus_stream (name, head, key) VALUES ($1, $2, $3)"),
                [.text(stream.name), .integer(position.rawValue), .blob(orNull: state.key)])
        }
        state.head = position
        state.isStored = true
        streams[stream] = state
    }

    private static let insertEvent = Statement(
        """
        INSERT INTO apus_event
               (position, epoch, stream, previous, type, version, actor, session, origin, occurred_at, payload)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """)
}
