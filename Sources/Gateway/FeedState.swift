internal import Domain
internal import NIOCore

/// Names a listener in its gateway.
struct ListenerID: Hashable, Sendable {
    let rawValue: Int
}

/// How much of a collection a listener has.
struct Cursor: Hashable, Sendable {
    /// The last change that was sent, or is being sent.
    var position: Position
    /// Where the listener last had everything: behind `position` while a backlog of several frames is sent, since the frames
    /// leave out what comes again further on. Nothing where it began with nothing.
    var base: Position

    /// Everything up to a position.
    init(at position: Position) {
        self.position = position
        base = position
    }
}

/// A message on its way to one listener or many, with what is held for it: given back when nobody has the message any more.
struct Message: Sendable {
    let bytes: ByteBuffer
    private let held: (any FrameRoom)?

    init(_ bytes: ByteBuffer, held: (any FrameRoom)? = nil) {
        self.bytes = bytes
        self.held = held
    }
}

/// What a feed knows of its listeners, and what is to be done next: pure, so that it can be tested without a socket.
///
/// A listener either waits at the position that was sent last, or it is busy: a frame is on its way to it. So of each
/// listener one frame waits at most, and one that is slow asks for the next frame when it has taken the last: it reads at
/// its own pace, and nothing is kept for it.
struct FeedState {
    /// What to look for in the read model: the collection's access for `listeners`, and its changes after a position.
    struct Look: Sendable {
        let number: Int
        let listeners: [ListenerID: Grant]
        /// Nil when only access is looked at.
        let after: Cursor?
    }

    /// What was found, all of one moment.
    struct Finding: Sendable {
        /// Those of the look's listeners who may listen.
        let admitted: Set<ListenerID>
        /// The stretch of history that all this is of.
        let epoch: Int64
        /// The newest change in the collection; nil when there is no such collection.
        let changed: Position?
        /// The next changes after the look's position; nil where there are none.
        let frame: Frame?
    }

    /// Changes as they go over the wire.
    struct Frame: Sendable {
        let message: Message
        /// Where it leads.
        let end: Cursor
    }

    /// What is to be done with the listeners.
    enum Action: Sendable {
        case send(Message, to: [ListenerID])
        /// They may not listen any more.
        case dismiss([ListenerID])
        /// What they have is of a future that was lost: they begin again from what they know.
        case restart([ListenerID])
    }

    /// How long a frame is good for listeners who were admitted when it was read and come for it later.
    static let sharing = Duration.milliseconds(200)
    /// How many frames are shared at the same time.
    static let sharedPages = 4

    private struct Listener {
        let grant: Grant
        var cursor: Cursor
        /// Of which its cursor is a place; nil while it has nothing, which is so in all of them.
        var epoch: Int64?
        var isBusy = false
        /// The last look that found that it may listen.
        var admitted = 0
    }

    private struct Shared {
        let after: Cursor
        let frame: Frame
        let look: Int
        let end: ContinuousClock.Instant
    }

    private var listeners: [ListenerID: Listener] = [:]
    private var busy = 0
    /// The newest change that was found so far.
    private var changed = Position.none
    /// Whether something may have happened since the last look.
    private var isStale = false
    /// Places that listeners wait at and that are looked at one after the other, so that none is left out for long.
    private var round: [Cursor] = []
    private var looks = 0
    private var shared: [Shared] = []

    var grants: [Grant] { listeners.values.map(\.grant) }

    /// Adds a listener who has seen everything up to `position` of the history that `epoch` belongs to; nil where that is nothing.
    /// Nothing is sent to it before a look admits it.
    mutating func join(_ id: ListenerID, _ grant: Grant, at position: Position, in epoch: Int64?) {
        listeners[id] = Listener(grant: grant, cursor: Cursor(at: position), epoch: epoch)
        isStale = true
    }

    mutating func leave(_ id: ListenerID) {
        guard let listener = listeners.removeValue(forKey: id) else { return }
        if listener.isBusy { setFree() }
    }

    /// Takes notice of a change. One that was found already is none.
    mutating func note(_ position: Position) {
        if position > changed { isStale = true }
    }

    /// Whether a change after a position is known, or looked for.
    func isAware(ofChangesAfter position: Position) -> Bool { isStale || changed > position }

    /// Everybody's access is to be looked at again.
    mutating func recheck() { isStale = true }

    /// A frame has gone out. Answers with the next one, where that is at hand.
    mutating func delivered(to id: ListenerID, now: ContinuousClock.Instant) -> Action? {
        guard var listener = listeners[id], listener.isBusy else { return nil }
        shared.removeAll { $0.end <= now }
        if let next = shared.first(where: { $0.after == listener.cursor && $0.look <= listener.admitted }) {
            listener.cursor = next.frame.end
            listeners[id] = listener
            return .send(next.frame.message, to: [id])
        }
        listener.isBusy = false
        listeners[id] = listener
        setFree()
        return nil
    }

    private mutating func setFree() {
        busy -= 1
        // An idle feed keeps no frames.
        if busy == 0 { shared = [] }
    }

    /// What to look for next; nil when everybody has everything.
    mutating func nextLook() -> Look? {
        guard !listeners.isEmpty else { return nil }
        let checksAll = isStale && round.isEmpty
        if round.isEmpty {
            let waiting = listeners.values.filter { !$0.isBusy && (checksAll || $0.cursor.position < changed) }
            let crowds = Dictionary(grouping: waiting, by: \.cursor).mapValues(\.count)
            // The largest crowd last, from where it is taken first.
            round = crowds.keys.sorted { (crowds[$0] ?? 0, $1.position) < (crowds[$1] ?? 0, $0.position) }
            if checksAll { isStale = false }
        }
        while let cursor = round.popLast() {
            let waiting = listeners.filter { !$0.value.isBusy && $0.value.cursor == cursor }
            guard !waiting.isEmpty else { continue }
            return look(at: checksAll ? listeners : waiting, after: cursor)
        }
        if checksAll { return look(at: listeners, after: nil) }
        // What was waiting has gone meanwhile; there may be more.
        return isStale || listeners.values.contains { !$0.isBusy && $0.cursor.position < changed } ? nextLook() : nil
    }

    private mutating func look(at listeners: [ListenerID: Listener], after cursor: Cursor?) -> Look {
        looks += 1
        return Look(number: looks, listeners: listeners.mapValues(\.grant), after: cursor)
    }

    /// Takes in what was found. Who is not admitted gets nothing of it, nor who has come from another epoch: there its position was
    /// that of another change.
    mutating func found(_ finding: Finding, by look: Look, now: ContinuousClock.Instant) -> [Action] {
        let dismissed = look.listeners.keys.filter { !finding.admitted.contains($0) && listeners[$0] != nil }
        let stranded = finding.admitted.filter { id in listeners[id]?.epoch.map { $0 != finding.epoch } ?? false }
        for id in dismissed + stranded { leave(id) }
        changed = max(changed, finding.changed ?? .none)
        for id in finding.admitted {
            listeners[id]?.admitted = look.number
            listeners[id]?.epoch = finding.epoch
        }
        var actions: [Action] = dismissed.isEmpty ? [] : [.dismiss(dismissed)]
        if !stranded.isEmpty { actions.append(.restart(Array(stranded))) }
        guard let after = look.after else { return actions }
        let waiting = finding.admitted.filter { id in
            guard let listener = listeners[id] else { return false }
            return !listener.isBusy && listener.cursor == after
        }
        guard let frame = finding.frame else {
            // They have everything that is there, whatever the last change was.
            let end = Cursor(at: max(after.position, finding.changed ?? .none))
            for id in waiting { listeners[id]?.cursor = end }
            return actions
        }
        for id in waiting {
            listeners[id]?.cursor = frame.end
            listeners[id]?.isBusy = true
        }
        busy += waiting.count
        shared.removeAll { $0.end <= now || $0.after == after }
        shared.append(Shared(after: after, frame: frame, look: look.number, end: now + Self.sharing))
        if shared.count > Self.sharedPages { shared.removeFirst() }
        return actions + [.send(frame.message, to: Array(waiting))]
    }

    /// A look could not be taken: it is to be taken again. Memory may be what was wanting, so no frames are kept for those who come later.
    mutating func failed() {
        isStale = true
        shared = []
    }
}
