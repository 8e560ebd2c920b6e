/// Rewriting what earlier events say, for good: what erasing a user and pruning old revisions do to the log.
///
/// The log keeps its positions, times, streams and seals; only payloads change. A rewritten event has the form that its type
/// has always had, without what is to go, so that whatever reads or replays the log needs to know nothing of it. The row
/// holds the new payload only: the old one is gone from the database, and where the stream is somebody's own it was sealed
/// with a key that is destroyed, so that copies of its bytes elsewhere — free pages, journals, a standby — cannot be read
/// with anything that is still there. (An older backup holds both: it is kept for as long as its operator keeps it.)
///
/// Why the seals still verify: a seal covers a hash of each event, which it keeps, and not the events themselves. Of a
/// rewritten event the seal's hash says what it was, and `apus_redaction` what it is; a hash over all that one redaction
/// has rewritten stands in the event that records it, signed with the key of the seals. So an event may differ from its seal
/// only if an event of the log says so, and only as it says; and whoever cannot make seals cannot make such an event.
///
/// Everything happens in the transaction that appends that event, or not at all.
internal import Database
internal import Domain
internal import Sodium

/// A redaction that is being made.
struct Redaction: Unprinted {
    /// How many events are held in memory; of all others only their positions are.
    private static let pageEvents = 500

    private let connection: any Connection
    private var chain: RedactionChain
    /// The streams that have got another key, which their payloads are sealed with from now on.
    private var keys: [StreamID: [UInt8]] = [:]

    /// Begins one in the caller's writing transaction.
    init(_ connection: any Connection) {
        self.connection = connection
        chain = RedactionChain(id: Sodium.randomBytes(16))
    }

    /// What the recording event says of the redaction.
    func proof(signedWith key: SealKey) -> RedactionProof { chain.proof(signedWith: key) }

    /// Rewrites all events that touch any of `streams`, which get new keys, and lets go of where their actors were.
    ///
    /// - Parameters:
    ///   - end: up to where the caller has seen them.
    ///   - actor: of this user's events the client's address goes too. What the user did in other streams has an address that
    ///     nobody can read without the key of the user's own.
    ///   - rewrite: what an event is from now on.
    /// - Throws: `DatabaseFault` of kind `conflict` when the streams have moved on meanwhile; ``LogFault`` when an event cannot
    ///   be read.
    mutating func rewrite(
        touching streams: [StreamID], upTo end: Position, addressesOf actor: UserID, _ rewrite: (RecordedEvent) -> Event
    ) throws {
        for stream in streams { keys[stream] = Sodium.randomBytes(SecretBox.keyBytes) }
        try rewriteEach(EventLog.positions(touching: streams, upTo: end, connection), of: streams, addressesOf: actor, rewrite)
        guard try EventLog.heads(of: streams, connection) <= end else {
            throw DatabaseFault(.conflict, "somebody has written meanwhile: try again")
        }
        for (stream, key) in keys { try connection.execute(Self.updateKey, [.text(stream.name.rawValue), .blob(key)]) }
    }

    /// Rewrites some events of a stream. Nobody else appends any more when this returns.
    ///
    /// - Parameter rewrite: what an event is from now on.
    /// - Throws: ``LogFault`` when an event cannot be read.
    mutating func rewrite(_ positions: [Position], of stream: StreamID, _ rewrite: (RecordedEvent) -> Event) throws {
        try rewriteEach(positions, of: [stream], addressesOf: nil, rewrite)
    }

    private mutating func rewriteEach(
        _ positions: [Position], of streams: [StreamID], addressesOf actor: UserID?, _ rewrite: (RecordedEvent) -> Event
    ) throws {
        let present = try EventLog.streams(streams, connection)
        var rest = positions[...]
        while !rest.isEmpty {
            let records = try EventLog.history(at: rest.prefix(Self.pageEvents), connection)
            try store(records, present.compactMapValues(\.key), addressesOf: actor, rewrite)
            rest = rest.dropFirst(Self.pageEvents)
        }
        // From here on nobody else appends. Whoever holds the head comes for rows of streams, and not the other way round.
        try EventLog.lockHead(connection)
    }

    private mutating func store(
        _ records: [RecordedEvent], _ known: [StreamID: [UInt8]], addressesOf actor: UserID?, _ rewrite: (RecordedEvent) -> Event
    ) throws {
        let missing = Set(records.map(\.stream)).filter { known[$0] == nil && keys[$0] == nil }
        let present = known.merging(try EventLog.streams(Array(missing), connection).compactMapValues(\.key)) { $1 }
        var payloads: [[Value]] = []
        var addressless: [[Value]] = []
        var rewritten: [Position] = []
        for record in records {
            let position = Value.integer(record.position.rawValue)
            let event = rewrite(record)
            let hasAddress = actor != nil && record.actor.user == actor && record.actor.address != nil
            guard event != record.event || keys[record.stream] != nil || hasAddress else { continue }
            guard let key = keys[record.stream] ?? present[record.stream] else { throw LogFault.unreadable(record.position) }
            let encoded = try EventCodec.encode(event, key: key, at: record.position)
            payloads.append([position, .integer(encoded.version), .blob(encoded.payload)])
            if hasAddress { addressless.append([position]) }
            rewritten.append(record.position)
            try renewClaims(of: record, after: event)
        }
        try connection.enqueue(Self.updatePayload, rows: payloads)
        try connection.enqueue(Self.updateOrigin, rows: addressless)
        let stored = try StoredEvent.at(rewritten, connection)
        try connection.enqueue(
            Self.insertRedaction,
            rows: stored.map { [.blob(chain.id), .integer($0.position.rawValue), .blob($0.hash)] })
        for event in stored { chain.add(event.position, event.hash) }
    }

    /// Lets go of the keys that an event claims no more: a name can then be taken by somebody else.
    private func renewClaims(of record: RecordedEvent, after event: Event) throws {
        let remaining = RecordedEvent(
            position: record.position, epoch: record.epoch, stream: record.stream, previous: record.previous, actor: record.actor,
            occurredAt: record.occurredAt, event: event
        ).claims
        for claim in record.claims where !remaining.contains(where: { $0.claim == claim.claim }) {
            for key in claim.claim.keys { try connection.enqueue(Self.deleteClaim, [.text(key.rawValue)]) }
        }
        for claim in remaining where !record.claims.contains(where: { $0.claim == claim.claim }) {
            try connection.enqueue(
                Self.insertClaim,
                [.text(claim.claim.key.rawValue), .integer(claim.holder?.rawValue ?? 0), .integer(record.position.rawValue)])
        }
    }

    private static let updatePayload = SetStatement(
        update: "apus_event", key: "position", set: ["version": .number, "payload": .bytes])
    private static let updateOrigin = SetStatement(
        update: "apus_event", set: "origin = NULL", key: "position", where: "origin IS NOT NULL")
    private static let insertRedaction = SetStatement(
        insertInto: "apus_redaction", ["redaction": .bytes, "position": .number, "hash": .bytes])
    private static let updateKey = Statement("UPDATE apus_stream SET key = $2 WHERE name = $1")
    private static let deleteClaim = Statement("DELETE FROM apus_claim WHERE key = $1")
    private static let insertClaim = Statement(
        "INSERT INTO apus_claim (key, holder, position) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING")
}

/// The hash over what a redaction has rewritten, made event by event in the order of the log.
struct RedactionChain {
    let id: [UInt8]
    private(set) var count = 0
    private var digest: [UInt8]

    init(id: [UInt8]) {
        self.id = id
        digest = Sodium.blake2b(id, personalization: "apus-redaction")
    }

    mutating func add(_ position: Position, _ hash: [UInt8]) {
        count += 1
        digest = Sodium.blake2b(digest + bigEndian(position.rawValue) + hash, personalization: "apus-redaction")
    }

    func proof(signedWith key: SealKey) -> RedactionProof {
        RedactionProof(id: id, count: count, digest: digest, signature: key.sign(message))
    }

    /// Whether a proof is of what the chain was made of.
    func isWhat(_ proof: RedactionProof) -> Bool { proof.id == id && proof.count == count && proof.digest == digest }

    private var message: [UInt8] { RedactionProof(id: id, count: count, digest: digest, signature: []).message }
}

extension RedactionProof {
    /// What is signed.
    var message: [UInt8] { Array("apus-redaction-1".utf8) + id + bigEndian(Int64(count)) + digest }

    /// Those that events of the log record, as they are signed now: with the key of the event's time, or with a later one.
    static func all(_ connection: any Connection) throws -> [RedactionProof] {
        let recording = try connection.query(selectRecording, [.texts(EventType.recordingRedactions.map(\.rawValue))]) {
            Position(rawValue: $0.integer(0))
        }
        var proofs: [RedactionProof] = []
        for position in recording {
            do { proofs += try EventLog.history(at: [position], connection).compactMap(\.event.redaction) } catch is LogFault {
                // It is found where it lies.
            }
        }
        guard !proofs.isEmpty else { return [] }
        let later = try connection.query(selectLater, []) { ($0.blob(0), $0.blob(1)) }
        let signatures = Dictionary(later) { first, _ in first }
        return proofs.map { proof in
            RedactionProof(id: proof.id, count: proof.count, digest: proof.digest, signature: signatures[proof.id] ?? proof.signature)
        }
    }

    private static let selectRecording = Statement(
        "SELECT position FROM apus_event WHERE type IN [$1 text] ORDER BY position")
    private static let selectLater = Statement("SELECT redaction, signature FROM apus_resigned")
}
