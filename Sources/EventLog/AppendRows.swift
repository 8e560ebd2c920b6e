internal import Database
internal import Domain
internal import Sodium

/// The rows of an append, made once from its records: SQLite and adoptions write them as sets, PostgreSQL's function is handed the
/// same columns.
struct AppendRows: Unprinted {
    /// A row of `apus_event`.
    struct Event {
        let record: RecordedEvent
        let encoded: EventCodec.Encoded
        /// The client's address, sealed.
        let origin: [UInt8]?

        /// A user is created by the event; its stream and the holder of its claims are named by the position.
        var createsUser: Bool { record.event.type == .userCreated }
    }

    /// The events, in order.
    private(set) var events: [Event] = []
    /// The streams that the events touch, each with the number of the event, counted from 0.
    private(set) var touches: [(stream: StreamID, event: Int)] = []
    /// The claims that they make.
    private(set) var claims: [(made: ClaimMade, event: Int)] = []
    /// Each stream that is touched once: where it ends now, and the key that it gets where it is new.
    private var streams: [StreamID: (head: Position, key: [UInt8]?)] = [:]

    /// - Parameters:
    ///   - records: at their positions.
    ///   - keys: of the streams that the records belong to, but for those of users whom they create.
    /// - Throws: ``LogFault/unreadable(_:)`` where the key of an event's stream was destroyed.
    init(_ records: [RecordedEvent], keys: [StreamID: [UInt8]?]) throws(LogFault) {
        var keys = keys
        for (number, record) in records.enumerated() {
            for stream in record.streams {
                let key: [UInt8]? = streams[stream].map(\.key) ?? keys[stream] ?? Sodium.randomBytes(SecretBox.keyBytes)
                // Of the streams whose keys are not known only a created user's is new for sure.
                if stream == record.stream, keys[stream] == nil { keys[stream] = .some(key) }
                streams[stream] = (record.position, key)
                touches.append((stream, number))
            }
            for claim in record.claims { claims.append((claim, number)) }
            guard let key = keys[record.stream] ?? nil else { throw .unreadable(record.position) }
            events.append(
                Event(
                    record: record, encoded: try EventCodec.encode(record.event, key: key, at: record.position),
                    origin: record.sealedOrigin(keys)))
        }
    }

    /// The key for a stream where it is new.
    func key(of stream: StreamID) -> [UInt8]? { streams[stream]?.key }

    /// Writes the rows as sets and moves the head, in the caller's writing transaction, in which nobody else appends.
    ///
    /// - Parameter isAdoption: what is adopted may know better than the log who holds a claim, and the last word counts.
    func write(_ connection: any Connection, isAdoption: Bool = false) throws {
        guard let last = events.last?.record.position else { return }
        try connection.enqueue(Self.insertEvents, rows: events.map(\.row))
        try connection.enqueue(Self.insertTouches, rows: touches.map { [.text($0.stream.name.rawValue), position($0.event)] })
        let made = claims.map { claim, event in
            (claim.claim.key, [.text(claim.claim.key.rawValue), .integer(claim.holder?.rawValue ?? 0), position(event)])
        }
        // One that is made twice is one row.
        let rows = Dictionary(made) { isAdoption ? $1 : $0 }
        try connection.enqueue(isAdoption ? Self.upsertClaims : Self.insertClaims, rows: Array(rows.values))
        try connection.enqueue(
            Self.upsertStreams,
            rows: streams.map { [.text($0.key.name.rawValue), .integer($0.value.head.rawValue), .blob(orNull: $0.value.key)] })
        try connection.enqueue(Self.updateHead, [.integer(last.rawValue)])
    }

    private func position(_ event: Int) -> Value { .integer(events[event].record.position.rawValue) }

    private static let insertEvents = SetStatement(
        insertInto: "apus_event",
        [
            "position": .number, "epoch": .number, "stream": .text, "previous": .number, "type": .text, "version": .number,
            "actor": .number, "session": .text, "origin": .bytes, "occurred_at": .number, "payload": .bytes,
        ])
    private static let insertTouches = SetStatement(insertInto: "apus_stream_event", ["stream": .text, "position": .number])
    private static let insertClaims = SetStatement(
        insertInto: "apus_claim", ["key": .text, "holder": .number, "position": .number], onConflict: "ON CONFLICT (key) DO NOTHING")
    private static let upsertClaims = SetStatement(
        insertInto: "apus_claim", ["key": .text, "holder": .number, "position": .number],
        onConflict: """
            ON CONFLICT (key) DO UPDATE SET holder = CASE WHEN excluded.holder = 0 THEN apus_claim.holder ELSE excluded.holder END
            """)
    private static let upsertStreams = SetStatement(
        insertInto: "apus_stream", ["name": .text, "head": .number, "key": .bytes],
        // The key of a stream that is there stays as it is.
        onConflict: "ON CONFLICT (name) DO UPDATE SET head = excluded.head")
    /// Where the log ends.
    static let updateHead = Statement("UPDATE apus_log SET position = $1")
}

extension AppendRows.Event {
    fileprivate var row: [Value] {
        [
            .integer(record.position.rawValue), .integer(record.epoch), .text(record.stream.name.rawValue),
            .integer(record.previous.rawValue),
            .text(encoded.type), .integer(encoded.version), .integer(orNull: record.actor.user?.rawValue),
            .text(orNull: record.actor.session), .blob(orNull: origin), .integer(record.occurredAt.rawValue), .blob(encoded.payload),
        ]
    }
}

extension RecordedEvent {
    /// The claims of the event, each with its holder: without one of its own it is the actor's, or that of the user whom
    /// the event creates.
    var claims: [ClaimMade] {
        event.claims.map { claim in
            guard claim.holder == nil else { return claim }
            let holder = event.type == .userCreated ? UserID(rawValue: position.rawValue) : actor.user
            return ClaimMade(claim: claim.claim, holder: holder, isRepeatable: claim.isRepeatable)
        }
    }

    /// The client's address, sealed for the actor, so that erasing the user erases it in other people's streams too.
    fileprivate func sealedOrigin(_ keys: [StreamID: [UInt8]?]) -> [UInt8]? {
        guard let user = actor.user, let address = actor.address, let key = keys[.user(user)] ?? nil else { return nil }
        return SecretBox(key: key).seal(Array(address.utf8))
    }
}
