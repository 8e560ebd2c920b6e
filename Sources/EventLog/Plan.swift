internal import Database
internal import Domain
internal import Sodium

/// What a group needs to know of the log before its submissions are decided: read at one moment.
struct LogView: Sendable {
    struct Stream: Sendable, Unprinted {
        let head: Position
        /// Nil where the key was destroyed.
        let key: [UInt8]?
    }

    let head: LogHead
    /// The group's streams, those without events among them, which get a new key.
    let streams: [StreamID: Stream]
    /// The events that some submission's state does not know yet.
    let tail: [RecordedEvent]

    /// What making it asks, all of it in one round trip.
    static func inquiry(for submissions: [Submission]) -> Inquiry {
        let known = known(submissions)
        var inquiry = Inquiry()
        inquiry.ask(EventLog.queryHead { _ in })
        inquiry.ask(EventLog.query(streams: Array(known.keys)) { _, _, _ in })
        EventLog.ask(touching: known, ahead: &inquiry)
        return inquiry
    }

    /// - Throws: ``LogFault/lost`` when a submission was decided on what is not of this history any more.
    init(for submissions: [Submission], _ connection: any Connection) throws {
        let known = Self.known(submissions)
        var end: LogHead?
        var present: [StreamID: Stream] = [:]
        try connection.run([
            EventLog.queryHead { end = $0 },
            EventLog.query(streams: Array(known.keys)) { present[$0] = Stream(head: $1, key: $2) },
        ])
        guard let end else { throw DatabaseFault(.corrupt, "the log has no head row") }
        head = end
        for past in Set(submissions.map(\.asOf)) where past.epoch != head.epoch || past.position > head.position {
            guard try Epochs(connection).goOn(from: past) else { throw LogFault.lost }
        }
        streams = Dictionary(
            uniqueKeysWithValues: known.keys.map { stream in
                (stream, present[stream] ?? Stream(head: .none, key: Sodium.randomBytes(SecretBox.keyBytes)))
            })
        let moved = known.filter { stream, position in (present[stream]?.head ?? .none) > position }
        var tail: [Position: RecordedEvent] = [:]
        if !moved.isEmpty { try connection.run([EventLog.query(touching: moved) { tail[$0.position] = $0 }]) }
        self.tail = tail.values.sorted { $0.position < $1.position }
    }

    /// The streams of submissions, and up to where they are known: of those that share a stream the one that knows least decides how
    /// much of it is read.
    private static func known(_ submissions: [Submission]) -> [StreamID: Position] {
        var known: [StreamID: Position] = [:]
        for submission in submissions {
            let position = submission.asOf.position
            for stream in submission.streams { known[stream] = min(known[stream] ?? position, position) }
        }
        return known
    }
}

/// What a group of submissions comes to: pure, made from a view of the log and the claims that are known to be taken.
struct Plan: Sendable {
    /// For each submission its part of ``records``, or why it is refused.
    private(set) var outcomes: [Result<Range<Int>, Refusal>] = []
    /// The events at the positions that they get when nobody else appends first.
    private(set) var records: [RecordedEvent] = []
    private(set) var writes: [Write] = []
    /// Taken before, or by the group.
    private var claims: TakenClaims
    private var heads: [StreamID: Position]
    /// What the group's later submissions must know, by the streams that it touches.
    private var tails: [StreamID: [RecordedEvent]] = [:]

    init(_ submissions: [Submission], _ view: LogView, taken: TakenClaims) {
        claims = taken
        heads = view.streams.mapValues(\.head)
        for record in view.tail { note(record) }
        for submission in submissions {
            switch decide(submission) {
            case .failure(let refusal): outcomes.append(.failure(refusal))
            case .success(let events):
                let start = records.count
                for event in events { append(event, submission, after: view.head) }
                outcomes.append(.success(start..<records.count))
                writes += submission.writes(events)
            }
        }
    }

    private mutating func note(_ record: RecordedEvent) {
        for stream in record.streams { tails[stream, default: []].append(record) }
    }

    /// What has happened to the submission's streams since its state was read, in order.
    private func tail(of submission: Submission) -> [RecordedEvent] {
        let found = submission.streams.flatMap { stream in (tails[stream] ?? []).filter { $0.position > submission.asOf.position } }
        guard found.count > 1 else { return found }
        let byPosition = Dictionary(found.map { ($0.position, $0) }) { first, _ in first }
        return byPosition.values.sorted { $0.position < $1.position }
    }

    /// Decides, and again with each claim that it turns out somebody has made already.
    private mutating func decide(_ submission: Submission) -> Result<[Event], Refusal> {
        let tail = tail(of: submission)
        var told: TakenClaims = [:]
        while true {
            let events: [Event]
            do { events = try submission.decide(tail, told) } catch { return .failure(error) }
            guard let conflict = firstConflict(of: events, by: submission.actor) else { return .success(events) }
            let isNews = told.updateValue(conflict.holder, forKey: conflict.claim) == nil
            precondition(isNews, "a decision claims what it knows to be taken")
        }
    }

    /// The first claim of `events` that somebody holds, or that two of them make.
    private mutating func firstConflict(of events: [Event], by actor: Actor) -> (claim: Claim, holder: UserID)? {
        var made: TakenClaims = [:]
        for claim in events.flatMap(\.claims) {
            let holder = claim.holder ?? actor.user ?? UserID(rawValue: 0)
            if let present = claims[claim.claim] ?? made[claim.claim], !(claim.isRepeatable && present == holder) {
                return (claim.claim, present)
            }
            made[claim.claim] = holder
        }
        claims.merge(made) { $1 }
        return nil
    }

    private mutating func append(_ event: Event, _ submission: Submission, after head: LogHead) {
        let position = head.position + (records.count + 1)
        let stream = event.stream == .createdUser ? .user(UserID(rawValue: position.rawValue)) : event.stream
        precondition(event.stream == .createdUser || heads[stream] != nil, "a decision depends on the streams that it appends to")
        let record = RecordedEvent(
            position: position, epoch: head.epoch, stream: stream, previous: heads[stream] ?? .none, actor: submission.actor,
            occurredAt: submission.time, event: event)
        for stream in record.streams { heads[stream] = position }
        records.append(record)
        note(record)
    }
}
