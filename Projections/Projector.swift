package import Clocks
package import Database
internal import Domain
package import EventLog
package import Logging
import ServiceLifecycle
internal import Sodium
internal import Synchronization
internal import Telemetry

/// Follows the log and projects it, where the append does not do so itself: in PostgreSQL.
///
/// Any number may run; the one that holds the lease is active. The lease is a row with a fence, kept by the database's
/// clock: each batch begins by prolonging it under its fence, which locks the row until the batch is committed, so a
/// projector that has lost the lease without noticing writes nothing. So the lock is what keeps others out while a batch is
/// written, however long that takes: a batch has no time, but its statements are short, and a session that stands still between
/// two of them, or whose other end is gone, is ended by the database. While a batch is read the lease is prolonged.
///
/// A batch is bounded in number and in bytes. One that fails is halved, down to one event; so what cannot be applied, or not in
/// time, holds up nothing that comes before it. An event that cannot be applied is never skipped: the projector stands before it,
/// says so (``obstacle``), and tries again, while reads that need it are answered with an error.
package actor Projector: Service {
    private static let batchLimit = 1000
    private static let batchBytes = 8 << 20
    /// How long a lease is good; a standby takes over this long after the last batch of a holder that died.
    private static let leaseSeconds = 3
    /// How often an idle projector looks at the log by itself, for appends of other processes; and how often when it is told
    /// of those, since what tells may fail.
    private static let pollInterval = Duration.milliseconds(10)
    private static let toldPollInterval = Duration.milliseconds(250)
    /// How often an idle projector prolongs its lease.
    private static let prolongInterval = Duration.seconds(1)
    /// How many times what a batch may have a command may have that is one: more than a request may.
    private static let commandShare = 16
    private static let standbyInterval = Duration.milliseconds(250)
    private static let retryInterval = Duration.milliseconds(500)

    private enum Step: Sendable {
        case applied([RecordedEvent])
        case idle
        case standby
        /// The checkpoint is not where it was thought to be: the end of what is projected may be lost in a crash.
        case moved
        /// There is nothing new, and something else to do.
        case counting
    }

    private let log: any Database
    private let database: any Database
    /// Nil where the read model lies beside the log.
    private let replica: Replica?
    private let projection: any Projection
    private let reached: @Sendable ([RecordedEvent]) -> Void
    private let logger: Logger
    private let clock: ServerClock
    private let holder = Sodium.randomAlphanumerics(16)
    private var fence: Int64? {
        didSet { Telemetry.readModel.leads[name].set(fence != nil) }
    }
    /// As what its work is counted.
    private let name: ReadModelMetrics.Name
    /// Where the read model is, as far as is known.
    private var checkpoint: Position?
    /// What comes after the batch that was applied last, where it was read already.
    private var upcoming: Replica.EventBatch?
    /// Whether it is counted what collections hold, or cannot be.
    private var isCounted = false
    private var prolongAt: ContinuousClock.Instant
    /// Whether standbys of the database may be read from: they get what is on the disk.
    private var hasStandbys = false
    /// How many events the next batch may have: fewer after one that failed.
    private var limit = batchLimit
    /// Whether one event of a command may be a batch: it is looked for which one cannot be applied.
    private var takesApart = false
    /// How many events the batch has that is being applied; nil while one is read.
    private var applying: Int?
    /// Where the batch began with which the database went away.
    private var lostAt: Position?
    private let isTold = Mutex(false)
    private let standing = Mutex<Obstacle?>(nil)
    private let wakes: AsyncStream<Void>
    private let wakeContinuation: AsyncStream<Void>.Continuation

    /// - Parameters:
    ///   - log: the log's database.
    ///   - replica: another database that the rows go into; nil for the log's own.
    ///   - clock: what it waits by; leases are the database's.
    ///   - reached: told the events of each batch when they are in the read model.
    package init(
        log: any Database, replica: (any Database)? = nil, projection: any Projection, logger: Logger, clock: ServerClock = .machine,
        reached: @escaping @Sendable ([RecordedEvent]) -> Void
    ) {
        self.log = log
        database = replica ?? log
        name = replica == nil ? .main : .replica
        self.replica = replica.map { Replica(log: log, database: $0, stokens: projection.stokens) }
        self.projection = projection
        self.logger = logger
        self.clock = clock
        prolongAt = clock.now
        self.reached = reached
        (wakes, wakeContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// The event that keeps this projector from going on; nil while none does, and where another projector is active.
    nonisolated package var obstacle: Obstacle? { standing.withLock { $0 } }

    /// Tells that there is something new in the log.
    nonisolated package func wake() { wakeContinuation.yield() }

    /// Sets whether ``wake()`` is called for the appends of other processes too, from now on.
    nonisolated package func isTold(_ isTold: Bool) {
        self.isTold.withLock { $0 = isTold }
        wake()
    }

    /// Projects until the program shuts down, then gives the lease back.
    package func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                try await self.follow()
            }
        } catch is CancellationError {}
        await release()
    }

    /// Projects until the task is cancelled.
    func follow() async throws {
        while true { try await turn() }
    }

    private func turn() async throws {
        do {
            switch try await step() {
            case .applied(let events):
                Telemetry.readModel.projected[name].add(events.count)
                reached(events)
            case .idle: await sleep(isTold.withLock { $0 } ? Self.toldPollInterval : Self.pollInterval)
            case .standby: try await clock.sleep(for: Self.standbyInterval)
            case .moved, .counting: break
            }
        } catch is CancellationError { throw CancellationError() } catch { try await recover(from: error) }
        try Task.checkCancellation()
    }

    /// Looks for what is in the way: with half as many events, down to one command and one event, and when it is one, by its name.
    private func recover(from error: any Error) async throws {
        Telemetry.readModel.faults[name].increment()
        let start = checkpoint
        let isUnavailable = if case .unavailable? = (error as? DatabaseFault)?.kind { true } else { false }
        // A command is tried as a whole first.
        let isOne = limit == 1
        // That there is no database says nothing of a batch, unless it goes away with the same one again. Fewer events at a time let
        // readers see a commit by halves.
        let isAway = (error as? DatabaseFault)?.isAway == true
        let isAlone = takesApart || isOne && isUnavailable
        if !isAway || applying != nil && lostAt == start { limit = max(1, min(limit, applying ?? limit) / 2) }
        if isAway, applying != nil { lostAt = start }
        takesApart = isOne && !isUnavailable
        forget()
        guard isAlone, let start, let obstacle = await obstacle(after: start, error) else {
            logger.error("the log is not projected any further", metadata: ["fault": "\(error)"])
            // What is in the way of many events is looked for at once.
            if isAlone || isUnavailable { try await clock.sleep(for: Self.retryInterval) }
            return
        }
        let isNews = standing.withLock { known in
            defer { known = obstacle }
            return known != obstacle
        }
        logger.log(
            level: isNews ? .error : .debug, "the log is not projected any further: \(obstacle)",
            metadata: ["position": "\(obstacle.position.rawValue)", "type": "\(obstacle.type)", "fault": "\(error)"])
        try await clock.sleep(for: Self.retryInterval)
    }

    /// The next event with why it cannot be applied. Nil when a database is away, or it cannot be told which event it is.
    private func obstacle(after start: Position, _ error: any Error) async -> Obstacle? {
        do {
            try await database.read { _ = try $0.first(Self.selectStart, []) { $0.integer(0) } }
            let line = try await log.read { try EventLog.lines(after: start, limit: 1, $0).first }
            return line.map { Obstacle(at: $0.position, type: $0.type, error) }
        } catch { return nil }
    }

    private func wentOn() {
        limit = min(limit * 2, Self.batchLimit)
        takesApart = false
        standing.withLock { $0 = nil }
    }

    /// Until somebody says that there is something new, or it is time to look.
    private func sleep(_ duration: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [wakeContinuation, clock] in
                do { try await clock.sleep(for: duration) } catch { return }
                wakeContinuation.yield()
            }
            // Not in a task of the group: a stream ends for good when a task that waits for it is cancelled.
            for await _ in wakes { break }
            group.cancelAll()
        }
    }

    private func forget() { (checkpoint, upcoming, isCounted) = (nil, nil, false) }

    private func step() async throws -> Step {
        applying = nil
        guard try await holdsLease() else { return .standby }
        let start = try await position()
        try await countOn()
        let batch = try await takeUpcoming(after: start)
        applying = batch.events.count
        let isDue = clock.now >= prolongAt
        if batch.events.isEmpty {
            // Looking costs no write.
            guard isDue else { return isCounted ? .idle : .counting }
            try await checkHistory(at: start)
        }
        if isDue { hasStandbys = try await database.ask(Self.selectStandbys, []) { $0.flag(0) } == [true] }
        prolongAt = clock.now + Self.prolongInterval
        // While a full batch is written, the next one is read.
        async let next = batch.isFull ? read(after: start + batch.events.count) : nil
        let step = try await apply(batch, after: start)
        switch step {
        case .applied(let events):
            checkpoint = start + events.count
            wentOn()
            async let _: Void = keepLease()
            upcoming = try await next
        case .idle, .counting: break
        case .moved: forget()
        case .standby:
            // Somebody else has it now.
            forget()
            fence = nil
            standing.withLock { $0 = nil }
        }
        return step
    }

    /// Counts what collections hold, a page of the log at a time, where somebody has projected who does not count.
    private func countOn() async throws {
        // What is decided is decided beside the log.
        guard replica == nil, !isCounted else { return }
        do {
            isCounted = try await database.write { [fence, holder] connection in
                try connection.set(.needNotLast)
                try connection.set(.mustNotStandStill(seconds: Self.stillSeconds), .mayTakeLong, .mustNotOutliveUs)
                guard try connection.first(Self.prolong, [.text(holder), .integer(orNull: fence)], { $0.integer(0) }) != nil else {
                    return false
                }
                return try !Counting.goOn(connection)
            }
        } catch let fault as LogFault {
            logger.error("it cannot be counted what collections hold, and quotas do not hold", metadata: ["fault": "\(fault)"])
            isCounted = true
        }
    }

    private func apply(_ batch: Replica.EventBatch, after start: Position) async throws -> Step {
        try await database.write { [fence, holder, projection, replica, hasStandbys] connection in
            // The log is durable, and the checkpoint is in this transaction. A holder that stands still in it must not keep
            // the row from a standby for longer than the lease.
            try connection.set(hasStandbys ? .mustLastHere : .needNotLast)
            let patience = Self.stillSeconds + batch.bytes / Self.bytesPerSecond
            try connection.set(.mustNotStandStill(seconds: patience), .mayTakeLong, .mustNotOutliveUs)
            // What the batch needs is looked up in the same round trip, behind the lease.
            var found: Int64?
            let prolong = Query(Self.prolong, [.text(holder), .integer(orNull: fence)]) { found = $0.integer(0) }
            let look = projection.look(at: batch.events)
            try connection.run([prolong] + (batch.events.isEmpty ? [] : look.queries))
            guard let found else { return Step.standby }
            guard found == start.rawValue else { return .moved }
            guard !batch.events.isEmpty else { return .idle }
            try replica?.write(batch, connection)
            try look.apply(connection)
            try replica?.clean(after: batch, connection)
            return .applied(batch.events)
        }
    }

    private func takeUpcoming(after start: Position) async throws -> Replica.EventBatch {
        defer { upcoming = nil }
        if let upcoming { return upcoming }
        async let _: Void = keepLease()
        return try await read(after: start)
    }

    private func read(after position: Position) async throws -> Replica.EventBatch {
        // A replica's batch has its contents too.
        func ask() -> Inquiry? {
            guard replica == nil else { return nil }
            var inquiry = Inquiry()
            EventLog.ask(batchAfter: position, limit: limit, bytes: Self.batchBytes, ahead: &inquiry)
            return inquiry
        }
        return try await log.read(.large, asking: ask) { [replica, limit, takesApart] connection in
            var (events, bytes, isFull) = try EventLog.batch(after: position, limit: limit, bytes: Self.batchBytes, connection)
            // Readers see at once what a batch brings, so it ends where a command does.
            if isFull, !takesApart {
                var (end, share) = (events.endOfWholeCommands, 1)
                while end == 0, share < Self.commandShare {
                    share *= 2
                    (events, bytes, isFull) = try EventLog.batch(
                        after: position, limit: Self.batchLimit * share, bytes: Self.batchBytes * share, connection)
                    if !isFull || events.endOfFirstCommand < events.count { end = events.endOfFirstCommand }
                }
                if end > 0 {
                    isFull = isFull || end < events.count
                    events.removeSubrange(end...)
                }
            }
            let batch = Replica.EventBatch(events: events, bytes: bytes, isFull: isFull)
            return try replica?.completed(batch, connection) ?? batch
        }
    }

    private func position() async throws -> Position {
        if let checkpoint { return checkpoint }
        let found = try await database.read { connection in
            try connection.first(Self.selectStart, []) { Position(rawValue: $0.integer(0)) }
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

    /// Prolongs the lease again and again while something is done outside of a batch's transaction, until it is cancelled.
    private func keepLease() async {
        while let fence {
            do {
                try await clock.sleep(for: Self.prolongInterval)
                try await database.write { [holder] connection in
                    try connection.set(.hardlyWaits)
                    _ = try connection.first(Self.prolong, [.text(holder), .integer(fence)]) { $0.integer(0) }
                }
            } catch is CancellationError { return } catch {
                logger.debug("the lease was not prolonged", metadata: ["fault": "\(error)"])
            }
        }
    }

    /// Takes the lease when nobody has it.
    private func holdsLease() async throws -> Bool {
        if fence != nil { return true }
        forget()
        fence = try await database.write { [holder] connection in
            try connection.set(.hardlyWaits)
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

    static let selectStandbys = Statement("SELECT EXISTS (SELECT FROM pg_stat_replication)")
    static let selectStart = Statement("SELECT position FROM apus_projection")

    /// How long a session may stand still between two statements, and how much it takes meanwhile of one that is long.
    private static let stillSeconds = 2
    private static let bytesPerSecond = 16 << 20

    /// A lease that is good for longer than any is given was given by another clock: the database's was set back since, or the
    /// server is another one by now. It would keep everybody out until this clock has come as far.
    static let acquire = Statement(
        """
        UPDATE apus_projection
        SET    holder = $1, fence = fence + 1, lease_until = clock_timestamp() + make_interval(secs => \(leaseSeconds))
        WHERE  lease_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + make_interval(secs => \(leaseSeconds))
        RETURNING fence
        """)

    static let prolong = Statement(
        """
        UPDATE apus_projection
        SET    lease_until = clock_timestamp() + make_interval(secs => \(leaseSeconds))
        WHERE  holder = $1 AND fence = $2
        RETURNING position
        """)

    /// It ends now: `/ready` lets whoever comes next have a moment.
    static let giveBack = Statement(
        "UPDATE apus_projection SET lease_until = clock_timestamp() WHERE holder = $1 AND fence = $2")
}
