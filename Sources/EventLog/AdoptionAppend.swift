public import Database
public import Domain
internal import Sodium

/// Appends adopted records, in the caller's writing transaction, in which nobody else appends.
///
/// Unlike a command they are not decided: they have happened. Whoever appends them puts them into the read model in the same
/// transaction. What is held in memory is one batch.
public struct AdoptionAppend {
    /// How many events are written together.
    private static let batchLimit = 500

    private let connection: any Connection
    private let time: Timestamp
    private var head: LogHead
    private var waiting: [RecordsAdopted] = []
    /// How many events were appended.
    public private(set) var count = 0

    /// Goes on after the last event.
    public init(_ connection: any Connection, at time: Timestamp) throws {
        self.connection = connection
        self.time = time
        head = try EventLog.head(connection)
    }

    /// Lets an empty log begin after a position: its events and stokens are then above everything that has an id already.
    public static func begin(after base: Position, _ connection: any Connection) throws {
        let isEmpty = try EventLog.head(connection).position == .none
        precondition(isEmpty, "only an empty log can begin somewhere else")
        try connection.execute(updateHead, [.integer(base.rawValue)])
        try connection.execute(Statement("UPDATE apus_epoch SET first_position = $1"), [.integer(base.rawValue + 1)])
    }

    /// Appends an event, perhaps not before ``finish()``.
    public mutating func append(_ event: RecordsAdopted) throws {
        waiting.append(event)
        if waiting.count >= Self.batchLimit { try write() }
    }

    /// Appends what waits.
    ///
    /// - Returns: where the log ends.
    public mutating func finish() throws -> Position {
        try write()
        return head.position
    }

    private mutating func write() throws {
        guard !waiting.isEmpty else { return }
        let names = Set(waiting.flatMap { [$0.owner] + Event.recordsAdopted($0).touches })
        let known = try EventLog.streams(Array(names), connection)
        var streams = Dictionary(
            uniqueKeysWithValues: names.map { name in
                (name, known[name] ?? (head: .none, key: Sodium.randomBytes(SecretBox.keyBytes)))
            })
        var events: [[Value]] = []
        var touches: [[Value]] = []
        var claims: [Claim: [Value]] = [:]
        for adopted in waiting {
            head = LogHead(position: head.position + 1, epoch: head.epoch)
            let position = Value.integer(head.position.rawValue)
            let event = Event.recordsAdopted(adopted)
            guard let stream = streams[adopted.owner], let key = stream.key else { throw LogFault.unreadable(head.position) }
            let encoded = try EventCodec.encode(event, key: key, at: head.position)
            events.append([
                position, .integer(head.epoch), .text(adopted.owner.text), .integer(stream.head.rawValue), .text(encoded.type),
                .integer(encoded.version), .integer(time.rawValue), .blob(encoded.payload),
            ])
            for touched in Set([adopted.owner] + event.touches) {
                streams[touched]?.head = head.position
                touches.append([.text(touched.text), position])
            }
            for claim in event.claims {
                claims[claim.claim] = [.text(claim.claim.key.rawValue), .integer(claim.holder?.rawValue ?? 0), position]
            }
        }
        try connection.enqueue(Self.insertEvents, rows: events)
        try connection.enqueue(Self.insertTouches, rows: touches)
        try connection.enqueue(Self.insertClaims, rows: Array(claims.values))
        try connection.enqueue(
            Self.upsertStreams,
            rows: streams.map { [.text($0.key.text), .integer($0.value.head.rawValue), .blob(orNull: $0.value.key)] })
        try connection.enqueue(Self.updateHead, [.integer(head.position.rawValue)])
        count += waiting.count
        waiting.removeAll(keepingCapacity: true)
    }

    private static let updateHead = Statement("UPDATE apus_log SET position = $1")

    private static let insertEvents = SetStatement(
        insertInto: "apus_event",
        [
            "position": .number, "epoch": .number, "stream": .text, "previous": .number, "type": .text, "version": .number,
            "occurred_at": .number, "payload": .bytes,
        ])
    private static let insertTouches = SetStatement(insertInto: "apus_stream_event", ["stream": .text, "position": .number])
    private static let insertClaims = SetStatement(
        insertInto: "apus_claim", ["key": .text, "holder": .number, "position": .number],
        // The log may know better who wrote a revision.
        onConflict: """
            ON CONFLICT (key) DO UPDATE SET holder = CASE WHEN excluded.holder = 0 THEN apus_claim.holder ELSE excluded.holder END
            """)
    private static let upsertStreams = SetStatement(
        insertInto: "apus_stream", ["name": .text, "head": .number, "key": .bytes],
        onConflict: "ON CONFLICT (name) DO UPDATE SET head = excluded.head")
}
