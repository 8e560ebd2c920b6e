package import Logging
import ServiceLifecycle
internal import Synchronization

/// Whether a process can do its work, and what keeps it from it, in words for whoever runs it.
///
/// Pattern: each ``Check`` looks at one thing when somebody asks, as long as ``run()`` runs. All who ask while it looks share
/// the answer, so that any number of them cost one look. One that has no answer in time is an answer too: the thing it looks
/// at stands still.
package final class Readiness: Service {
    /// A look at one thing.
    package struct Check: Sendable {
        let silence: Fault
        let mayBeSilent: @Sendable () -> Bool
        let look: @Sendable () async -> [Fault]

        /// - Parameters:
        ///   - silence: what is wrong when the look takes too long.
        ///   - isBearable: whether the process can do its work all the same then.
        ///   - mayBeSilent: whether just now nothing is wrong when there is no answer, which is then not waited for: whoever asks may have
        ///     less patience than we have.
        ///   - look: what is wrong.
        package init(
            silence: String, isBearable: Bool = false, unless mayBeSilent: @escaping @Sendable () -> Bool = { false },
            look: @escaping @Sendable () async -> [Fault]
        ) {
            self.silence = Fault(silence, isBearable: isBearable)
            self.mayBeSilent = mayBeSilent
            self.look = look
        }
    }

    /// Something that is wrong. The text is for everybody: it holds no address, name or value.
    package struct Fault: Hashable, Sendable {
        let text: String
        /// Whether the process can do its work all the same.
        let isBearable: Bool
        /// What only the log is told.
        let detail: String

        package init(_ text: String, isBearable: Bool = false, detail: String = "") {
            self.text = text
            self.isBearable = isBearable
            self.detail = detail
        }
    }

    private let desks: [Desk]
    private let logger: Logger
    private let isDraining = Atomic(false)
    /// What was wrong when somebody asked last.
    private let last = Mutex<[String]>([])

    /// - Parameter logger: is told whenever what is wrong has changed: whoever reads a log later sees what balancers saw.
    package init(_ checks: [Check], logger: Logger) {
        desks = checks.map { Desk($0) }
        self.logger = logger
    }

    /// Says from now on that the process is about to end.
    package func drain() { isDraining.store(true, ordering: .relaxed) }

    /// What is wrong.
    func faults() async -> [Fault] {
        guard !isDraining.load(ordering: .relaxed) else { return [Fault("the server is shutting down")] }
        let faults = await withTaskGroup(of: (Int, [Fault]).self) { group in
            for (number, desk) in desks.enumerated() { group.addTask { (number, await desk.ask()) } }
            return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.flatMap(\.1)
        }
        note(faults)
        return faults
    }

    private func note(_ faults: [Fault]) {
        let texts = faults.map(\.text)
        // How many events something is behind changes all the time.
        let kinds = texts.map { $0.filter { !$0.isNumber } }
        let hasChanged = last.withLock { last in
            defer { last = kinds }
            return last != kinds
        }
        guard hasChanged else { return }
        guard !faults.isEmpty else { return logger.notice("ready again") }
        let isReady = faults.allSatisfy(\.isBearable)
        let details = faults.map(\.detail).filter { !$0.isEmpty }
        logger.warning(
            isReady ? "ready, and not all is well" : "not ready",
            metadata: ["faults": "\(texts.joined(separator: "; "))", "details": "\(details.joined(separator: "; "))"])
    }

    /// Looks when it is asked to, until the program shuts down.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [desks] in
            await withDiscardingTaskGroup { group in
                for desk in desks { group.addTask { await desk.run() } }
            }
        }
    }
}

/// A check with those who wait for its answer.
private final class Desk: Sendable {
    /// How long a look may take before what it looks at counts as away.
    private static let patience = Duration.seconds(2)
    /// The same for what the process can do without: it must not keep the others' answer from whoever asks.
    private static let shortPatience = Duration.milliseconds(500)
    /// How often whoever waits sees whether that is needed.
    private static let interval = Duration.milliseconds(100)
    /// How many may wait for an answer; more get none.
    private static let waitersLimit = 1024

    private typealias Answer = [Readiness.Fault]?

    private struct Waiting {
        var waiters: [Int: CheckedContinuation<Answer, Never>] = [:]
        /// Those whose time was up before they began to wait.
        var expired: Set<Int> = []
        var lastTicket = 0
    }

    private let check: Readiness.Check
    private let waiting = Mutex(Waiting())
    private let asks: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    init(_ check: Readiness.Check) {
        self.check = check
        (asks, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func run() async {
        for await _ in asks {
            let faults = await check.look()
            let waiters = waiting.withLock { waiting in
                defer { waiting.waiters = [:] }
                return waiting.waiters.values
            }
            for waiter in waiters { waiter.resume(returning: faults) }
        }
    }

    func ask() async -> [Readiness.Fault] {
        let ticket = waiting.withLock { waiting in
            waiting.lastTicket += 1
            return waiting.lastTicket
        }
        // With whether no answer is one.
        let (answer, isExcused) = await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                let end = ContinuousClock.now + (self.check.silence.isBearable ? Self.shortPatience : Self.patience)
                // Cancelled when there is an answer, and with whoever waits.
                var isExcused = false
                while !Task.isCancelled, !isExcused, .now < end {
                    do { try await Task.sleep(for: Self.interval) } catch {}
                    isExcused = self.check.mayBeSilent()
                }
                self.expire(ticket)
                return isExcused
            }
            let answer = await withCheckedContinuation { waiter in
                let isWaiting = waiting.withLock { waiting in
                    guard waiting.expired.remove(ticket) == nil, waiting.waiters.count < Self.waitersLimit else { return false }
                    waiting.waiters[ticket] = waiter
                    return true
                }
                if isWaiting { wake.yield() } else { waiter.resume(returning: Answer.none) }
            }
            group.cancelAll()
            return (answer, await group.next() ?? false)
        }
        waiting.withLock { _ = $0.expired.remove(ticket) }
        return answer ?? (isExcused ? [] : [check.silence])
    }

    private func expire(_ ticket: Int) {
        let waiter = waiting.withLock { waiting in
            let waiter = waiting.waiters.removeValue(forKey: ticket)
            if waiter == nil { waiting.expired.insert(ticket) }
            return waiter
        }
        waiter?.resume(returning: nil)
    }
}
