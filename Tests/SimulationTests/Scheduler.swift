// The simulator: a whole installation in one thread, driven by one seed.
//
// What is real, that is the program's own code: decide and evolve, the door, the committer with its groups, the plan, the appender with
// its attempts and what it makes of refusals, the rows of an append with their sealed payloads, epochs and stokens, the projector with
// lease, fence, checkpoint, batches and recovery, the snapshots and waiting of the read model with all that they ask, the bulletin with
// its messages, tickets, the gateway with its feeds, looks and openings, sessions as far as the gateway asks for them.
//
// What is modelled: the databases' server (transactions, locks, snapshots, commits that take time, crashes, failovers), of which each
// statement that is asked says here what it means; `apus_append` and `apus_begin_epoch` line for line; the rows of the projection
// (the SQL of `Projections` is compared with a replay by other tests); Redis; sockets; the network; the machine's clock; what an API
// handler does around its questions; the wiring of a process, as `Node` has it. HTTP, NIO, libpq and SQL are tested with real processes.
//
// Concurrency: everything runs on the one thread that calls `Scheduler.run`: each task prefers the executor of its process, and which
// of the jobs that are ready is next, the seed says. Time is virtual, and moves when no job is ready. A job that comes from another
// thread would make a run that cannot be replayed, so it stops the program.

import Clocks
import Foundation
import TestSupport

/// Runs the jobs of all processes, one after the other, in an order that the seed decides.
///
/// Safe: touched by one thread only, which each job that is queued is checked for.
final class Scheduler: @unchecked Sendable {
    private struct Timer {
        let time: Int64
        let number: Int

        static func < (one: Timer, other: Timer) -> Bool { one.time == other.time ? one.number < other.number : one.time < other.time }
    }

    private static let origin = ContinuousClock.now

    private let thread = pthread_self()
    private var random: FixedGenerator
    private var ready: [(job: UnownedJob, place: Place)] = []
    /// A heap, the earliest first.
    private var timers: [Timer] = []
    private var lastTimer = 0
    private var actions: [Int: () -> Void] = [:]
    /// Nanoseconds since the beginning.
    private(set) var time: Int64 = 0
    /// What has been run in which order, as a number.
    private(set) var trace: UInt64 = 14_695_981_039_346_656_037
    private(set) var steps = 0

    init(seed: UInt64) { random = FixedGenerator(state: seed) }

    // MARK: Chance

    func below(_ end: Int) -> Int { Int(truncatingIfNeeded: random.next() >> 1) % end }
    func happens(oneIn count: Int) -> Bool { below(count) == 0 }
    func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
    /// Up to so many microseconds.
    func micros(_ range: ClosedRange<Int>) -> Duration { .microseconds(range.lowerBound + below(range.count)) }

    // MARK: Time

    var now: ContinuousClock.Instant { Self.origin + .nanoseconds(time) }
    /// In seconds since the beginning.
    var seconds: Double { Double(time) / 1e9 }

    var clock: ServerClock { ServerClock(now: { self.now }, wait: { try await self.sleep(for: $0) }) }

    func after(_ duration: Duration, _ action: @escaping () -> Void) {
        let (seconds, attoseconds) = duration.components
        lastTimer += 1
        timers.append(Timer(time: time + seconds * 1_000_000_000 + attoseconds / 1_000_000_000, number: lastTimer))
        actions[lastTimer] = action
        var child = timers.count - 1
        while child > 0, timers[child] < timers[(child - 1) / 2] {
            timers.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private func nextTimer() -> Timer? {
        guard let first = timers.first else { return nil }
        let last = timers.removeLast()
        guard !timers.isEmpty else { return first }
        timers[0] = last
        var parent = 0
        while 2 * parent + 1 < timers.count {
            var child = 2 * parent + 1
            if child + 1 < timers.count, timers[child + 1] < timers[child] { child += 1 }
            guard timers[child] < timers[parent] else { break }
            timers.swapAt(child, parent)
            parent = child
        }
        return first
    }

    /// Waits, whatever happens to the task.
    func wait(_ duration: Duration) async {
        await withCheckedContinuation { continuation in after(duration) { continuation.resume() } }
    }

    /// Safe: as the scheduler is.
    private final class Sleeper: @unchecked Sendable {
        private var continuation: CheckedContinuation<Void, any Error>?
        private var isCancelled = false

        func begin(_ continuation: CheckedContinuation<Void, any Error>) {
            guard !isCancelled else { return continuation.resume(throwing: CancellationError()) }
            self.continuation = continuation
        }

        func end() {
            continuation?.resume()
            continuation = nil
        }

        func cancel() {
            isCancelled = true
            continuation?.resume(throwing: CancellationError())
            continuation = nil
        }
    }

    private func sleep(for duration: Duration) async throws {
        let sleeper = Sleeper()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                sleeper.begin(continuation)
                after(duration) { sleeper.end() }
            }
        } onCancel: {
            sleeper.cancel()
        }
    }

    // MARK: Jobs

    fileprivate func add(_ job: UnownedJob, _ place: Place) {
        precondition(pthread_equal(thread, pthread_self()) != 0, "something runs outside of the simulation")
        ready.append((job, place))
    }

    /// Runs until `isDone`, or until nothing is left to do.
    ///
    /// - Returns: whether it is done.
    func run(until isDone: () -> Bool) -> Bool {
        while !isDone() {
            guard step() else { return isDone() }
        }
        return true
    }

    private func step() -> Bool {
        steps += 1
        guard !ready.isEmpty else {
            guard let timer = nextTimer() else { return false }
            time = max(time, timer.time)
            note(UInt64(truncatingIfNeeded: time))
            actions.removeValue(forKey: timer.number)?()
            return true
        }
        let index = below(ready.count)
        note(UInt64(truncatingIfNeeded: index &* 64 &+ ready.count))
        let last = ready.count - 1
        ready.swapAt(index, last)
        let (job, place) = ready.removeLast()
        if place.isStalled {
            place.held.append(job)
        } else {
            unsafe job.runSynchronously(on: place.asUnownedTaskExecutor())
        }
        return true
    }

    private func note(_ number: UInt64) { trace = (trace ^ number) &* 1_099_511_628_211 }
}

/// Where the jobs of one process run, or of a client, or of a server.
///
/// Safe: as the scheduler is.
final class Place: TaskExecutor, @unchecked Sendable {
    let scheduler: Scheduler
    fileprivate(set) var isStalled = false
    fileprivate var held: [UnownedJob] = []

    init(_ scheduler: Scheduler) { self.scheduler = scheduler }

    func enqueue(_ job: consuming ExecutorJob) { scheduler.add(UnownedJob(job), self) }

    @discardableResult
    func start(_ body: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        Task(executorPreference: self) { await body() }
    }

    /// As SIGSTOP does: nothing runs here, while time goes on for all others.
    func stall() { isStalled = true }

    func goOn() {
        isStalled = false
        for job in held { scheduler.add(job, self) }
        held = []
    }
}

/// A process of the server, or the machine of a client: what can be killed and cut off.
///
/// Safe: as the scheduler is.
final class Process: @unchecked Sendable {
    let place: Place
    var scheduler: Scheduler { place.scheduler }
    private(set) var isDead = false
    /// From the database, from Redis.
    var isCutOff = false
    private var tasks: [Task<Void, Never>] = []
    private var endings: [() -> Void] = []

    init(_ scheduler: Scheduler) { place = Place(scheduler) }

    func start(_ body: @escaping @Sendable () async -> Void) { tasks.append(place.start(body)) }

    /// What others notice when it is killed.
    func atEnd(_ body: @escaping () -> Void) { endings.append(body) }

    /// Whatever it does from here on reaches nobody.
    func kill() {
        guard !isDead else { return }
        isDead = true
        place.goOn()
        for task in tasks { task.cancel() }
        tasks = []
        for ending in endings { ending() }
        endings = []
    }
}
