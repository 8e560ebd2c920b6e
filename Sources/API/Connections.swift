internal import Glibc
import HummingbirdCore
internal import Logging
package import NIOCore
internal import Synchronization

/// The connections of clients. Whoever is connected is served on; where there is no room, newcomers take the places of those
/// who are not known and ask for nothing.
///
/// That clients come back all at once is no reason to refuse any: they come as fast as they are answered. Until then they wait
/// with the operating system, as do for a second those who have not said anything.
package final class Connections: Sendable {
    /// How many connections there may be.
    package struct Limits: Sendable {
        package let all: Int
        /// Of clients that have not shown a token yet. While so many of them are at work newcomers wait.
        package let strangers: Int
        /// Of such clients from one address; of a proxy that stands before all any number.
        package let perAddress: Int

        /// - Parameters:
        ///   - all: below what the process may open.
        ///   - isProxied: whether all come from a proxy's address.
        package init(all: Int, isProxied: Bool) {
            self.all = all
            strangers = max(1, min(all * 3 / 4, Self.strangersLimit))
            perAddress = isProxied ? all : max(1, strangers / 2)
        }

        /// What bounds the memory that strangers' connections take.
        private static let strangersLimit = 1200
    }

    /// How many may be open beyond those who have room, for they are taken from the operating system several at a time: within what
    /// is kept free for the rest of the program.
    private static let margin = 16
    /// How often it is told that connections are refused.
    private static let warningInterval = Duration.seconds(10)
    /// How long who says nothing stays with the operating system, in seconds: the least there is. Then they are let in, and their
    /// time for a head begins.
    private static let silentSeconds = 1

    private struct State {
        var all: [ObjectIdentifier: ClientConnection] = [:]
        /// Those who are to make room, until they have.
        var leaving: [ObjectIdentifier: ClientConnection] = [:]
        var strangers = Strangers()
        /// How many were taken from the operating system, and how many of these were seen here: between the two a connection
        /// waits for its event loop.
        var open = 0
        var seen = 0
        /// Where newcomers come from, and whether they are left to wait there.
        var listener: (any Channel)?
        var isHolding = false
        var warnedAt: ContinuousClock.Instant?

        /// How many strangers have something to be done for them, or may have.
        var atWork: Int { strangers.atWork + max(0, open - seen) }

        /// Somebody who has no stranger's place any more has to make room.
        mutating func dismiss(_ connection: ClientConnection) {
            all[connection.id] = nil
            leaving[connection.id] = connection
        }
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
    func connection(of channel: any Channel) -> ClientConnection? {
        let id = ObjectIdentifier(channel)
        return state.withLock { $0.all[id] ?? $0.leaving[id] }
    }

    /// Takes a newcomer in.
    ///
    /// - Returns: false where there is no room, nor anybody who would have to make room.
    func admit(_ connection: ClientConnection) -> Bool {
        let hasUnread = connection.hasUnread
        let (isAdmitted, gone, isTold) = change { state in
            state.seen += 1
            var gone: ClientConnection?
            if state.strangers.count(at: connection.address) >= limits.perAddress {
                gone = state.strangers.takeIdle(at: connection.address)
            } else if state.strangers.count >= limits.strangers || state.all.count >= limits.all {
                gone = state.strangers.takeIdle()
                if gone == nil, state.strangers.count < limits.strangers {
                    gone = state.all.values.first { $0.isKnown && !$0.isWorking }
                }
            }
            if let gone { state.dismiss(gone) }
            // Those who were on their way when all were at work are let in still.
            let hasRoom =
                state.strangers.count(at: connection.address) < limits.perAddress
                && state.strangers.count < limits.strangers + Self.margin && state.all.count < limits.all
            guard hasRoom else {
                let isTold = state.warnedAt.map { $0 + Self.warningInterval > .now } ?? false
                if !isTold { state.warnedAt = .now }
                return (false, gone, isTold)
            }
            state.all[connection.id] = connection
            state.strangers.add(connection, isAtWork: hasUnread)
            return (true, gone, true)
        }
        gone?.dismiss { self.keep($0) }
        if !isTold { logger.warning("connections are refused", metadata: ["open": "\(count)", "limit": "\(limits.all)"]) }
        return isAdmitted
    }

    /// Somebody who was to make room has begun to ask for something meanwhile.
    private func keep(_ connection: ClientConnection) {
        state.withLock { state in
            state.leaving[connection.id] = nil
            state.all[connection.id] = connection
            if !connection.isKnown { state.strangers.add(connection, isAtWork: true) }
        }
    }

    /// The client has shown a token, or a ticket.
    func recognize(_ connection: ClientConnection) {
        guard connection.become(known: true) else { return }
        change { $0.strangers.remove(connection) }
    }

    /// - Parameter connection: nil for one that was not admitted.
    func leave(_ connection: ClientConnection?) {
        change { state in
            state.seen -= 1
            guard let connection else { return }
            state.all[connection.id] = nil
            state.leaving[connection.id] = nil
            state.strangers.remove(connection)
        }
    }

    /// Whether a request of the client is being answered.
    func set(_ connection: ClientConnection, working: Bool) {
        connection.become(working: working)
        guard !connection.isKnown else { return }
        change { $0.strangers.set(connection, atWork: working) }
    }

    /// What the client had sent was read; if it was no whole request, the client has to go before others.
    func hasRead(_ connection: ClientConnection) {
        if !connection.isWorking { set(connection, working: false) }
    }

    /// Where newcomers come from, and are called from again after they had to wait.
    package func come(from listener: any Channel) {
        state.withLock { $0.listener = listener }
        listener.read()
        // Where the operating system has no such thing, who is silent takes a place at once.
        let deferring = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: TCP_DEFER_ACCEPT))
        if listener.localAddress?.port != nil { listener.setOption(deferring, value: .init(Self.silentSeconds)).whenComplete { _ in } }
    }

    fileprivate func opened() { state.withLock { $0.open += 1 } }
    /// Whoever tells of it asks himself then whether newcomers are taken.
    fileprivate func closed() { state.withLock { $0.open -= 1 } }

    /// Whether newcomers are taken from the operating system. While not, they cost nothing there.
    fileprivate var takesNewcomers: Bool {
        state.withLock { state in
            state.isHolding = state.atWork >= limits.strangers
            return !state.isHolding && state.open < limits.all + Self.margin
        }
    }

    /// Calls those who wait, where there is time for them after the change.
    private func change<T>(_ body: (inout State) -> T) -> T {
        let (result, listener) = state.withLock { state -> (T, (any Channel)?) in
            let result = body(&state)
            guard state.isHolding, state.atWork < limits.strangers else { return (result, nil) }
            state.isHolding = false
            return (result, state.listener)
        }
        listener?.read()
        return result
    }
}

/// Asks whether more connections are taken from the operating system. Refused ones are open for a moment too, and are counted.
package struct AcceptedConnections: AvailableConnectionsDelegate {
    private let connections: Connections

    package init(_ connections: Connections) { self.connections = connections }

    package func connectionOpened() { connections.opened() }
    package func connectionClosed() { connections.closed() }
    package func isAcceptingNewConnections() -> Bool { connections.takesNewcomers }
}

/// A connection of a client, as requests on it see it.
final class ClientConnection: Sendable {
    let id: ObjectIdentifier
    /// Where the client is; the same text for all that have no address.
    let address: String
    private let channel: any Channel
    private let descriptor: CInt?
    private let known = Atomic(false)
    private let working = Atomic(false)
    private let ahead = Atomic(false)
    private let over = Atomic(false)
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

    /// To be called on the event loop.
    ///
    /// - Parameters:
    ///   - descriptor: where the channel reads from, if it does not say so itself.
    ///   - handler: what holds the rest of long bodies back.
    init(_ channel: any Channel, address: String? = nil, descriptor: CInt? = nil, _ handler: ConnectionHandler? = nil) {
        id = ObjectIdentifier(channel)
        self.address = address ?? channel.remoteAddress?.ipAddress ?? ""
        self.channel = channel
        self.descriptor = descriptor ?? Self.descriptor(of: channel)
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

    /// Whether something that the client has sent waits to be read. Certain on the event loop only: elsewhere the connection may have
    /// ended, and another one have its descriptor.
    var hasUnread: Bool {
        guard let descriptor, !over.load(ordering: .relaxed) else { return false }
        var byte: UInt8 = 0
        return unsafe recv(descriptor, &byte, 1, CInt(MSG_PEEK) | CInt(MSG_DONTWAIT)) > 0
    }

    /// What the client goes on sending is of no interest.
    func endInput() { over.store(true, ordering: .relaxed) }

    /// Lets the rest of the body come that is being held back.
    func acceptBody() { channel.eventLoop.execute { [handler] in handler.value?.acceptBody() } }

    /// Closes the connection, unless the client has begun to ask for something.
    ///
    /// - Parameter keep: called then, on the event loop.
    func dismiss(unless keep: @escaping @Sendable (ClientConnection) -> Void) {
        channel.eventLoop.execute { [self] in
            guard channel.isActive else { return }
            if isWorking || hasUnread { keep(self) } else { channel.close(promise: nil) }
        }
    }

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

    private static func descriptor(of channel: any Channel) -> CInt? {
        do { return try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 } } catch {
            return nil
        }
    }
}
