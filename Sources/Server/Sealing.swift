internal import EventLog
internal import Logging
internal import ServiceLifecycle

/// Seals what has come to the log, again and again and at the end, beside those who write.
struct Sealing: Service {
    let sealer: Sealer
    let interval: Duration
    let logger: Logger

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                while true {
                    try await Task.sleep(for: interval)
                    try await seal()
                }
            }
        } catch is CancellationError {}
        do { try await seal() } catch is CancellationError {}
    }

    private func seal() async throws {
        do { try await sealer.seal() } catch let error as CancellationError { throw error } catch {
            logger.warning("the log is not sealed any further", metadata: ["fault": "\(error)"])
        }
    }
}
