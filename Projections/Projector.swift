public import Database
internal import Domain
public import EventLog
public import Logging
public import ServiceLifecycle
internal import Sodium
internal import Synchronization

/// Follows the log and projects it, where the append does not do so itself: in PostgreSQL.
///
/// Any number may run; the one that holds the lease is active. The lease is a row with a fence, kept by the database's
/// clock: each batch begins by prolonging it under its fence, which locks the row until the batch is committed, so a
/// projector that has lost the lease without noticing writes nothing.
///
/// An event that cannot be applied is never skipped: the projector stands before it, says so, and tries again, while reads
/// that need it are answered with an error.
public actor Projector: Service {
    private static let batchLimit = 1000
    /// How long a lease is good; a standby takes over this long after the last batch of a holder that died.
    private static let leaseSeconds = 3
    /// How often an idle projector looks at the log by itself, for appends of other processes; and how often when it is told
    /// of those, since what tells may fail.
    private static let pollInterval = Duration.milliseconds(10)
    private static let toldPollInterval = Duration.milliseconds(250)
    /// How often an idle projector prolongs its lease.
    private static let prolongInterval = Duration.seconds(1)
    private static let standbyInterval = Duration.milliseconds(250)
    private static let retryInterval = Duration.milliseconds(500)

    private enum Step: Sendable {
        case applied([RecordedEvent])
        case idle
        case standby
        /// The checkpoint is not where it was thought to be: the end of what is projected may be lost in a crash.
        case moved
    }

    private let log: any Database
    private let database: any Database
    /// Nil where the read model lies beside the log.
    private let replica: Replica?
    private let projection: DjangoProjection
    private let reached: @Sendable ([RecordedEvent]) -> Void
    private let logger: Logger
    private let holder = Sodium.randomAlphanumerics(16)
    private var fence: Int64?
    /// Where the read model is, as far as is known.
    private var checkpoint: Position?
    /// What comes after the batch that was applied last, where it was read already.
    private var upcoming: Replica.Batch?
    private var prolongAt = ContinuousClock.now
    /// Whether standbys of the database may be read from: they get what is on the disk.
    private var hasStandbys = false
    private let isTold = Mutex(false)
    private let wakes: AsyncStream<Void>
    private let wakeContinuation: AsyncStream<Void>.Continuation

    /// - Parameters:
    ///   - log: the log's database.
    ///   - replica: another database that the rows go into; nil for the log's own.
    ///   - reached: told the events of each batch when they are in the read model.
    public init(
        log: any Database, replica: (any Database)? = nil, projection: DjangoProjection, logger: Logger,
        reached: @escaping @Sendable ([RecordedEvent]) -> Void
    ) {
        self.log = log
        database = replica ?? log
        self.replica = replica.map { Replica(log: log, database: $0, stokens: projection.stokens) }
        self.projection = projection
        self.logger = logger
        self.reached = reached
        (wakes, wakeContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Tells that there is something new in the log.
    nonisolated public func wake() { wakeContinuation.yield() }

    /// Sets whether ``wake()`` is called for the appends of other processes too, from now on.
    nonisolated public func isTold(_ isTold: Bool) {
        self.isTold.withLock { $0 = isTold }
        wake()
    }

    /// Projects until the program shuts down, then gives the lease back.
    public func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                while true { try await self.turn() }
            }
        } catch is CancellationError {}
        await release()
    }

    private func turn() async throws {
        do {
            switch try await step() {
            case .applied(let events): reached(events)
            case .idle: await sleep(isTold.withLock { $0 } ? Self.toldPollInterval : Self.pollInterval)
            case .standby: try await Task.sleep(for: Self.standbyInterval)
            case .moved: break
            }
        } catch is CancellationError { throw CancellationError() } catch {
            forget()
            logger.error("the log is not projected any further", metadata: ["fault": "\(error)"])
            try await Task.sleep(for: Self.retryInterval)
        }
        try Task.checkCancellation()
    }

    /// Until somebody says that there is something new, or it is time to look.
    private func sleep(_ duration: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [wakeContinuation] in
                do { try await Task.sleep(for: duration) } catch { return }
                wakeContinuation.yield()
            }
            // Not in a task of the group: a stream ends for good when a task that waits for it is cancelled.
            for await _ in wakes { break }
            group.cancelAll()
        }
    }

    private func forget() { (checkpoint, upcoming) = (nil, nil) }

    private func step() async throws -> Step {
        guard try await holdsLease() else { return .standby }
        let start = try await position()
        let batch = try await takeUpcoming(after: start)
        let isDue = ContinuousClock.now >= prolongAt
        if batch.events.isEmpty {
            // Looking costs no write.
            guard isDue else { return .idle }
            try await checkHistory(at: start)
        }
        if isDue { hasStandbys = try await database.ask(Self.selectStandbys, []) { $0.flag(0) } == [true] }
        prolongAt = .now + Self.prolongInterval
        // While a full batch is written, the next one is read.
        async let next = batch.isFull ? read(after: start + batch.events.count) : nil
        let step = try await apply(batch, after: start)
        switch step {
        case .applied(let events): (checkpoint, upcoming) = (start + events.count, try await next)
        case .idle: break
        case .moved: forget()
        case .standby:
            // Somebody else has it now.
            forget()
            fence = nil
        }
        return step
    }

    private func apply(_ batch: Replica.Batch, after start: Position) async throws -> Step {
        try await database.write { [fence, holder, projection, replica, hasStandbys] connection in
            // The log is durable, and the checkpoint is in this transaction. A holder that stands still in it must not keep
            // the row from a standby for longer than the lease.
            try connection.enqueue(hasStandbys ? Self.mustLastHere : Self.needNotLast, [])
            try connection.enqueue(Self.mustNotStandStill, [])
            let found = try connection.first(Self.prolong, [.text(holder), .integer(orNull: fence)]) { $0.integer(0) }
            guard let found else { return Step.standby }
            guard found == start.rawValue else { return .moved }
            guard !batch.events.isEmpty else { return .idle }
            try replica?.write(batch, connection)
            try projection.apply(batch.events, connection)
            try replica?.clean(after: batch, connection)
            return .applied(batch.events)
        }
    }

    private func takeUpcoming(after start: Position) async throws -> Replica.Batch {
        defer { upcoming = nil }
        if let upcoming { return upcoming }
        return try await read(after: start)
    }

    private func read(after position: Position) async throws -> Replica.Batch {
        try await log.read { [replica] connection in
            let events = try EventLog.events(after: position, limit: Self.batchLimit, connection)
            let batch = Replica.Batch(events: events, isFull: events.count == Self.batchLimit)
            return try replica?.completed(batch, connection) ?? batch
        }
    }

    private func position() async throws -> Position {
        if let checkpoint { return checkpoint }
        let found = try await database.read { connection in
            try connection.first(Statement("SELECT position FROM apus_projection"), []) { Position(rawValue: $0.integer(0)) }
        }
        guard let found else { throw DatabaseFault(.corrupt, "the read model has no checkpoint row: rebuild it") }
        try await checkHistory(at: found)
        let start = try await replica?.start(at: found) ?? found
        checkpoint = start
        return start
    }

    /// A read model that is ahead of the log, or of another history, is none of this log.
    private func checkHistory(at position: Position) async throws {
        let epochs = try await log.read { try Epochs($0) }
        guard position <= epochs.head.position else {
            throw DatabaseFault(
                .corrupt, "the read model is ahead of the log by \(position.rawValue - epochs.head.position.rawValue) events")
        }
        try await replica?.check()
    }

    /// Takes the lease when nobody has it.
    private func holdsLease() async throws -> Bool {
        if fence != nil { return true }
        forget()
        fence = try await database.write { [holder] connection in
            try connection.enqueue(Self.mustNotWait, [])
            return try connection.first(Self.acquire, [.text(holder)]) { $0.integer(0) }
        }
        if fence != nil { logger.info("projecting") }
        return fence != nil
    }

    private func release() async {
        guard let fence else { return }
        do {
            try await database.write { [holder] connection in
                _ = try connection.execute(Self.giveBack, [.text(holder), .integer(fence)])
            }
        } catch { logger.debug("the lease was not given back; it ends by itself", metadata: ["fault": "\(error)"]) }
    }

    private static let selectStandbys = Statement("SELECT EXISTS (SELECT FROM pg_stat_replication)")
    private static let mustLastHere = Statement("SET LOCAL synchronous_commit = local")
    private static let needNotLast = Statement("SET LOCAL synchronous_commit = off")
    private static let mustNotStandStill = Statement("SET LOCAL idle_in_transaction_session_timeout = '2s'")
    private static let mustNotWait = Statement("SET LOCAL lock_timeout = '500ms'")

    private static let acquire = Statement(
        """
        UPDATE apus_projection
        SET    holder = $1, fence = fence + 1, lease_until = clock_timestamp() + make_interval(secs => \(leaseSeconds))
        WHERE  lease_until < clock_timestamp()
        RETURNING fence
        """)

    private static let prolong = Statement(
        """
        UPDATE apus_projection
        SET    lease_until = clock_timestamp() + make_interval(secs => \(leaseSeconds))
        WHERE  holder = $1 AND fence = $2
        RETURNING position
        """)

    private static let giveBack = Statement(
        "UPDATE apus_projection SET lease_until = '-infinity' WHERE holder = $1 AND fence = $2")
}
