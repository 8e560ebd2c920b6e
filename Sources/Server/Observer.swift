internal import Logging
internal import ServiceLifecycle

/// Asks something for whoever looks, once for all who look at about the same time, and lets nobody wait for long: where the answer
/// does not come, that is the answer.
///
/// Nothing is asked while nobody looks. There is one question at a time, however long it takes.
actor Observer<Value: Sendable>: Service {
    /// How long an answer is good.
    private static var freshness: Duration { .seconds(1) }
    /// How long one waits.
    private static var patience: Duration { .seconds(2) }

    private let ask: @Sendable (Value?) async throws -> Value
    private let logger: Logger
    private var last: Value?
    private var answer: (value: Value?, time: ContinuousClock.Instant)?
    private var waiters: [Int: CheckedContinuation<Value?, Never>] = [:]
    private var lastTicket = 0
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    /// - Parameter ask: is given what it answered the last time.
    init(logger: Logger, _ ask: @escaping @Sendable (Value?) async throws -> Value) {
        self.ask = ask
        self.logger = logger
        (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// The answer, or nil where there is none in time.
    func value() async -> Value? {
        if let answer, ContinuousClock.now < answer.time + Self.freshness { return answer.value }
        lastTicket += 1
        let ticket = lastTicket
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                // Cancelled when the answer came, or because nobody waits for it any more.
                do { try await Task.sleep(for: Self.patience) } catch {}
                await self.giveUp(ticket)
            }
            defer { group.cancelAll() }
            return await withCheckedContinuation { waiter in
                waiters[ticket] = waiter
                wake.yield()
            }
        }
    }

    private func giveUp(_ ticket: Int) { waiters.removeValue(forKey: ticket)?.resume(returning: nil) }

    /// Answers until the program shuts down.
    func run() async throws {
        for await _ in wakes.cancelOnGracefulShutdown() {
            guard !waiters.isEmpty else { continue }
            await look()
        }
    }

    private func look() async {
        do {
            let value = try await ask(last)
            last = value
            finish(value)
        } catch {
            logger.debug("what is asked for the metrics does not answer", metadata: ["fault": "\(error)"])
            finish(nil)
        }
    }

    private func finish(_ value: Value?) {
        answer = (value, .now)
        for waiter in waiters.values { waiter.resume(returning: value) }
        waiters = [:]
    }
}
