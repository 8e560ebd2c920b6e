internal import Database
public import Domain
public import ServiceLifecycle
internal import Synchronization
internal import Telemetry

/// What a caller wants to happen: a decision, the state it is made on, and what goes with it.
public struct Submission: Sendable {
    let actor: Actor
    let time: Timestamp
    let streams: [StreamID]
    let asOf: LogHead
    let bytes: Int
    let decide: @Sendable (_ tail: [RecordedEvent], _ taken: TakenClaims) throws(Refusal) -> [Event]
    let writes: @Sendable ([Event]) -> [Write]

    /// - Parameters:
    ///   - state: what the caller read.
    ///   - head: where the log ended when it was read.
    ///   - streams: those that the decision depends on.
    ///   - time: when the request was accepted.
    ///   - bytes: how much memory the submission holds while it waits, roughly: contents, meta and keys. It bounds groups and
    ///     the queue.
    ///   - decision: decides on the state, brought up to date with the events since `head` and with claims that turned
    ///     out to be taken. May be called several times; must be pure.
    ///   - writes: what belongs into the same transaction as the events that were decided.
    public init<S: State>(
        on state: S, asOf head: LogHead, streams: [StreamID], by actor: Actor, at time: Timestamp, bytes: Int = 0,
        decision: @escaping @Sendable (S) throws(Refusal) -> [Event],
        writes: @escaping @Sendable ([Event]) -> [Write] = { _ in [] }
    ) {
        self.actor = actor
        self.time = time
        self.streams = streams
        asOf = head
        self.bytes = bytes
        self.writes = writes
        decide = { tail, taken throws(Refusal) in
            var state = state
            state.taken.merge(taken) { $1 }
            for record in tail { state.evolve(record.event, at: record.position) }
            return try decision(state)
        }
    }
}

/// Commits submissions in groups: while one transaction is in flight, new ones queue; the next takes all of them. There
/// is no timer: alone, a submission is committed at once.
///
/// A refused submission changes nothing for the others in its group. When the transaction itself fails, all of them do.
public actor Committer: Service {
    private struct Pending {
        let submission: Submission
        let answer: CheckedContinuation<[RecordedEvent], any Error>
    }

    /// The bounds of one group.
    static let groupSubmissions = 256
    static let groupBytes = 1 << 20
    /// How many submissions may wait, and how much they may hold; more are told to come again. One that finds nobody waiting
    /// is taken however large it is: requests have a limit of their own.
    static let queueLimit = 4096
    static let queueBytes = 128 << 20

    private let appender: any Appender
    private var queue: [Pending] = []
    private var queuedBytes = 0
    private var isClosed = false
    private let lastFailure = Mutex<ContinuousClock.Instant?>(nil)
    /// When the database failed the last group; nil where it did not.
    nonisolated public var failed: ContinuousClock.Instant? { lastFailure.withLock { $0 } }
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    public init(_ appender: any Appender) {
        self.appender = appender
        (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Commits a submission and answers with its events, which are then durable and visible to every reader.
    ///
    /// - Throws: ``Refusal`` when the rules say no, ``LogFault`` or `DatabaseFault` when it could not be done; nothing has
    ///   changed then.
    public func commit(_ submission: Submission) async throws -> [RecordedEvent] {
        guard !isClosed else { throw LogFault.closed }
        guard queue.count < Self.queueLimit, queue.isEmpty || queuedBytes + submission.bytes <= Self.queueBytes else {
            Telemetry.log.overflows.increment()
            throw LogFault.overloaded
        }
        return try await withCheckedThrowingContinuation { answer in
            queue.append(Pending(submission: submission, answer: answer))
            queuedBytes += submission.bytes
            Telemetry.log.waiting.increment()
            Telemetry.log.waitingBytes.add(submission.bytes)
            wake.yield()
        }
    }

    /// Commits groups until the program shuts down; what has been queued until then is still committed.
    public func run() async throws {
        for await _ in wakes.cancelOnGracefulShutdown() { await drain() }
        isClosed = true
        await drain()
    }

    private func drain() async {
        while !queue.isEmpty { await commit(takeGroup()) }
    }

    private func takeGroup() -> [Pending] {
        var bytes = 0
        let count =
            queue.prefix(Self.groupSubmissions).prefix { pending in
                defer { bytes += pending.submission.bytes }
                return bytes == 0 || bytes + pending.submission.bytes <= Self.groupBytes
            }.count
        let group = Array(queue.prefix(count))
        queue.removeFirst(count)
        let groupBytes = group.reduce(0) { $0 + $1.submission.bytes }
        queuedBytes -= groupBytes
        Telemetry.log.waiting.add(-count)
        Telemetry.log.waitingBytes.add(-groupBytes)
        return group
    }

    private func commit(_ group: [Pending]) async {
        Telemetry.log.groups.record(group.count)
        let start = ContinuousClock.now
        defer { Telemetry.log.durations.record(since: start) }
        do {
            let outcomes = try await appender.append(group.map(\.submission))
            lastFailure.withLock { $0 = nil }
            Telemetry.log.count(outcomes)
            for (pending, outcome) in zip(group, outcomes) { pending.answer.resume(with: outcome) }
        } catch {
            Telemetry.log.failures.increment()
            // What is wrong with a submission says nothing of the database.
            if case .unavailable = (error as? DatabaseFault)?.kind { lastFailure.withLock { $0 = .now } }
            for pending in group { pending.answer.resume(throwing: error) }
        }
    }
}

extension LogMetrics {
    /// What has become of a group.
    fileprivate func count(_ outcomes: [Result<[RecordedEvent], Refusal>]) {
        let count = outcomes.reduce(0) { count, outcome in
            if case .success(let records) = outcome { return count + records.count }
            return count
        }
        guard count > 0 else { return }
        appends.increment()
        events.add(count)
    }
}
