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
    private static let standbyInterval = Duration.milliseconds(500)
    private static let retryInterval = Duration.milliseconds(500)

    private enum Step: Sendable {
        case applied([RecordedEvent])
        case idle
        case standby
    }

    private let database: any Database
    private let projection: DjangoProjection
    private let reached: @Sendable ([RecordedEvent]) -> Void
    private let logger: Logger
    private let holder = Sodium.randomAlphanumerics(16)
    private var fence: Int64?
    private var prolongAt = ContinuousClock.now
    private let isTold = Mutex(false)
    private let wakes: AsyncStream<Void>
    private let wakeContinuation: AsyncStream<Void>.Continuation

    /// - Parameter reached: told the events of each batch when they are in the read model.
    public init(
        database: any Database, projection: DjangoProjection, logger: Logger, reached: @escaping @Sendable ([RecordedEvent]) -> Void
    ) {
        self.database = database
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
            }
        } catch is CancellationError { throw CancellationError() } catch {
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

    private func step() async throws -> Step {
        guard try await holdsLease() else { return .standby }
        guard try await hasWork() else { return .idle }
        let (held, holder, projection) = (fence, holder, projection)
        let step = try await database.write { connection in
            // The log is durable, and the checkpoint is in this transaction. A holder that stands still in it must not keep
            // the row from a standby for longer than the lease.
            try connection.run(script: "SET LOCAL synchronous_commit = off; SET LOCAL idle_in_transaction_session_timeout = '2s'")
            let isOurs = try connection.execute(Self.prolong, [.text(holder), .integer(orNull: held)]) == 1
            guard isOurs else { return Step.standby }
            let checkpoint = try connection.first(Statement("SELECT position FROM apus_projection"), []) {
                Position(rawValue: $0.integer(0))
            }
            let events = try EventLog.events(after: checkpoint ?? .none, limit: Self.batchLimit, connection)
            guard !events.isEmpty else { return .idle }
            try projection.apply(events, connection)
            return .applied(events)
        }
        // Somebody else has it now.
        if case .standby = step { fence = nil }
        return step
    }

    /// Whether there is something to project, or it is time to prolong the lease. Looking costs no write.
    private func hasWork() async throws -> Bool {
        if ContinuousClock.now >= prolongAt {
            prolongAt = .now + Self.prolongInterval
            return true
        }
        return try await database.read { connection in
            try connection.first(Self.selectLag, []) { $0.integer(0) } ?? 0 > 0
        }
    }

    /// Takes the lease when nobody has it.
    private func holdsLease() async throws -> Bool {
        if fence != nil { return true }
        fence = try await database.write { [holder] connection in
            try connection.run(script: "SET LOCAL lock_timeout = '500ms'")
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

    private static let selectLag = Statement(
        "SELECT log.position - projection.position FROM apus_log log, apus_projection projection")

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
        """)

    private static let giveBack = Statement(
        "UPDATE apus_projection SET lease_until = '-infinity' WHERE holder = $1 AND fence = $2")
}
