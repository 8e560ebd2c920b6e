/// Tells clients over WebSockets what has happened.
///
/// Pattern: a client gets a ticket (``Tickets``) and opens a ``Socket`` with it. It is subscribed to the bulletin
/// before anything is read for it; then comes what the client has not seen in frames, each of which carries a stoken to
/// resume from; then it waits. All who listen to a collection share a ``Feed``: what wakes it is a notice (a hint, here), or
/// the look at the log's head every second (ten times as often while no hints come in); what it sends it reads from the read
/// model, always from the position that was sent last. So a hint that was lost, repeated or made up changes nothing but the
/// time that a change takes.
///
/// Invariants: a listener gets each change once, in the order of the log (G4). In the very snapshot that a frame is read
/// from, the feed looks whether who will get it is still a member, in a session that lasts, and active; who is not gets
/// nothing of it and is closed (G7). Of each listener at most one frame waits.
///
/// Concurrency: the shells around the pure ``FeedState`` guard it with a lock that is never held across a call of anything
/// else. All reading is done in tasks of ``Gateway/run()``; messages go out on the event loops of their connections. A socket has no
/// task: it outlives the request that opened it, and what befalls it comes as a call of its event loop.
package import Bulletin
package import Clocks
package import Directory
package import Domain
internal import EventLog
package import Logging
package import NIOCore
package import ReadModel
import ServiceLifecycle
internal import NIOWebSocket
internal import Synchronization
internal import Telemetry

/// What a process has for real time.
package struct RealTime: Sendable {
    package let bulletin: any Bulletin
    /// Nil where a ticket would reach no gateway.
    package let tickets: (any Tickets)?
    /// Nil where no sockets are opened.
    package let gateway: Gateway?

    package init(bulletin: any Bulletin, tickets: (any Tickets)?, gateway: Gateway?) {
        self.bulletin = bulletin
        self.tickets = tickets
        self.gateway = gateway
    }
}

/// What an operator can set about gateways.
package struct GatewaySettings: Sendable {
    /// How many sockets a user may have open.
    package var socketsPerUser = 1000
    /// How many sockets may be opened in a second.
    package var openingsPerSecond = 1000
    /// Over how long a time sockets are closed when the program shuts down.
    package var drain = Duration.seconds(5)
    /// How often silent peers are asked for a sign of life.
    package var pingInterval = Duration.seconds(30)

    package init() {}
}

/// Why a socket is not opened.
package enum OpeningRefusal: Error, Sendable {
    /// The ticket is unknown, too old, or was used before.
    case badTicket
    /// The stoken is none of this server's history.
    case badStoken
    /// The user may not be here any more (``Directory``).
    case notListed
    /// It cannot be said whether the user may be here.
    case unlistable
    /// The user has as many sockets as one may have.
    case tooManySockets
    /// Too many are being opened just now.
    case tooFast
}

/// There is no memory left for a message; it is read again a little later.
package struct NoRoom: Error, Sendable {
    package init() {}
}

/// Memory that is reserved for a message, until nobody has it any more.
package protocol FrameRoom: Sendable {
    /// The message has been made: more than its bytes need not be reserved.
    func shrink(to bytes: Int)
}

/// A socket that may be opened, and what comes to it.
package struct Opening: Sendable {
    enum Content {
        /// What happens after a position.
        case changes(after: Position, epoch: Int64?)
        /// What had happened when the ticket was issued: the session has ended since.
        case remainder(after: Position)
        /// Nothing: nobody knows what the client has seen.
        case nothing
    }

    let grant: Grant
    let content: Content
    /// The place that it takes of those that its user may have, from when it is counted until it has ended, or comes to nothing.
    let seat: Seat
}

/// A socket's place among those of its user; given back when nobody holds it any more.
final class Seat: Sendable {
    private let giveBack: @Sendable () -> Void

    init(giveBack: @escaping @Sendable () -> Void) { self.giveBack = giveBack }

    deinit { giveBack() }
}

/// The sockets of this process and what they listen to.
package final class Gateway: Service {
    /// Encodes items, in the order of their changes, with the stoken of the last and whether there are no more for now.
    package typealias Encoding = @Sendable (_ items: [ItemContent], _ stoken: String, _ isDone: Bool) -> ByteBuffer

    /// Reserves memory for a message, before it is read: what is answered holds it. Throws ``NoRoom`` where there is none left.
    package typealias Holding = @Sendable (_ bytes: Int) throws -> any FrameRoom

    /// How often the log's head is looked at, for hints that were lost; and how often when none come in.
    private static let headInterval = Duration.seconds(1)
    private static let unheardHeadInterval = Duration.milliseconds(100)
    /// How often all sessions are looked at, for those that were ended without a notice.
    private static let sessionInterval = Duration.seconds(30)
    /// How many sessions are looked at in one question.
    private static let sessionsAtOnce = 500
    /// How long a socket stays open to which nothing will come.
    private static let patience = TimeAmount.seconds(3)
    /// Once there is no memory left for messages, a socket is cut whose peer has taken nothing of its message for so long, so
    /// that those who do not read keep nothing from those who do.
    static let stuckTime = TimeAmount.seconds(10)
    /// How often that is looked for.
    private static let stuckInterval = Duration.milliseconds(400)
    private static let waitingNotices = 4096
    /// When more events than this were missed, every feed looks for itself.
    private static let missedEvents: Int64 = 10_000

    private struct State {
        /// The feeds with the number of sockets on each, those among them that are about to join or have left.
        var feeds: [CollectionUID: (feed: Feed, sockets: Int)] = [:]
        var sockets: [UserID: Int] = [:]
        var lastListener = 0
        /// Openings in the present second.
        var openings: (second: Int64, count: Int) = (0, 0)
        /// When sockets were last looked for that are not read.
        var stuckLook: ContinuousClock.Instant?
    }

    private struct HeadLook {
        let head: LogHead
        let time: ContinuousClock.Instant
    }

    private let source: Source
    private let bulletin: any Bulletin
    private let notices: AsyncStream<Notice>
    private let tickets: any Tickets
    private let settings: GatewaySettings
    private let logger: Logger
    private let state = Mutex(State())
    private let sockets: OpenSockets
    private let readings: AsyncStream<Reading>
    private let toRead: AsyncStream<Reading>.Continuation

    /// What there is to read, and to send.
    private enum Reading: Sendable {
        /// For all who listen to a collection.
        case feed(Feed)
        /// For one whose session has ended.
        case remainder(after: Position, Grant, any Outlet)
    }

    /// - Parameters:
    ///   - directory: who may be here; nil where everybody may who has an account.
    ///   - clock: the present moment.
    ///   - timer: what is waited by.
    ///   - encode: makes messages of items.
    ///   - hold: reserves memory for messages.
    package init(
        readModel: ReadModel, sessions: Sessions, bulletin: any Bulletin, tickets: any Tickets, settings: GatewaySettings,
        directory: Directory?, logger: Logger, clock: @escaping @Sendable () -> Timestamp, timer: ServerClock = .machine,
        encode: @escaping Encoding, hold: @escaping Holding
    ) {
        source = Source(
            readModel: readModel, sessions: sessions, directory: directory, clock: clock, timer: timer, encode: encode, hold: hold)
        self.bulletin = bulletin
        notices = Self.notices(of: bulletin)
        self.tickets = tickets
        self.settings = settings
        self.logger = logger
        sockets = OpenSockets(drain: settings.drain)
        // Holds each feed and each socket at most once.
        (readings, toRead) = AsyncStream.makeStream()
    }

    /// Redeems a ticket, and finds where to begin.
    ///
    /// - Parameter stoken: what the client has seen; nil for nothing.
    /// - Throws: ``OpeningRefusal``, ``TicketsUnavailable``, or `DatabaseFault`.
    package func open(ticket: String, after stoken: String?) async throws -> Opening {
        let grant = try await redeem(ticket)
        switch try await source.directory?.settledStanding(of: grant.user) {
        case .refused: throw OpeningRefusal.notListed
        case .unavailable: throw OpeningRefusal.unlistable
        case .admitted, .unknown, nil: break
        }
        let seat = try takeSeat(grant.user)
        let (now, token) = (source.clock(), ExactText(grant.token))
        let (position, epoch, isSignedIn) = try await source.readModel.snapshot(
            ahead: { $0.socket(of: grant.collection, token: token, at: now, after: stoken) }
        ) { [source] snapshot in
            // The ticket may be from a front end that reads from elsewhere, and has more already.
            try snapshot.require([.collection(grant.collection)])
            let position = if let stoken { try snapshot.position(ofStoken: stoken) } else { Position.none as Position? }
            let user = try source.sessions.users(of: [token], at: now, snapshot)[token]
            // Looking for the stoken has told the epoch too.
            return (position, stoken == nil ? nil : try snapshot.logHead().epoch, user == grant.user)
        }
        guard let position else {
            // The original opens a socket for any text (`ws-refused`). One that can only be a stoken of elsewhere, or of a
            // future that was lost, is refused, so that the client begins anew.
            if stoken.map(StokenSealer.hasForm) ?? true { throw OpeningRefusal.badStoken }
            return Opening(grant: grant, content: .nothing, seat: seat)
        }
        let content: Opening.Content = isSignedIn ? .changes(after: position, epoch: epoch) : .remainder(after: position)
        return Opening(grant: grant, content: content, seat: seat)
    }

    /// Looks whether the user may have one more socket, and counts it, at one moment: many may be opened together.
    private func takeSeat(_ user: UserID) throws(OpeningRefusal) -> Seat {
        let isFree = state.withLock { state in
            guard state.sockets[user, default: 0] < settings.socketsPerUser else { return false }
            state.sockets[user, default: 0] += 1
            return true
        }
        guard isFree else { throw .tooManySockets }
        return Seat { [weak self] in
            self?.state.withLock { state in
                state.sockets[user, default: 0] -= 1
                if state.sockets[user] == 0 { state.sockets[user] = nil }
            }
        }
    }

    /// Redeems a ticket in its turn. Only good ones use up what may be opened in a second: anybody can make up a wrong one.
    private func redeem(_ ticket: String) async throws -> Grant {
        let second = source.clock().rawValue / 1_000_000
        let isInTime = state.withLock { state in
            if state.openings.second != second { state.openings = (second, 0) }
            guard state.openings.count < settings.openingsPerSecond else { return false }
            state.openings.count += 1
            return true
        }
        guard isInTime else { throw OpeningRefusal.tooFast }
        if let grant = try await tickets.redeem(ticket) { return grant }
        state.withLock { state in if state.openings.second == second { state.openings.count -= 1 } }
        throw OpeningRefusal.badTicket
    }

    /// Makes a socket of the connection once the request that is being answered on it is answered with 101. It listens until the
    /// connection ends, or the program shuts down.
    package func offer(_ opening: Opening, on channel: any Channel) async throws {
        try await offer(on: channel) { [self] in keep(opening, on: $0) }
    }

    /// Makes a socket of the connection on which one message is sent, for those who look whether sockets come through.
    package func offerProbe(on channel: any Channel) async throws {
        try await offer(on: channel) { [sockets] socket in
            sockets.add(socket) {}
            socket.send(ByteBuffer(string: "apus")) { _ in }
        }
    }

    private func offer(on channel: any Channel, _ begin: @escaping Socket.Begin) async throws {
        try await channel.eventLoop.submit { [settings] in
            try channel.pipeline.syncOperations.handler(type: UpgradeHandler.self).offer(
                SocketHandler(pingInterval: settings.pingInterval, begin))
        }.get()
    }

    /// Lets a socket listen that is open.
    func keep(_ opening: Opening, on socket: any Outlet) {
        let (grant, seat) = (opening.grant, opening.seat)
        switch opening.content {
        case .changes(let position, let epoch):
            let (id, feed) = enter(grant.collection)
            // From here on hints wake the feed; what happened before, it reads.
            feed.join(id, grant, socket, at: position, in: epoch)
            sockets.add(socket) { [self] in
                feed.leave(id)
                leave(grant.collection)
                // The user's place is held until the end.
                withExtendedLifetime(seat) {}
            }
        case .remainder(let position):
            sockets.add(socket) { withExtendedLifetime(seat) {} }
            toRead.yield(.remainder(after: position, grant, socket))
        case .nothing:
            sockets.add(socket) { withExtendedLifetime(seat) {} }
            socket.close(.policyViolation, in: Self.patience)
        }
    }

    /// Runs what opens sockets, and ends when it has and they have: they are told when it is to shut down.
    package func withSockets(_ server: () async throws -> Void) async throws {
        try await withGracefulShutdownHandler {
            try await server()
            await sockets.waitUntilEnded()
        } onGracefulShutdown: { [sockets] in
            sockets.sayGoodbye()
        }
    }

    private func sendRemainder(after cursor: Cursor, for grant: Grant, on socket: any Outlet) async {
        var cursor = cursor
        do {
            while let frame = try await source.remainder(after: cursor, for: grant) {
                let isSent = await socket.send(frame.message.bytes)
                guard withExtendedLifetime(frame.message, { isSent }) else { break }
                cursor = frame.end
            }
            socket.close(.policyViolation, in: .zero)
        } catch {
            logger.error("changes could not be read for one who has logged out", metadata: ["fault": "\(error)"])
            socket.close(.unknown(1012), in: .zero)
        }
    }

    private func enter(_ collection: CollectionUID) -> (ListenerID, Feed) {
        state.withLock { state in
            state.lastListener += 1
            let (feed, sockets) = state.feeds[collection] ?? (makeFeed(collection), 0)
            state.feeds[collection] = (feed, sockets + 1)
            return (ListenerID(rawValue: state.lastListener), feed)
        }
    }

    private func makeFeed(_ collection: CollectionUID) -> Feed {
        Feed(collection, source, awaken: { [toRead] in toRead.yield(.feed($0)) }, findRoom: { [weak self] in self?.cutStuck() })
    }

    /// Cuts the sockets whose peers do not take what is held for them.
    private func cutStuck() {
        let now = source.timer.now
        let feeds = state.withLock { state in
            if let last = state.stuckLook, now < last + Self.stuckInterval { return [Feed]() }
            state.stuckLook = now
            return state.feeds.values.map(\.feed)
        }
        for feed in feeds { feed.cutStuck(for: Self.stuckTime) }
    }

    private func leave(_ collection: CollectionUID) {
        state.withLock { state in
            state.feeds[collection]?.sockets -= 1
            if state.feeds[collection]?.sockets == 0 { state.feeds[collection] = nil }
        }
    }

    /// Tells until the program shuts down; the sockets must have ended by then.
    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.follow() }
    }

    /// Tells until the task is cancelled.
    func follow() async {
        await withDiscardingTaskGroup { group in
            group.addTask { for await notice in self.notices { self.receive(notice) } }
            group.addTask {
                // An outage may begin at any time, so whether it is time to look is asked often.
                await self.repeating(every: Self.unheardHeadInterval, from: nil as HeadLook?) { last in
                    let now = self.source.timer.now
                    if let last, self.bulletin.isHeard, now < last.time + Self.headInterval { return last }
                    return HeadLook(head: try await self.lookAtHead(after: last?.head), time: now)
                }
            }
            group.addTask {
                await self.repeating(every: Self.sessionInterval, from: ()) { try await self.lookAtSessions() }
            }
            for await reading in readings { group.addTask { await self.carryOut(reading) } }
            group.cancelAll()
        }
    }

    private func carryOut(_ reading: Reading) async {
        switch reading {
        case .feed(let feed): await feed.run(logger)
        case .remainder(let position, let grant, let socket): await sendRemainder(after: Cursor(at: position), for: grant, on: socket)
        }
    }

    /// Wakes the feeds whose streams have moved since the last time.
    ///
    /// - Parameter last: where the read model ended then; nil the first time.
    /// - Returns: where it ends now.
    private func lookAtHead(after last: LogHead?) async throws -> LogHead {
        let (streams, end) = try await source.readModel.snapshot { snapshot in
            let end = LogHead(position: try snapshot.position(), epoch: try snapshot.logHead().epoch)
            guard let last, last.epoch == end.epoch, end.position.rawValue - last.position.rawValue <= Self.missedEvents else {
                return ([StreamID]?.none, end)
            }
            return (try snapshot.streams(after: last.position, upTo: end.position), end)
        }
        guard let streams else {
            let hasForked = last.map { $0.epoch != end.epoch } ?? false
            // Positions of a lost future mean something else now: clients begin again from their stokens.
            for feed in feeds { if hasForked { feed.close(.unknown(1012)) } else { feed.recheck() } }
            return end
        }
        for stream in streams {
            switch stream {
            case .collection(let collection):
                guard let feed = feed(of: collection) else { continue }
                if let last, !feed.isAware(ofChangesAfter: last.position) { Telemetry.gateway.gaps.increment() }
                feed.note(end.position)
            case .user(let user): recheck { $0.user == user }
            case .createdUser: break
            }
        }
        return end
    }

    private func lookAtSessions() async throws {
        let grants = feeds.flatMap { feed in feed.grants.map { (feed, $0) } }
        for start in stride(from: 0, to: grants.count, by: Self.sessionsAtOnce) {
            let some = grants[start..<min(start + Self.sessionsAtOnce, grants.count)]
            let tokens = Set(some.map { ExactText($0.1.token) })
            let good = try await source.readModel.snapshot { [source] in try source.sessions.users(of: tokens, at: source.clock(), $0) }
            // What is asked of the directory goes on being asked for those who do nothing but listen.
            for (feed, grant) in some where good[ExactText(grant.token)] == nil || !source.admits(grant.user) { feed.recheck() }
        }
    }

    /// Does something again and again, each time with what it came to the last time.
    private func repeating<T>(every interval: Duration, from first: T, _ body: (T) async throws -> T) async {
        var last = first
        while !Task.isCancelled {
            do {
                try await source.timer.sleep(for: interval)
                last = try await body(last)
            } catch is CancellationError { return } catch {
                logger.warning("the gateway could not look at the log", metadata: ["fault": "\(error)"])
            }
        }
    }

    /// What is posted for a gateway, each collection by itself. How many may wait is bounded; of more the oldest are lost.
    private static func notices(of bulletin: any Bulletin) -> AsyncStream<Notice> {
        let (notices, continuation) = AsyncStream.makeStream(of: Notice.self, bufferingPolicy: .bufferingNewest(waitingNotices))
        let wait: @Sendable (Notice) -> Void = { notice in
            if case .dropped = continuation.yield(notice) { Telemetry.gateway.lost.increment() }
        }
        bulletin.subscribe { news in
            switch news {
            case .posted(.projected(let position, let collections)):
                for collection in collections { wait(.projected(upTo: position, collections: [collection])) }
            case .posted(.appended), .began, .interrupted: break
            case .posted(let notice): wait(notice)
            }
        }
        return notices
    }

    private func receive(_ notice: Notice) {
        Telemetry.gateway.hints.increment()
        switch notice {
        case .appended: break
        case .projected(let position, let collections): for collection in collections { feed(of: collection)?.note(position) }
        case .userChanged(let user): recheck { $0.user == user }
        case .sessionEnded(let session): recheck { $0.session == session }
        }
    }

    private func recheck(_ concerns: (Grant) -> Bool) {
        for feed in feeds where feed.grants.contains(where: concerns) { feed.recheck() }
    }

    private var feeds: [Feed] { state.withLock { $0.feeds.values.map(\.feed) } }
    private func feed(of collection: CollectionUID) -> Feed? { state.withLock { $0.feeds[collection]?.feed } }
}
