internal import Clocks
internal import Directory
internal import Domain
internal import EventLog
internal import Logging
internal import NIOCore
internal import NIOWebSocket
internal import ReadModel
internal import Synchronization
internal import Telemetry

/// A collection with those who listen to it: reads each change once, encodes it once, and gives the same bytes to all who
/// wait for them.
final class Feed: Sendable {
    /// How long to wait after the read model could not answer.
    private static let retryInterval = Duration.milliseconds(500)

    private struct State {
        var feed = FeedState()
        var sockets: [ListenerID: any Outlet] = [:]
        /// Whether somebody is looking, or about to.
        var isAwake = false
    }

    let collection: CollectionUID
    private let source: Source
    /// Told that there is something to look for: ``run()`` is to be called.
    private let awaken: @Sendable (Feed) -> Void
    /// Told that there is no memory left for a message.
    private let findRoom: @Sendable () -> Void
    private let state = Mutex(State())

    init(
        _ collection: CollectionUID, _ source: Source, awaken: @escaping @Sendable (Feed) -> Void, findRoom: @escaping @Sendable () -> Void
    ) {
        self.collection = collection
        self.source = source
        self.awaken = awaken
        self.findRoom = findRoom
    }

    var grants: [Grant] { state.withLock { $0.feed.grants } }

    func join(_ id: ListenerID, _ grant: Grant, _ socket: any Outlet, at position: Position, in epoch: Int64?) {
        change { state in
            state.sockets[id] = socket
            state.feed.join(id, grant, at: position, in: epoch)
        }
    }

    func leave(_ id: ListenerID) {
        state.withLock { state in
            state.sockets[id] = nil
            state.feed.leave(id)
        }
    }

    func note(_ position: Position) { change { $0.feed.note(position) } }
    /// Whether it knows of a change after a position, or looks for one.
    func isAware(ofChangesAfter position: Position) -> Bool { state.withLock { $0.feed.isAware(ofChangesAfter: position) } }
    func recheck() { change { $0.feed.recheck() } }

    /// Closes all sockets.
    func close(_ code: WebSocketErrorCode) { for socket in state.withLock({ Array($0.sockets.values) }) { socket.close(code, in: .zero) } }

    /// Cuts the sockets whose peers have taken nothing of their messages for so long.
    func cutStuck(for time: TimeAmount) { for socket in state.withLock({ Array($0.sockets.values) }) { socket.cutIfStuck(for: time) } }

    /// Looks until everybody has everything, or has a frame on the way.
    func run(_ logger: Logger) async {
        while let look = nextLook() {
            Telemetry.gateway.pages.increment()
            do {
                perform(try await source.find(look, in: collection), by: look)
            } catch {
                state.withLock { $0.feed.failed() }
                if error is CancellationError { return }
                if error is NoRoom { findRoom() }
                // With no memory left they wait: what they will get is in the log.
                logger.log(
                    level: error is NoRoom ? .debug : .error, "changes could not be read for those who listen",
                    metadata: ["fault": "\(error)"])
                do { try await source.timer.sleep(for: Self.retryInterval) } catch { return }
            }
        }
    }

    private func nextLook() -> FeedState.Look? {
        state.withLock { state in
            let look = state.feed.nextLook()
            if look == nil { state.isAwake = false }
            return look
        }
    }

    private func perform(_ finding: FeedState.Finding, by look: FeedState.Look) {
        let work = state.withLock { state in
            state.feed.found(finding, by: look, now: source.timer.now).map { action in (action, state.sockets) }
        }
        for (action, sockets) in work { perform(action, sockets) }
    }

    private func perform(_ action: FeedState.Action, _ sockets: [ListenerID: any Outlet]) {
        switch action {
        case .dismiss(let ids):
            Telemetry.gateway.revocations.add(ids.count)
            for id in ids { sockets[id]?.close(.policyViolation, in: .zero) }
        case .restart(let ids): for id in ids { sockets[id]?.close(.unknown(1012), in: .zero) }
        case .send(let message, let ids): for id in ids { sockets[id].map { send(message, to: id, on: $0) } }
        }
    }

    private func send(_ message: Message, to id: ListenerID, on socket: any Outlet) {
        // The message is held until it has gone out.
        socket.send(message.bytes) { [self] isSent in
            // One whose socket is gone leaves when its connection ends.
            guard withExtendedLifetime(message, { isSent }) else { return }
            var next: FeedState.Action?
            change { next = $0.feed.delivered(to: id, now: source.timer.now) }
            if case .send(let message, _) = next { send(message, to: id, on: socket) }
        }
    }

    /// Changes the state, and sees to it that somebody looks whether there is something to do.
    private func change(_ body: (inout State) -> Void) {
        let isAsleep = state.withLock { state in
            body(&state)
            defer { state.isAwake = true }
            return !state.isAwake
        }
        if isAsleep { awaken(self) }
    }
}

/// Where feeds read.
struct Source: Sendable {
    /// The most items in a frame. How long it may be is the read model's matter.
    private static let frameItems = 50

    let readModel: ReadModel
    let sessions: Sessions
    let directory: Directory?
    /// What day it is, by which sessions end.
    let clock: @Sendable () -> Timestamp
    /// What is waited by.
    let timer: ServerClock
    let encode: Gateway.Encoding
    let hold: Gateway.Holding

    /// Whether somebody may be here, as far as the directory is concerned. What is to be asked again is asked behind this.
    func admits(_ user: UserID) -> Bool { directory.map { !$0.standing(of: user).isOut } ?? true }

    /// Answers a look from one snapshot, so that who is admitted and what is sent are of the same moment.
    func find(_ look: FeedState.Look, in collection: CollectionUID) async throws -> FeedState.Finding {
        let (admitted, epoch, changed, draft) = try await readModel.snapshot { [self] snapshot in
            guard let audience = try snapshot.audience(of: collection) else {
                return (Set<ListenerID>(), 0 as Int64, Position?.none, Draft?.none)
            }
            let users = try sessions.users(of: Set(look.listeners.values.map { ExactText($0.token) }), at: clock(), snapshot)
            let admitted = look.listeners.filter {
                users[ExactText($0.value.token)] == $0.value.user && audience.members.contains($0.value.user) && admits($0.value.user)
            }
            var draft: Draft?
            if let after = look.after, !admitted.isEmpty {
                draft = try self.draft(after: after, audience.collection, snapshot)
            }
            return (Set(admitted.keys), audience.epoch, audience.collection.revisionStoken, draft)
        }
        return .init(admitted: admitted, epoch: epoch, changed: changed, frame: try await frame(draft))
    }

    /// The next frame for one whose session has ended since the ticket was issued: it gets what had happened by then. Nil when
    /// that is all, or the user may not listen any more.
    func remainder(after cursor: Cursor, for grant: Grant) async throws -> FeedState.Frame? {
        let draft = try await readModel.snapshot { [self] snapshot in
            try snapshot.require(grant.position)
            guard let audience = try snapshot.audience(of: grant.collection), audience.members.contains(grant.user),
                try snapshot.account(grant.user)?.isActive == true, admits(grant.user)
            else { return Draft?.none }
            return try self.draft(after: cursor, upTo: grant.position, audience.collection, snapshot)
        }
        return try await frame(draft)
    }

    /// A frame as the snapshot has it. Some of its contents may lie elsewhere.
    private struct Draft: Sendable {
        let items: [ItemContent]
        let stoken: String
        let isDone: Bool
        let end: Cursor
        /// The room for it.
        let held: (any FrameRoom)?
    }

    private func draft(
        after cursor: Cursor, upTo limit: Position? = nil, _ collection: CollectionAccess, _ snapshot: Snapshot
    ) throws -> Draft? {
        var held: (any FrameRoom)?
        let found = try snapshot.changes(
            of: collection, after: cursor.position, knownAt: cursor.base, upTo: limit, limit: Self.frameItems
        ) { bytes in held = try hold(bytes) }
        guard let last = found.elements.last else { return nil }
        var end = Cursor(at: last.changed)
        if !found.isDone { end.base = cursor.base }
        return Draft(
            items: found.elements, stoken: try snapshot.stoken(at: last.changed), isDone: found.isDone, end: end, held: held)
    }

    private func frame(_ draft: Draft?) async throws -> FeedState.Frame? {
        guard let draft else { return nil }
        let message = encode(try await readModel.completed(draft.items), draft.stoken, draft.isDone)
        draft.held?.shrink(to: message.readableBytes)
        return FeedState.Frame(message: Message(message, held: draft.held), end: draft.end)
    }
}
