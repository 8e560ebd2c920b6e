internal import NIOCore
internal import NIOWebSocket
internal import Synchronization
internal import Telemetry

/// The sockets that are open, whoever listens on them: nobody else waits for their ends. When the program shuts down they are told,
/// each at a moment of its own, so that their clients do not all come back together.
///
/// How long that takes is bounded: a socket ends a few seconds after it was told at the latest, whatever its peer does.
final class OpenSockets: Sendable {
    private struct State {
        var all: [ObjectIdentifier: any Outlet] = [:]
        var isEnding = false
        /// Nobody opens any more, and somebody waits for the last to end.
        var isAwaited = false
    }

    private let drain: Duration
    private let state = Mutex(State())
    private let (lastEnd, ended) = AsyncStream.makeStream(of: Void.self)

    /// - Parameter drain: over how long a time sockets are told goodbye.
    init(drain: Duration) { self.drain = drain }

    var count: Int { state.withLock { $0.all.count } }

    /// Counts a socket in until its connection is gone; then calls `end`.
    func add(_ socket: any Outlet, _ end: @escaping @Sendable () -> Void) {
        Telemetry.gateway.opened.increment()
        Telemetry.gateway.sockets.increment()
        let isEnding = state.withLock { state in
            state.all[ObjectIdentifier(socket)] = socket
            return state.isEnding
        }
        if isEnding { sayGoodbye(to: socket) }
        let id = ObjectIdentifier(socket)
        socket.whenClosed { [self] in
            Telemetry.gateway.sockets.decrement()
            end()
            remove(id)
        }
    }

    private func remove(_ id: ObjectIdentifier) {
        let isLast = state.withLock { state in
            state.all[id] = nil
            return state.isAwaited && state.all.isEmpty
        }
        if isLast { ended.finish() }
    }

    /// Tells all, and those that are opened from now on, that the program shuts down.
    func sayGoodbye() {
        let sockets = state.withLock { state in
            state.isEnding = true
            return Array(state.all.values)
        }
        for socket in sockets { sayGoodbye(to: socket) }
    }

    private func sayGoodbye(to socket: any Outlet) {
        socket.close(.unknown(1012), in: .nanoseconds(.random(in: 0...TimeAmount(drain).nanoseconds)))
    }

    /// Returns when the last has ended, once nobody opens any more. Whoever is cancelled waits no longer, and all are told at once.
    func waitUntilEnded() async {
        let isOver = state.withLock { state in
            state.isAwaited = true
            return state.all.isEmpty
        }
        if isOver { ended.finish() }
        for await _ in lastEnd {}
        for socket in state.withLock({ Array($0.all.values) }) { socket.close(.unknown(1012), in: .zero) }
    }
}
