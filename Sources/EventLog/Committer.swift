package import Database
package import Domain
import ServiceLifecycle
internal import Synchronization
internal import Telemetry

/// A decision on its way into the log: with the state that it is made on, and what goes with it.
package struct Submission: Sendable {
    let actor: Actor
    let time: Timestamp
    let streams: Set<StreamID>
    let asOf: LogHead
    let bytes: Int
    let decide: @Sendable (_ tail: [RecordedEvent], _ taken: TakenClaims) throws(Refusal) -> [Event]
    let writes: @Sendable ([Event]) -> [Write]

    /// - Parameters:
    ///   - decision: decides on the state, brought up to date with the events since `head` and with claims that turned
    ///     out to be taken. It may be asked several times.
    ///   - state: what was read.
    ///   - head: where the log ended when it was read.
    ///   - actor: who wants it; the actor's own stream is one of those that the decision depends on.
    ///   - time: when the request was accepted.
    ///   - bytes: how much memory the submission holds while it waits, roughly: contents, meta and keys. It bounds groups and
    ///     the queue.
    ///   - writes: what belongs into the same transaction as the events that were decided.
    package init<D: Decision>(
        _ decision: D, on state: D.State, asOf head: LogHead, by actor: Actor, at time: Timestamp, bytes: Int = 0,
        writes: @escaping @Sendable ([Event]) -> [Write] = { _ in [] }
    ) {
        self.actor = actor
        self.time = time
        streams = Set(state.streams + (actor.user.map { [.user($0)] } ?? []))
        asOf = head
        self.bytes = bytes
        self.writes = writes
        decide = { tail, taken throws(Refusal) in
            var state = state
            state.taken.merge(taken) { $1 }
            for record in tail { state.evolve(record.event, at: record.position) }
            return try decision.decide(state).map(\.event)
        }
    }
}

/// Commits submissions in groups: while one transaction is in flight, new ones queue; the next takes all of them. There
/// is no timer: alone, a submission is committed at once.
///
/// A refused submission changes nothing for the others in its group. When the transaction itself fails, all of them do.
package actor Committer: Service {
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
    /// When the database said that it could not write the last group; nil where it did not.
    nonisolated package var failed: ContinuousClock.Instant? { lastFailure.withLock { $0 } }
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    package init(_ appender: any Appender) {
        self.appender = appender
        (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Commits a submission and answers with its events, which are then durable and visible to every reader.
    ///
    /// - Throws: ``Refusal`` when the rules say no, ``LogFault`` or `DatabaseFault` when it could not be done; nothing has
    ///   changed then.
    package func commit(_ submission: Submission) async throws -> [RecordedEvent] {
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

    /// Carries out a command that rewrites history, in a transaction of its own: it waits for nobody and joins no group.
    ///
    /// - Parameters:
    ///   - key: what the log is sealed with.
    ///   - remove: deletes contents of a collection, in the transaction.
    package nonisolated func commit<C: Redacting>(
        _ command: C, on state: C.Needs.State, asOf head: LogHead, by actor: Actor, at time: Timestamp, key: SealKey,
        removing remove: @escaping @Sendable (Set<ChunkUID>, CollectionUID, any Connection) throws -> Void
    ) async throws -> [RecordedEvent] {
        try await appender.append(command, on: state, asOf: head, by: actor, at: time, key: key, removing: remove)
    }

    /// Commits groups until the program shuts down; what has been queued until then is still committed.
    package func run() async throws {
        await follow(wakes.cancelOnGracefulShutdown())
    }

    /// Commits groups until the task is cancelled, and what has been queued until then.
    func follow() async { await follow(wakes) }

    private func follow(_ wakes: some AsyncSequence<Void, Never>) async {
        for await _ in wakes { await drain() }
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
            // What is wrong with a submission says nothing of the database; and that there was none says nothing of the next one,
            // which is found out by asking it.
            if let fault = error as? DatabaseFault, case .unavailable = fault.kind {
                lastFailure.withLock { $0 = fault.isAway ? nil : .now }
            }
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
