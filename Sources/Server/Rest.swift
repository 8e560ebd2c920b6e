internal import CMemory
internal import ServiceLifecycle
internal import Telemetry

/// A server that hardly anybody asks gives back the memory that it does not need then: most servers of a family rest most of the day.
struct Rest: Service {
    private static let interval = Duration.seconds(5)
    /// How many requests come in that time where there is nobody but what looks whether it lives.
    private static let few = 5

    func run() async {
        var (last, isResting) = (Telemetry.http.answered, false)
        while true {
            do { try await cancelWhenGracefulShutdown { try await Task.sleep(for: Self.interval) } } catch { return }
            let answered = Telemetry.http.answered
            let isQuiet = answered - last <= Self.few
            if isQuiet, !isResting { memory_give_back() }
            (last, isResting) = (answered, isQuiet)
        }
    }
}
