internal import GRDB
internal import Telemetry

extension DatabaseMetrics {
    /// Does something of a kind, on the thread that does it, and notes how long it took, and whether the database failed it.
    func measure<T>(_ kind: Kind, _ body: () throws -> T) rethrows -> T {
        let start = ContinuousClock.now
        defer { durations[kind].record(since: start) }
        do { return try body() } catch {
            if Self.isFault(error) { faults[kind].increment() }
            throw error
        }
    }

    /// What is wrong with a question, or was in its way, is no fault of the database.
    private static func isFault(_ error: any Error) -> Bool {
        let fault = error as? DatabaseFault ?? (error as? DatabaseError).map { DatabaseFault($0) }
        return switch fault?.kind {
        case .unavailable, .corrupt: true
        case .constraint, .conflict, .raised, nil: false
        }
    }
}
