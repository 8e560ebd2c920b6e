package import Database
package import Domain
internal import Foundation
internal import Sodium
internal import Telemetry

/// Appends with one call of the function `apus_append`, which is a transaction of its own: the lock of the head never spans
/// a round trip. What was decided on a view that others have changed since is decided again. Where the session breaks before there
/// is an answer, the log says whether it was appended.
package struct PostgresAppender: Appender {
    /// How often a group is decided on a view that others may change meanwhile. After that the head stays locked while it is
    /// decided: where two front ends contend for a stream, the slower one would lose for seconds.
    private static let freeAttempts = 4
    /// How often it is looked what has become of an append, each time a while after the one before: a server may take a moment to end a
    /// session, and the database may go away again.
    private static let lookups = 5
    /// How often a group is decided again, with claims that turned out to be taken, before its submissions are told to come
    /// later.
    private static let attempts = 32

    private let database: any RemoteDatabase
    private let forked: @Sendable (LogHead) -> Void
    private let announce: @Sendable (Position) -> Void

    /// - Parameters:
    ///   - database: with connections of its own: an append that waits behind questions finds its view outdated.
    ///   - forked: told where a new epoch begins: how much longer the log was before is unknown.
    ///   - announce: told the last position of each append: what wakes a projector in the same process.
    package init(
        database: any RemoteDatabase, forked: @escaping @Sendable (LogHead) -> Void, announce: @escaping @Sendable (Position) -> Void
    ) {
        self.database = database
        self.forked = forked
        self.announce = announce
    }

    /// Begins a new epoch when the database is another one than the epoch was begun in: restored, promoted or copied.
    /// Each append looks too; this is for a server that nobody writes to yet.
    package func recognize() async throws {
        let head = try await database.write { connection in
            let isBegun = try connection.first(Self.beginEpoch, []) { $0.flag(0) } ?? false
            return isBegun ? try EventLog.head(connection) : nil
        }
        if let head { forked(head) }
    }

    package func append(_ group: [Submission]) async throws -> [Result<[RecordedEvent], Refusal>] {
        var taken: TakenClaims = [:]
        var broken: DatabaseFault?
        for attempt in 0..<Self.attempts {
            do {
                let (plan, shift) = try await attempt < Self.freeAttempts ? appendFreely(group, taken) : appendLocked(group, taken)
                if let last = plan.records.last { announce(Position(rawValue: last.position.rawValue + shift)) }
                return plan.answers(shiftedBy: shift)
            } catch let refused as Refused {
                Telemetry.log.count(refused.fault)
                switch refused.fault.kind {
                case .raised("AP002", let message): taken.merge(try Self.claims(message, of: refused.plan)) { $1 }
                case .raised("AP003", _): try await recognize()
                // Streams have moved on: look again and decide again.
                case .raised, .conflict: broken = nil
                // Somebody may have just stored the same chunk; what fails each time has another cause.
                case .constraint: broken = refused.fault
                case .unavailable, .corrupt: throw refused.fault
                }
            }
        }
        if let broken { throw broken }
        throw LogFault.overloaded
    }

    /// What was decided could not be appended.
    private struct Refused: Error {
        let plan: Plan
        let fault: DatabaseFault
    }

    /// Decides, then appends in one call.
    ///
    /// - Returns: the plan, and how far its positions have moved meanwhile.
    private func appendFreely(_ group: [Submission], _ taken: TakenClaims) async throws -> (Plan, shift: Int64) {
        let (plan, view) = try await database.read(.small, asking: { LogView.inquiry(for: group) }) { connection in
            let view = try LogView(for: group, connection)
            return (Plan(group, view, taken: taken), view)
        }
        guard !plan.records.isEmpty else { return (plan, 0) }
        let rows = try Self.rows(plan, view)
        do {
            let base = try await database.atomically(Self.batch(plan, view, rows)) { $0.integer(0) }
            return (plan, base - view.head.position.rawValue)
        } catch let fault as DatabaseFault {
            switch try await outcome(of: rows, after: view.head, fault) {
            case .appended(let position): return (plan, position - plan.records[0].position.rawValue)
            case .never:
                throw Refused(plan: plan, fault: DatabaseFault(.conflict, "the database went away before it was appended"))
            case .unknown: throw Refused(plan: plan, fault: fault)
            }
        }
    }

    /// What has become of rows whose append had no answer.
    private enum Outcome: Sendable {
        /// The first of them has this position.
        case appended(Int64)
        /// They are not in the log, and nobody is left who could append them.
        case never
        case unknown
    }

    /// Looks what has become of rows that were to be appended in a session that broke. Nobody appends meanwhile, and the looking is itself
    /// a commit: what it finds is on every disk that a commit must be on. That a payload is these rows' is sure, for what seals it is random.
    private func outcome(of rows: AppendRows, after head: LogHead, _ fault: DatabaseFault) async throws -> Outcome {
        guard let session = fault.asked, let first = rows.events.first else { return .unknown }
        let place: [Value] = [.integer(head.position.rawValue), .blob(first.encoded.payload)]
        for number in 0..<Self.lookups {
            do {
                let outcome = try await database.write { connection -> Outcome in
                    if number > 0 { try connection.execute(Self.pause, []) }
                    guard try session.hasEnded(connection) else { return .unknown }
                    try connection.enqueue(EventLog.selectHeadForUpdate, [])
                    return try connection.first(Self.selectAppended, place) { .appended($0.integer(0)) } ?? .never
                }
                if case .unknown = outcome { continue }
                return outcome
            } catch let fault as DatabaseFault where fault.isAway {
                // A server that takes over may end its first sessions.
                guard database.isMoving || number == 0 else { return .unknown }
            }
        }
        return .unknown
    }

    private static let pause = Statement("SELECT pg_sleep(0.2)")
    private static let selectAppended = Statement("SELECT position FROM apus_event WHERE position > $1 AND payload = $2")

    /// Decides and appends while nobody else can. Whoever stands still meanwhile loses the session and the lock with it.
    private func appendLocked(_ group: [Submission], _ taken: TakenClaims) async throws -> (Plan, shift: Int64) {
        Telemetry.log.locked.increment()
        return try await database.write { connection in
            try connection.set(.mustNotStandStill())
            try connection.enqueue(EventLog.selectHeadForUpdate, [])
            let view = try LogView(for: group, connection)
            let plan = Plan(group, view, taken: taken)
            guard !plan.records.isEmpty else { return (plan, 0) }
            let batch = Self.batch(plan, view, try Self.rows(plan, view)).map { Query($0.statement, $0.values) { _ in } }
            do { try connection.run(batch) } catch let fault as DatabaseFault { throw Refused(plan: plan, fault: fault) }
            return (plan, 0)
        }
    }

    package func append(after prepare: @escaping @Sendable (any Connection) throws -> Submission) async throws -> [RecordedEvent] {
        let records = try await database.write { connection in
            let submission = try prepare(connection)
            let view = try LogView(for: [submission], connection)
            let plan = Plan([submission], view, taken: [:])
            let records = try plan.single.get()
            guard !records.isEmpty else { return records }
            let batch = Self.batch(plan, view, try Self.rows(plan, view)).map { Query($0.statement, $0.values) { _ in } }
            do { try connection.run(batch) } catch let fault as DatabaseFault {
                guard case .raised(_, let message) = fault.kind else { throw fault }
                throw DatabaseFault(.conflict, "the log has moved on: \(message)")
            }
            return records
        }
        if let last = records.last { announce(last.position) }
        return records
    }

    /// The claims that the function says are taken, and by whom.
    private static func claims(_ message: String, of plan: Plan) throws -> TakenClaims {
        let pairs = try JSONDecoder().decode([TakenKey].self, from: Data(message.utf8))
        let claims = plan.records.flatMap(\.claims)
        let byKey = Dictionary(claims.map { ($0.claim.key, $0.claim) }) { first, _ in first }
        return Dictionary(pairs.compactMap { pair in byKey[ClaimKey(pair.key)].map { ($0, UserID(rawValue: pair.holder)) } }) { first, _ in
            first
        }
    }

    /// `[key, holder]`
    private struct TakenKey: Decodable {
        let key: String
        let holder: Int64

        init(from decoder: any Decoder) throws {
            var fields = try decoder.unkeyedContainer()
            key = try fields.decode(String.self)
            holder = try fields.decode(Int64.self)
        }
    }

    private static func rows(_ plan: Plan, _ view: LogView) throws(LogFault) -> AppendRows {
        try AppendRows(plan.records, keys: view.streams.mapValues(\.key))
    }

    private static func batch(_ plan: Plan, _ view: LogView, _ rows: AppendRows) -> [(statement: Statement, values: [Value])] {
        // The head is locked first, so that nobody waits for a row of somebody who waits for the head.
        let writes =
            plan.writes.isEmpty
            ? [] : [(EventLog.selectHeadForUpdate, [])] + SetStatement.gathered(plan.writes.map { ($0.statement, $0.row) })
        return writes + [(append, rows.arguments(view))]
    }

    static let beginEpoch = Statement("SELECT apus_begin_epoch()")

    static let append = Statement(
        """
        SELECT apus_append(
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
        """)
}

extension LogMetrics {
    /// Why what was decided could not be appended as it was.
    fileprivate func count(_ fault: DatabaseFault) {
        switch fault.kind {
        case .raised("AP002", _): conflicts[.claims].increment()
        case .raised("AP003", _): conflicts[.epoch].increment()
        case .raised: conflicts[.streams].increment()
        case .conflict, .constraint: conflicts[.rows].increment()
        case .unavailable, .corrupt: break
        }
    }
}

extension AppendRows {
    /// The arguments of `apus_append`, column by column. Positions are told as numbers of events, counted from 1: others may have
    /// appended first.
    ///
    /// - Parameter view: what the records were planned on.
    fileprivate func arguments(_ view: LogView) -> [Value] {
        let base = view.head.position.rawValue
        let expected = view.streams.map { (name: $0.key.name.rawValue, head: $0.value.head.rawValue) }
        return [
            .integer(view.head.epoch), .texts(expected.map(\.name)), .integers(expected.map(\.head)),
            .texts(claims.map(\.made.claim.key.rawValue)), .integers(claims.map { Int64($0.event + 1) }),
            .integers(claims.map { events[$0.event].createsUser ? nil : $0.made.holder?.rawValue ?? 0 }),
            .texts(claims.map { $0.made.isRepeatable ? "true" : "false" }),
            .texts(touches.map { events[$0.event].createsUser ? nil : $0.stream.name.rawValue }),
            .integers(touches.map { Int64($0.event + 1) }),
            .blobs(touches.map { key(of: $0.stream) }), .texts(events.map { $0.createsUser ? nil : $0.record.stream.name.rawValue }),
            // A head that this very call makes is told as the number of the event that makes it.
            .integers(events.map(\.record.previous.rawValue).map { $0 > base ? base - $0 : $0 }), .texts(events.map(\.encoded.type)),
            .integers(events.map(\.encoded.version)), .integers(events.map { $0.record.actor.user?.rawValue }),
            .texts(events.map(\.record.actor.session)), .blobs(events.map(\.origin)),
            .integers(events.map(\.record.occurredAt.rawValue)), .blobs(events.map(\.encoded.payload)),
        ]
    }
}
