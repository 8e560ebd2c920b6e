package import Domain
package import ReadModel
import ServiceLifecycle
internal import Logging
internal import Synchronization

/// Prolongs the lives of tokens that were used, many at a time: no request waits for it, and reads do not turn into writes.
/// Those that have expired it removes, in the beginning and once an hour.
package final class TokenRenewals: Service {
    private let sessions: Sessions
    private let interval: Duration
    private static let sweepInterval = Duration.seconds(3600)
    private let clock: @Sendable () -> Timestamp
    private let used = Mutex<Set<ExactText>>([])

    package init(sessions: Sessions, clock: @escaping @Sendable () -> Timestamp) {
        self.sessions = sessions
        interval = sessions.renewalInterval
        self.clock = clock
    }

    func note(_ token: String) { used.withLock { _ = $0.insert(ExactText(token)) } }

    /// Writes down what was used since the last time.
    package func flush() async throws {
        let tokens = used.withLock { used in
            defer { used = [] }
            return used.map(\.rawValue)
        }
        try await sessions.renew(tokens: tokens, at: clock())
    }

    /// Flushes at each interval, and at the end.
    package func run() async throws {
        do {
            try await cancelWhenGracefulShutdown { [interval] in
                var swept: ContinuousClock.Instant?
                while true {
                    if swept.map({ .now - $0 >= Self.sweepInterval }) ?? true {
                        await self.sweepOrWarn()
                        swept = .now
                    }
                    try await Task.sleep(for: interval)
                    await self.flushOrWarn()
                }
            }
        } catch is CancellationError {}
        await flushOrWarn()
    }

    /// What could not be removed now is so an hour later.
    private func sweepOrWarn() async {
        do {
            while try await sessions.removeExpired(at: clock()) { try Task.checkCancellation() }
        } catch is CancellationError {} catch {
            Logger(label: "apus").warning("expired tokens could not be removed", metadata: ["fault": "\(error)"])
        }
    }

    /// A token that could not be prolonged now is so when it is used again.
    private func flushOrWarn() async {
        do { try await flush() } catch {
            Logger(label: "apus").warning("tokens could not be prolonged", metadata: ["fault": "\(error)"])
        }
    }
}
