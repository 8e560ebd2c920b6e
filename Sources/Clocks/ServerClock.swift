/// Time that passes, and waiting until it has.
///
/// Pattern: whatever waits, or looks how much time has passed, has a clock that was handed to it when it was made: the machine's in the
/// program, one that a test moves where it matters in which order things happen. What a clock gives is good for intervals only; what day
/// it is, is asked elsewhere.

/// Where time comes from.
package struct ServerClock: Sendable {
    private let present: @Sendable () -> ContinuousClock.Instant
    private let wait: @Sendable (Duration) async throws -> Void

    /// - Parameters:
    ///   - now: the present moment; never earlier than before.
    ///   - wait: returns when so much time has passed; throws `CancellationError` when the task is cancelled meanwhile.
    package init(now: @escaping @Sendable () -> ContinuousClock.Instant, wait: @escaping @Sendable (Duration) async throws -> Void) {
        (present, self.wait) = (now, wait)
    }

    /// The machine's.
    package static let machine = ServerClock(now: { .now }, wait: { try await Task.sleep(for: $0) })

    /// The present moment.
    package var now: ContinuousClock.Instant { present() }

    /// Waits.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    package func sleep(for duration: Duration) async throws { try await wait(duration) }
}
