package import Database
package import Domain
internal import Foundation
internal import Sodium
internal import Telemetry

/// Appends with one call of the function `apus_append`, which is a transaction of its own: the lock of the head never spans
/// a round trip. What was decided on a view that others have changed since is decided again.
package struct PostgresAppender: Appender {
    /// How often a group is decided on a view that others may change meanwhile. After that the head stays locked while it is
    /// decided: where two front ends contend for a stream, the slower one would lose for seconds.
    private static let freeAttempts = 4
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
        do {
            let base = try await database.atomically(try Self.batch(plan, view)) { $0.integer(0) }
            return (plan, base - view.head.position.rawValue)
        } catch let fault as DatabaseFault { throw Refused(plan: plan, fault: fault) }
    }

    /// Decides and appends while nobody else can. Whoever stands still meanwhile loses the session and the lock with it.
    private func appendLocked(_ group: [Submission], _ taken: TakenClaims) async throws -> (Plan, shift: Int64) {
        Telemetry.log.locked.increment()
        return try await database.write { connection in
            try connection.set(.mustNotStandStill())
            try connection.enqueue(EventLog.selectHeadForUpdate, [])
            let view = try LogView(for: group, connection)
            let plan = Plan(group, view, taken: taken)
            guard !plan.records.isEmpty else { return (plan, 0) }
            let batch = try Self.batch(plan, view).map { Query($0.statement, $0.values) { _ in } }
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
            let batch = try Self.batch(plan, view).map { Query($0.statement, $0.values) { _ in } }
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

    private static func batch(_ plan: Plan, _ view: LogView) throws(LogFault) -> [(statement: Statement, values: [Value])] {
        let rows = try AppendRows(plan.records, keys: view.streams.mapValues(\.key))
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
