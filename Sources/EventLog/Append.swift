public import Database
internal import Domain
internal import Sodium

/// A statement that goes into the append's own transaction, so that what it writes is there exactly when the events are:
/// the contents of chunks.
public struct Write: Sendable {
    public let statement: SetStatement
    public let row: [Value]

    public init(_ statement: SetStatement, _ row: [Value]) {
        self.statement = statement
        self.row = row
    }
}

/// Appending inside one writing transaction in which nobody else writes: SQLite's way.
enum LocalAppend {
    /// Plans a group and appends what is planned. The answer's records stand where they say.
    static func commit(_ submissions: [Submission], _ connection: any Connection) throws -> Plan {
        let view = try LogView(for: submissions, connection)
        var taken: TakenClaims = [:]
        while true {
            let plan = Plan(submissions, view, taken: taken)
            let conflicts = try conflicts(of: plan, connection)
            guard !conflicts.isEmpty else {
                try insert(plan, view, connection)
                return plan
            }
            // Each round learns of a claim that is taken, and no plan makes a claim that is known to be.
            taken.merge(conflicts) { $1 }
        }
    }

    private static func conflicts(of plan: Plan, _ connection: any Connection) throws -> TakenClaims {
        let claims = plan.records.flatMap(\.claims)
        let taken = try EventLog.taken(claims.map(\.claim), connection)
        var conflicts: TakenClaims = [:]
        for claim in claims {
            guard let holder = taken[claim.claim], !(claim.isRepeatable && holder == claim.holder) else { continue }
            conflicts[claim.claim] = holder
        }
        return conflicts
    }

    private static func insert(_ plan: Plan, _ view: LogView, _ connection: any Connection) throws {
        guard let last = plan.records.last else { return }
        for write in plan.writes { try connection.enqueue(write.statement, rows: [write.row]) }
        var keys = view.streams.mapValues(\.key)
        for record in plan.records { try insert(record, &keys, connection) }
        try connection.execute(updateHead, [.integer(last.position.rawValue)])
    }

    private static func insert(_ record: RecordedEvent, _ keys: inout [StreamID: [UInt8]?], _ connection: any Connection) throws {
        let position = Value.integer(record.position.rawValue)
        for stream in record.streams {
            let key = keys[stream] ?? Sodium.randomBytes(SecretBox.keyBytes)
            // The key of a stream that is there stays as it is.
            try connection.execute(upsertStream, [.text(stream.name.rawValue), position, .blob(orNull: key)])
            try connection.execute(insertStreamEvent, [.text(stream.name.rawValue), position])
            // Of the streams that are not in the view only a created user's is new for sure.
            if stream == record.stream, keys[stream] == nil { keys[stream] = .some(key) }
        }
        for claim in record.claims {
            let holder = claim.holder?.rawValue ?? 0
            try connection.execute(insertClaim, [.text(claim.claim.key.rawValue), .integer(holder), position])
        }
        guard let key = keys[record.stream] ?? nil else { throw LogFault.unreadable(record.position) }
        let encoded = try EventCodec.encode(record.event, key: key, at: record.position)
        try connection.execute(
            insertEvent,
            [
                position, .integer(record.epoch), .text(record.stream.name.rawValue), .integer(record.previous.rawValue),
                .text(encoded.type),
                .integer(encoded.version), .integer(orNull: record.actor.user?.rawValue), .text(orNull: record.actor.session),
                .blob(orNull: record.sealedOrigin(keys)), .integer(record.occurredAt.rawValue), .blob(encoded.payload),
            ])
    }

    private static let updateHead = Statement("UPDATE apus_log SET position = $1")

    private static let upsertStream = Statement(
        """
        INSERT INTO apus_stream (name, head, key) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET head = excluded.head
        """)

    private static let insertStreamEvent = Statement("INSERT INTO apus_stream_event (stream, position) VALUES ($1, $2)")

    private static let insertClaim = Statement(
        "INSERT INTO apus_claim (key, holder, position) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING")

    private static let insertEvent = Statement(
        """
        INSERT INTO apus_event
               (position, epoch, stream, previous, type, version, actor, session, origin, occurred_at, payload)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """)
}

extension RecordedEvent {
    /// The claims of the event, each with its holder: without one of its own it is the actor's, or that of the user whom
    /// the event creates.
    var claims: [ClaimMade] {
        event.claims.map { claim in
            guard claim.holder == nil else { return claim }
            if case .userCreated = event {
                return ClaimMade(claim: claim.claim, holder: UserID(rawValue: position.rawValue), isRepeatable: claim.isRepeatable)
            }
            return ClaimMade(claim: claim.claim, holder: actor.user, isRepeatable: claim.isRepeatable)
        }
    }

    /// The client's address, sealed for the actor, so that erasing the user erases it in other people's streams too.
    func sealedOrigin(_ keys: [StreamID: [UInt8]?]) -> [UInt8]? {
        guard let user = actor.user, let address = actor.address, let key = keys[.user(user)] ?? nil else { return nil }
        return SecretBox(key: key).seal(Array(address.utf8))
    }
}
