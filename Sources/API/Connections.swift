import HummingbirdCore
internal import Logging
internal import NIOCore
internal import Synchronization

/// The connections of clients. Whoever is connected is served on; where there is no room, newcomers take the places of those
/// who are not known and ask for nothing, or are refused.
package final class Connections: Sendable {
    /// How many connections there may be.
    package struct Limits: Sendable {
        package let all: Int
        /// Of clients that have not shown a token yet.
        package let strangers: Int
        /// Of such clients from one address; as many as ``strangers`` where a proxy stands before all.
        package let perAddress: Int

        /// - Parameters:
        ///   - all: below what the process may open.
        ///   - isProxied: whether all come from a proxy's address.
        package init(all: Int, isProxied: Bool) {
            self.all = all
            strangers = max(1, min(all * 3 / 4, Self.strangersLimit))
            perAddress = isProxied ? strangers : max(1, strangers / 2)
        }

        /// What bounds the memory that strangers' connections take.
        private static let strangersLimit = 1200
    }

    /// How often it is told that connections are refused.
    private static let warningInterval = Duration.seconds(10)

    private struct State {
        var all: [ObjectIdentifier: ClientConnection] = [:]
        /// By their addresses, in the order in which they came.
        var strangers: [String: [ClientConnection]] = [:]  // names of ours
        var strangersCount = 0
        var warnedAt: ContinuousClock.Instant?
    }

    let limits: Limits
    private let logger: Logger
    private let state = Mutex(State())

    init(_ limits: Limits, logger: Logger) {
        self.limits = limits
        self.logger = logger
    }

    /// How many there are.
    package var count: Int { state.withLock { $0.all.count } }

    /// The connection of a channel, while it is open.
    func connection(of channel: any Channel) -> ClientConnection? { state.withLock { $0.all[ObjectIdentifier(channel)] } }

    /// Takes a newcomer in.
    ///
    /// - Returns: false where there is no room, nor anybody who would have to make room.
    func admit(_ connection: ClientConnection) -> Bool {
        let (isAdmitted, gone, isTold) = state.withLock { state in
            var gone: [ClientConnection] = []
            if state.strangers[connection.address, default: []].count >= limits.perAddress {
                Self.dismiss(from: connection.address, &state, &gone)
            } else if state.strangersCount >= limits.strangers || state.all.count >= limits.all {
                let crowd = state.strangers.max { $0.value.count < $1.value.count }?.key
                Self.dismiss(from: crowd ?? connection.address, &state, &gone)
                let other = gone.isEmpty ? state.strangers.first { $0.value.contains { !$0.isWorking } }?.key : nil
                if let other { Self.dismiss(from: other, &state, &gone) }
                if gone.isEmpty, state.strangersCount < limits.strangers { Self.dismissKnown(&state, &gone) }
            }
            let hasRoom =
                state.strangers[connection.address, default: []].count < limits.perAddress
                && state.strangersCount < limits.strangers && state.all.count < limits.all
            guard hasRoom else {
                let isTold = state.warnedAt.map { $0 + Self.warningInterval > .now } ?? false
                if !isTold { state.warnedAt = .now }
                return (false, gone, isTold)
            }
            state.all[connection.id] = connection
            state.strangers[connection.address, default: []].append(connection)
            state.strangersCount += 1
            return (true, gone, true)
        }
        for connection in gone { connection.close() }
        if !isTold { logger.warning("connections are refused", metadata: ["open": "\(count)", "limit": "\(limits.all)"]) }
        return isAdmitted
    }

    /// The client has shown a token, or a ticket.
    func recognize(_ connection: ClientConnection) {
        guard connection.become(known: true) else { return }
        state.withLock { Self.forget(connection, &$0) }
    }

    func leave(_ connection: ClientConnection) {
        state.withLock { state in
            state.all[connection.id] = nil
            Self.forget(connection, &state)
        }
    }

    /// The one among the strangers of an address that came first and asks for nothing has to go.
    private static func dismiss(from address: String, _ state: inout State, _ gone: inout [ClientConnection]) {
        guard let connection = state.strangers[address]?.first(where: { !$0.isWorking }) else { return }
        forget(connection, &state)
        state.all[connection.id] = nil
        gone.append(connection)
    }

    private static func dismissKnown(_ state: inout State, _ gone: inout [ClientConnection]) {
        guard let connection = state.all.values.first(where: { $0.isKnown && !$0.isWorking }) else { return }
        state.all[connection.id] = nil
        gone.append(connection)
    }

    private static func forget(_ connection: ClientConnection, _ state: inout State) {
        guard let index = state.strangers[connection.address]?.firstIndex(where: { $0 === connection }) else { return }
        state.strangers[connection.address]?.remove(at: index)
        if state.strangers[connection.address]?.isEmpty == true { state.strangers[connection.address] = nil }
        state.strangersCount -= 1
    }
}

/// Whether more connections are taken from the operating system. Refused ones are open for a moment too; while there are too
/// many of them, the others wait there, and cost nothing.
package struct AcceptedConnections: AvailableConnectionsDelegate {
    /// How many may be open beyond those that are let in: within what is kept free for the rest of the program.
    private static let margin = 16

    private let limit: Int
    private var open = 0

    package init(_ connections: Connections) { limit = connections.limits.all + Self.margin }

    package mutating func connectionOpened() { open += 1 }
    package mutating func connectionClosed() { open -= 1 }
    package func isAcceptingNewConnections() -> Bool { open < limit }
}

/// A connection of a client, as requests on it see it.
final class ClientConnection: Sendable {
    let id: ObjectIdentifier
    /// Where the client is; the same text for all that have no address.
    let address: String
    private let channel: any Channel
    private let known = Atomic(false)
    private let working = Atomic(false)
    private let ahead = Atomic(false)
    private let handler: NIOLoopBoundBox<ConnectionHandler?>
    private let work = Mutex(Work())

    /// The task that works for the client.
    ///
    /// Safe: the task itself says when it begins and ends, and it is cancelled in between only, under the same lock.
    @safe private struct Work {
        private nonisolated(unsafe) var task: UnsafeCurrentTask?
        private var isGone = false

        mutating func begin() {
            unsafe withUnsafeCurrentTask { unsafe task = $0 }
            if isGone { unsafe task?.cancel() }
        }

        mutating func end() { unsafe task = nil }

        mutating func abandon() {
            isGone = true
            unsafe task?.cancel()
        }
    }

    /// - Parameter handler: what holds the rest of long bodies back. Called on the event loop.
    init(_ channel: any Channel, address: String? = nil, _ handler: ConnectionHandler? = nil) {
        id = ObjectIdentifier(channel)
        self.address = address ?? channel.remoteAddress?.ipAddress ?? ""
        self.channel = channel
        self.handler = NIOLoopBoundBox(handler, eventLoop: channel.eventLoop)
    }

    /// Whether a token or ticket was shown on it.
    var isKnown: Bool { known.load(ordering: .relaxed) }
    /// Whether a request that has come is being answered.
    var isWorking: Bool { working.load(ordering: .relaxed) }

    /// Whether more requests have come than the one that is being answered.
    var isAhead: Bool { ahead.load(ordering: .relaxed) }

    func become(known: Bool) -> Bool { self.known.exchange(known, ordering: .relaxed) != known }
    func become(working: Bool) { self.working.store(working, ordering: .relaxed) }
    func become(ahead: Bool) { self.ahead.store(ahead, ordering: .relaxed) }

    /// Lets the rest of the body come that is being held back.
    func acceptBody() { channel.eventLoop.execute { [handler] in handler.value?.acceptBody() } }

    func close() { channel.close(promise: nil) }

    /// Does the work of the present task, which is cancelled when the client goes away meanwhile.
    func attend<T>(_ body: () async throws -> T) async rethrows -> T {
        work.withLock { $0.begin() }
        defer { work.withLock { $0.end() } }
        return try await body()
    }

    /// The client is gone: nobody waits for the answer.
    func abandon() { work.withLock { $0.abandon() } }

    /// Called on the event loop.
    func detach() { handler.value = nil }
}
