internal import API
internal import Logging
internal import ServiceLifecycle
internal import UnixSignals

/// How a server ends: told to by SIGTERM, it first says that it is not ready, and goes on serving until load balancers have
/// seen it; then it takes no more connections and lets what runs finish.
///
/// SIGINT, and a second signal, end it without that time. SIGHUP does nothing: there is nothing to load anew.
struct Ending: Sendable {
    let readiness: Readiness
    let lameDuck: Duration
    let logger: Logger

    /// Runs the services until they have ended.
    func run(_ services: ServiceGroup) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
        // Nil when the time of the lame duck is over.
        let (calls, call) = AsyncStream.makeStream(of: UnixSignal?.self)
        // Each child says whether with it all is over.
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await services.run()
                return true
            }
            group.addTask {
                for await signal in signals {
                    if signal == .sighup {
                        logger.info("SIGHUP changes nothing: settings are read at the start")
                    } else {
                        call.yield(signal)
                    }
                }
                return false
            }
            group.addTask {
                for await signal in calls {
                    await sayGoodbye(isHurried: signal != .sigterm, calls, call)
                    await services.triggerGracefulShutdown()
                    break
                }
                return false
            }
            while try await group.next() == false {}
            group.cancelAll()
        }
    }

    private func sayGoodbye(isHurried: Bool, _ calls: AsyncStream<UnixSignal?>, _ call: AsyncStream<UnixSignal?>.Continuation) async {
        readiness.drain()
        guard !isHurried, lameDuck > .zero else { return }
        logger.info("about to end", metadata: ["serving_for": "\(lameDuck)"])
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await Task.sleep(for: lameDuck) } catch { return }
                call.yield(nil)
            }
            for await _ in calls { break }
            group.cancelAll()
        }
    }
}
