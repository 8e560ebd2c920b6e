/// A client of Redis: commands, and what is published on channels.
///
/// Pattern: two connections, one for commands, which are pipelined, and one for all subscriptions, opened and given up
/// together by ``Redis/run()``. hiredis writes and reads the protocol inside a NIO handler.
///
/// Invariants: **Redis is a hint, never the only place of anything.** Nothing is queued for a Redis that is away: commands
/// fail at once, publications are dropped, and whoever subscribes is told when messages come again, to look at the truth for
/// what was missed. Only those who say so wait, a bounded number of them, for the first moments of an absence
/// (``Redis/patiently(_:isRepeatable:)``). A command that has failed may have been carried out.
///
/// Concurrency: everything may be called from anywhere. Answers come in the order of the commands; one that does not come in
/// time ends the connection and so fails what waits behind it. What waits for answers, and for slow readers, is bounded.
package import Logging
import ServiceLifecycle
internal import NIOCore
internal import Synchronization
internal import Telemetry

/// A Redis server, as long as ``run()`` runs.
package final class Redis: Service {
    /// How long a command may take, and opening a connection.
    package static let timeLimit = Duration.seconds(2)
    /// How long those wait who can, from when Redis went away: a restart, or a failover by Sentinel, is over by then.
    package static let moveLimit = Duration.seconds(5)
    /// How many may wait; more are told to come again.
    private static let waitersLimit = 1024
    /// How often a connection is tried to be opened while they wait, at least.
    private static let openingInterval = Duration.milliseconds(200)
    /// How long one waits who has met a Redis that is being left.
    private static let leavingInterval = Duration.milliseconds(50)
    /// How many news wait for the reader of a subscription before the oldest are dropped.
    static let newsLimit = 256
    /// How often a silent connection is tried: nobody else would find out that the other side is gone.
    private static let pingInterval = Duration.seconds(5)
    /// A write that is refused where writes are, and changes nothing.
    private static let attempt: [RedisArgument] = ["SET", "apus:attempt", "", "XX", "EX", 1]

    private struct Session {
        let commands: RedisConnection
        let listener: RedisConnection
    }

    private struct State {
        var session: Session?
        /// Those who read what is published, by channel.
        var inboxes: [String: [Int: Inbox]] = [:]
        /// The channels that Redis has said we are subscribed to.
        var begun: Set<String> = []
        var lastInbox = 0
        /// Nil before the first attempt.
        var isAway: Bool?
        /// Since when there is no connection that was to be; nil while there is one.
        var awaySince: ContinuousClock.Instant?
        /// How many wait for one, or are about to.
        var waiting = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        /// Those whose time was up before they began to wait.
        var expired: Set<Int> = []
        var lastWaiter = 0
        /// In Redis' words, why it takes no writes; nil where it does.
        var refusal: String?
        var isOver = false
    }

    private let dialer: Dialer
    private let moveLimit: Duration
    private let logger: Logger
    private let state = Mutex(State())

    /// - Throws: ``RedisURL/Mistake`` when the file of authorities that the address names cannot be used.
    package convenience init(_ url: RedisURL, logger: Logger) throws(RedisURL.Mistake) {
        try self.init(url, timeLimit: Self.timeLimit, logger: logger)
    }

    init(_ url: RedisURL, timeLimit: Duration, moveLimit: Duration = Redis.moveLimit, logger: Logger) throws(RedisURL.Mistake) {
        self.moveLimit = moveLimit
        dialer = try Dialer(url, timeLimit: timeLimit)
        self.logger = logger
    }

    /// Whether there is a connection just now.
    package var isConnected: Bool { state.withLock { $0.session != nil } }

    /// Whether something can be kept in it just now.
    package enum Condition: Hashable, Sendable {
        case writable
        case away
        /// It lives and takes no writes: why, in its own words.
        case refusing(String)
    }

    package var condition: Condition {
        state.withLock { state in state.session == nil ? .away : state.refusal.map { .refusing($0) } ?? .writable }
    }

    /// Runs a command: `command("SET", .text(key), .bytes(value), "EX", 10)`.
    ///
    /// - Throws: ``RedisFault/unavailable(_:)`` at once when Redis is away, or after ``timeLimit``; ``RedisFault/refused(_:)``.
    package func command(_ words: RedisArgument...) async throws(RedisFault) -> RedisValue { try await command(words) }

    /// Runs a command whose number of words is not fixed.
    ///
    /// - Precondition: there is at least one word.
    package func command(_ words: [RedisArgument]) async throws(RedisFault) -> RedisValue {
        guard let session = state.withLock({ $0.session }) else { throw .unavailable("not connected") }
        do throws(RedisFault) { return try await session.commands.ask(words) } catch {
            judge(error, of: session.commands)
            throw error
        }
    }

    /// Whether Redis is away for so short a time that those who can wait for it.
    package var isMoving: Bool { timeToWait > .zero }

    private var timeToWait: Duration { state.withLock { timeToWait($0) } }

    private func timeToWait(_ state: borrowing State) -> Duration { state.awaySince.map { moveLimit - (.now - $0) } ?? .zero }

    /// Runs a command; while Redis is away for a moment, waits until it is back.
    ///
    /// - Parameter isRepeatable: whether it may be carried out twice: then it is run again where there was no answer.
    /// - Throws: as ``command(_:)-([RedisArgument])`` does, once an absence has lasted for ``moveLimit``, or where too many wait.
    package func patiently(_ words: [RedisArgument], isRepeatable: Bool) async throws(RedisFault) -> RedisValue {
        while true {
            let connection = state.withLock { $0.session?.commands }
            do throws(RedisFault) { return try await command(words) } catch {
                let isUndone =
                    switch error {
                    case .unavailable: connection == nil || isRepeatable
                    case .refused(let text): RefusedWrites(text) == .here
                    }
                guard isUndone, !Task.isCancelled else { throw error }
                // Who has found out that it must be left is before the one who leaves it.
                while let connection, state.withLock({ $0.session?.commands === connection }) {
                    do { try await Task.sleep(for: Self.leavingInterval) } catch { throw .unavailable("nobody waits") }
                    if case .unavailable = error { break }
                }
                guard await connected() else { throw error }
            }
        }
    }

    /// Whether there is a connection, now or before the time is over in which one waits for it.
    private func connected() async -> Bool {
        let (isThere, wait) = state.withLock { state -> (Bool, (ticket: Int, time: Duration)?) in
            let time = timeToWait(state)
            guard time > .zero, state.waiting < Self.waitersLimit, !state.isOver else { return (state.session != nil, nil) }
            state.waiting += 1
            state.lastWaiter += 1
            return (false, (state.lastWaiter, time))
        }
        guard let (ticket, time) = wait else { return isThere }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                // Cancelled when there is a connection, and with whoever waits.
                do { try await Task.sleep(for: time) } catch {}
                self.expire(ticket)
            }
            await withCheckedContinuation { waiter in
                let waits = state.withLock { state in
                    guard state.expired.remove(ticket) == nil, state.session == nil else { return false }
                    state.waiters[ticket] = waiter
                    return true
                }
                if !waits { waiter.resume() }
            }
            group.cancelAll()
        }
        return state.withLock { state in
            state.waiting -= 1
            state.expired.remove(ticket)
            return state.session != nil
        }
    }

    private func expire(_ ticket: Int) {
        let waiter = state.withLock { state in
            let waiter = state.waiters.removeValue(forKey: ticket)
            if waiter == nil { state.expired.insert(ticket) }
            return waiter
        }
        waiter?.resume()
    }

    /// Sees whether a refusal tells that this Redis is of no use: one that has become a replica, or is still loading, is left
    /// and looked for again; one that takes no writes for now is kept, for what is published still goes through it.
    private func judge(_ fault: RedisFault, of connection: RedisConnection) {
        guard case .refused(let text) = fault else { return }
        switch RefusedWrites(text) {
        case .here: connection.close(text)
        case .forNow: note(refusal: text)
        case nil: break
        }
    }

    private func note(refusal: String?) {
        let before = state.withLock { state in
            defer { state.refusal = refusal }
            return state.refusal
        }
        if let refusal, before == nil {
            logger.warning("Redis takes no writes; no sockets are opened", metadata: ["fault": "\(refusal)"])
        } else if refusal == nil, before != nil {
            logger.info("Redis takes writes again")
        }
    }

    /// Publishes something, if Redis is there. Returns at once; nobody learns whether it has arrived.
    package func publish(_ payload: [UInt8], to channel: String) {
        guard let session = state.withLock({ $0.session }) else { return Telemetry.redis.published[.dropped].increment() }
        Telemetry.redis.published[.sent].increment()
        session.commands.send(["PUBLISH", .text(channel), .bytes(payload)]).whenFailure { [self] fault in
            logger.debug("not published", metadata: ["fault": "\(fault)"])
            if let fault = fault as? RedisFault { judge(fault, of: session.commands) }
        }
    }

    /// What is published on a channel from now on. All subscriptions share one connection; those of one channel, one
    /// subscription. Begins as soon as Redis is there.
    package func subscribe(to channel: String) -> RedisSubscription {
        let (news, continuation) = AsyncStream.makeStream(of: RedisNews.self, bufferingPolicy: .bufferingNewest(Self.newsLimit))
        let inbox = Inbox(continuation)
        let number = state.withLock { state -> Int? in
            guard !state.isOver else { return nil }
            state.lastInbox += 1
            if state.inboxes[channel] == nil, let session = state.session { begin(channel, session) }
            state.inboxes[channel, default: [:]][state.lastInbox] = inbox
            if state.begun.contains(channel) { inbox.tell(.began) }
            return state.lastInbox
        }
        if let number {
            continuation.onTermination = { [weak self] _ in self?.leave(channel, number) }
        } else {
            inbox.finish()
        }
        return RedisSubscription(inbox: inbox, news: news)
    }

    private func leave(_ channel: String, _ number: Int) {
        state.withLock { state in
            state.inboxes[channel]?[number] = nil
            guard state.inboxes[channel]?.isEmpty == true else { return }
            state.inboxes[channel] = nil
            state.begun.remove(channel)
            // Should this fail, the connection ends, and the next one knows nothing of the channel.
            _ = state.session?.listener.send(["UNSUBSCRIBE", .text(channel)])
        }
    }

    /// Asks Redis for what is published on a channel. Never waits.
    private func begin(_ channel: String, _ session: Session) {
        let listener = session.listener
        listener.send(["SUBSCRIBE", .text(channel)]).whenComplete { [weak self] answer in
            switch answer {
            case .success: self?.hasBegun(channel, listener)
            case .failure(let fault): listener.close("\(fault)")
            }
        }
    }

    private func hasBegun(_ channel: String, _ listener: RedisConnection) {
        state.withLock { state in
            // What comes late, of a connection that has been given up, begins nothing.
            guard let inboxes = state.inboxes[channel], state.session?.listener === listener else { return }
            state.begun.insert(channel)
            for inbox in inboxes.values { inbox.tell(.began) }
        }
    }

    private func received(_ payload: [UInt8], on channel: String) {
        state.withLock { state in
            for inbox in (state.inboxes[channel] ?? [:]).values { inbox.tell(.message(payload)) }
        }
    }

    /// Keeps the connections open until the program shuts down.
    package func run() async throws {
        state.withLock { $0.awaySince = .now }
        do {
            try await cancelWhenGracefulShutdown {
                var backOff = BackOff()
                while true {
                    let began = ContinuousClock.now
                    let fault = await self.session()
                    try Task.checkCancellation()
                    self.warn(fault)
                    let pause = backOff.next(after: .now - began)
                    try await Task.sleep(for: self.isMoving ? min(pause, Self.openingInterval) : pause)
                }
            }
        } catch is CancellationError {}
        let inboxes = state.withLock { state in
            state.isOver = true
            defer { state.inboxes = [:] }
            return state.inboxes.values.flatMap(\.values)
        }
        for inbox in inboxes { inbox.finish() }
        wakeWaiters()
    }

    private func wakeWaiters() {
        let waiters = state.withLock { state in
            defer { state.waiters = [:] }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Opens both connections and waits until one of them ends. Answers with why it ended.
    private func session() async -> RedisFault {
        do throws(RedisFault) {
            let commands = try await dialer.open()
            defer { commands.close("given up") }
            try await requirePrimary(commands)
            try await attemptWrite(commands)
            let listener = try await dialer.open { [weak self] channel, payload in self?.received(payload, on: channel) }
            defer { listener.close("given up") }
            let session = Session(commands: commands, listener: listener)
            hasOpened(session)
            defer { hasEnded() }
            return await end(of: session)
        } catch { return error }
    }

    /// Whatever is behind the address by now: what is published on a replica does not reach the others. A Redis that does not
    /// let us ask is taken for what it should be.
    private func requirePrimary(_ connection: RedisConnection) async throws(RedisFault) {
        do throws(RedisFault) {
            guard case .array(let parts) = try await connection.ask(["ROLE"]), let role = parts.first?.bytes else { return }
            guard role == Array("master".utf8) else {
                throw .unavailable("what answers at its address is no primary: \(String(decoding: role, as: UTF8.self))")
            }
        } catch {
            if case .refused = error { return }
            throw error
        }
    }

    /// Looks whether writes are taken, and keeps what it finds.
    private func attemptWrite(_ connection: RedisConnection) async throws(RedisFault) {
        do throws(RedisFault) {
            _ = try await connection.ask(Self.attempt)
            note(refusal: nil)
        } catch {
            // One who may not write there has no complaint about Redis.
            guard case .refused(let text) = error, RefusedWrites(text) != .here else { throw error }
            note(refusal: RefusedWrites(text) == nil ? nil : text)
        }
    }

    private func end(of session: Session) async -> RedisFault {
        let both = [session.commands, session.listener]
        return await withTaskCancellationHandler {
            await withTaskGroup(of: RedisFault?.self) { group in
                for connection in both {
                    group.addTask { .unavailable(await connection.end()) }
                    group.addTask {
                        do {
                            while true {
                                try await Task.sleep(for: Self.pingInterval)
                                if connection === session.commands {
                                    try await self.attemptWrite(connection)
                                } else {
                                    _ = try await connection.ask(["PING"])
                                }
                            }
                        } catch let fault as RedisFault {
                            // Where it has ended already, it has ended for the first reason.
                            connection.close("\(fault)")
                            return nil
                        } catch { return nil }
                    }
                }
                let fault = await group.first { $0 != nil } ?? nil
                for connection in both { connection.close("given up") }
                group.cancelAll()
                return fault ?? .unavailable("given up")
            }
        } onCancel: {
            for connection in both { connection.close("shutting down") }
        }
    }

    private func hasOpened(_ session: Session) {
        Telemetry.redis.connects.increment()
        let wasAway = state.withLock { state in
            state.session = session
            state.awaySince = nil
            for channel in state.inboxes.keys { begin(channel, session) }
            defer { state.isAway = false }
            return state.isAway
        }
        wakeWaiters()
        if wasAway == true { logger.info("Redis is back") }
    }

    private func hasEnded() {
        state.withLock { state in
            state.session = nil
            state.awaySince = .now
            for channel in state.begun {
                for inbox in (state.inboxes[channel] ?? [:]).values { inbox.tell(.interrupted) }
            }
            state.begun = []
        }
    }

    /// Says that Redis is away: once, until it is back.
    private func warn(_ fault: RedisFault) {
        let wasAway = state.withLock { state in
            defer { state.isAway = true }
            return state.isAway
        }
        if wasAway != true { logger.warning("Redis is away; everything goes on, more slowly", metadata: ["fault": "\(fault)"]) }
    }
}

/// What a refusal says of a Redis that takes no writes.
enum RefusedWrites: Hashable {
    /// Elsewhere they may be taken: it is a replica, or another one is behind the address soon.
    case here
    /// Out of memory, no replicas to copy to, no disk to write to.
    case forNow

    /// Nil for a refusal of another kind, which is of the command and not of Redis.
    init?(_ text: String) {
        // A script that was refused something has the word further on.
        func says(_ word: String) -> Bool { text.hasPrefix(word + " ") || text.contains("-\(word) ") }
        if ["READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "MOVED"].contains(where: says) {
            self = .here
        } else if ["OOM", "NOREPLICAS", "MISCONF", "TRYAGAIN", "BUSY"].contains(where: says) {
            self = .forNow
        } else {
            return nil
        }
    }
}

/// How long to wait before the next attempt: longer each time, at most 2 seconds, never the same for all.
struct BackOff {
    private static let first = Duration.milliseconds(50)
    private static let longest = Duration.seconds(2)

    private var current = first

    /// - Parameter lifetime: how long the attempt before took; one that has held for a while is a success.
    mutating func next(after lifetime: Duration) -> Duration {
        if lifetime > Self.longest * 2 { current = Self.first }
        defer { current = min(current * 2, Self.longest) }
        return current * Double.random(in: 0.5...1)
    }
}
