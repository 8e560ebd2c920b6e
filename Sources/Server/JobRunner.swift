internal import API
internal import Database
internal import Domain
internal import Logging
internal import Pages
internal import ReadModel
internal import ServiceLifecycle
internal import Sodium
internal import Synchronization

/// Does the long work that was ordered on pages, in the process that took the order.
///
/// A job is a row in the log's database (``Jobs``), so it goes on when the page is closed and any process shows it. Beside the work a task
/// says every second how far it is, and looks whether somebody wants it to stop. Work is stopped by cancelling it: it leaves nothing half
/// done, or, like an erasure, has said before that it cannot be stopped any more. When the process is told to end its jobs are stopped
/// likewise.
final class JobRunner: Service {
    private struct Order: Sendable {
        let id: String
        let kind: Job.Kind
        let user: UserID?
        let actor: Actor
    }

    /// What came of a job.
    struct Outcome: Sendable {
        let state: Job.State
        let found: [String]

        init(_ state: Job.State, _ found: [String]) { (self.state, self.found) = (state, found) }
    }

    /// A job, as its work sees it.
    final class Course: Sendable {
        private let state = Mutex<Job.Progress>(.init())
        private let decided = Mutex(false)
        private let close: @Sendable () async throws -> Bool

        init(_ close: @escaping @Sendable () async throws -> Bool) { self.close = close }

        var progress: Job.Progress { state.withLock { $0 } }
        /// Whether it is not stopped any more.
        var isFinal: Bool { decided.withLock { $0 } }

        /// Says how far it is.
        @Sendable func advance(_ reached: Int64, of whole: Int64) { state.withLock { $0 = .init(reached, of: whole) } }

        /// Says that it is not to be stopped from here on.
        ///
        /// - Throws: `CancellationError` where it was stopped before.
        @Sendable func makeFinal() async throws {
            try Task.checkCancellation()
            decided.withLock { $0 = true }
            guard try await !close() else { return }
            decided.withLock { $0 = false }
            throw CancellationError()
        }
    }

    private static let interval = Duration.seconds(1)
    /// How many there may be at a time: each may take a processor, and as much room again as the database has.
    private static let limit = 8

    /// Does a job.
    typealias Work = @Sendable (_ kind: Job.Kind, _ user: UserID?, _ actor: Actor, _ course: Course) async throws -> Outcome

    private let work: Work
    private let jobs: Jobs
    private let logger: Logger
    private let name = Sodium.randomAlphanumerics(12)
    private let (orders, taker) = AsyncStream<Order>.makeStream(bufferingPolicy: .bufferingOldest(limit))

    init(_ database: any Database, logger: Logger, _ work: @escaping Work) {
        self.work = work
        self.logger = logger
        jobs = Jobs(database)
    }

    /// Orders a job.
    ///
    /// - Returns: its id; that of the one that is at work where the same is ordered again.
    /// - Throws: `DatabaseFault`.
    func order(_ kind: Job.Kind, _ user: UserID?, _ actor: Actor) async throws -> String {
        let (id, isNew) = try await jobs.begin(kind, of: user, by: name, at: Node.clock())
        guard isNew else { return id }
        guard case .enqueued = taker.yield(Order(id: id, kind: kind, user: user, actor: actor)) else {
            try await jobs.end(id, .failed, [JobWords.tooMany], .init(), at: Node.clock())
            return id
        }
        return id
    }

    func run() async throws {
        await withDiscardingTaskGroup { group in
            for await order in orders.cancelOnGracefulShutdown() { group.addTask { await self.carryOut(order) } }
            taker.finish()
        }
    }

    private func carryOut(_ order: Order) async {
        let course = Course { [jobs] in try await jobs.makeFinal(order.id) }
        let outcome = await withTaskGroup(of: Outcome?.self) { group in
            group.addTask { await self.outcome(of: order, course) }
            group.addTask {
                await self.accompany(order.id, course)
                return nil
            }
            var outcome = Outcome(.stopped, [])
            for await ended in group {
                if let ended { outcome = ended }
                group.cancelAll()
            }
            return outcome
        }
        do { try await jobs.end(order.id, outcome.state, outcome.found, course.progress, at: Node.clock()) } catch {
            logger.warning("what came of a job could not be noted", metadata: ["job": "\(order.id)", "fault": "\(error)"])
        }
    }

    /// Says that it goes on, until it should not.
    private func accompany(_ id: String, _ course: Course) async {
        do {
            while true {
                do { try await cancelWhenGracefulShutdown { try await Task.sleep(for: Self.interval) } } catch {
                    // What cannot be stopped is waited for where the process is to end, with a bound that is not ours.
                    guard course.isFinal else { return }
                    try await Task.sleep(for: Self.interval)
                }
                do {
                    guard try await jobs.goesOn(id, course.progress, at: Node.clock()) || course.isFinal else { return }
                } catch let fault as DatabaseFault {
                    // Whoever needs the database says that it is away.
                    logger.debug("how far a job is could not be noted", metadata: ["job": "\(id)", "fault": "\(fault)"])
                }
            }
        } catch {
            // The work has ended.
        }
    }

    private func outcome(of order: Order, _ course: Course) async -> Outcome {
        do { return try await work(order.kind, order.user, order.actor, course) } catch {
            guard !Task.isCancelled, !(error is CancellationError) else {
                return Outcome(.stopped, order.kind == .erase ? [JobWords.erasureStopped] : [])
            }
            logger.warning("a job could not be done", metadata: ["job": "\(order.id)", "kind": "\(order.kind)", "fault": "\(error)"])
            return Outcome(.failed, [(error as? Refusal)?.words ?? "\(error)"])
        }
    }
}
