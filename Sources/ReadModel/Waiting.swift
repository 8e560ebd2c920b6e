package import Clocks
internal import Database
package import Domain
internal import EventLog
internal import Synchronization

/// The read model does not have yet what a question depends on.
struct Behind: Error {
    let position: Position
}

/// Where the log was, for each thing that a question depends on, when the question was first asked: what it waits for. A
/// reader of a busy collection that waited for the newest each time could wait for ever.
///
/// Safe: used by one look after the other.
final class FirstLook: Sendable {
    enum Subject: Hashable {
        case stream(StreamID)
        /// The collections that a user is a member of, once the snapshot knows which those are.
        case collections(of: UserID)
        /// The whole log.
        case all
    }

    private let seen = Mutex<[Subject: Position]>([:])

    /// The last position of any of `subjects`, looked up where it was not before.
    func position(of subjects: [Subject], _ lookUp: () throws -> Position) rethrows -> Position {
        let known = seen.withLock { seen in subjects.map { seen[$0] } }
        guard known.contains(where: { $0 == nil }) else { return known.compactMap(\.self).max() ?? .none }
        let position = try lookUp()
        seen.withLock { seen in
            for subject in subjects where seen[subject] == nil { seen[subject] = position }
        }
        return position
    }
}

/// How far the read model is, as far as this process knows: what wakes those who wait for it.
///
/// A projector in the same process tells each step, and so may one elsewhere; those who wait are woken by it. They also look
/// again by themselves: every few milliseconds, unless a projector elsewhere is heard.
package final class Progress: Sendable {
    /// How long a reader waits before it looks again by itself; and how long when it is told, since what tells may fail.
    private static let pollInterval = Duration.milliseconds(5)
    private static let toldPollInterval = Duration.milliseconds(100)

    private struct State {
        var position = Position.none
        /// How many steps have been told.
        var steps = 0
        var isTold = false
        var waiters: [Int: (position: Position, continuation: CheckedContinuation<Void, Never>)] = [:]
        /// Those whose time was up before they began to wait.
        var expired: Set<Int> = []
        var lastTicket = 0
    }

    private let state = Mutex(State())
    private let clock: ServerClock

    /// - Parameter clock: by which those who wait look again by themselves.
    package init(clock: ServerClock = .machine) { self.clock = clock }

    /// How many steps have been told.
    var steps: Int { state.withLock { $0.steps } }

    /// Sets whether ``reached(_:)`` is called for the steps of a projector elsewhere too, from now on.
    package func isTold(_ isTold: Bool) { state.withLock { $0.isTold = isTold } }

    /// Wakes those who wait for a position up to this one.
    package func reached(_ position: Position) {
        let woken = state.withLock { state in
            state.position = max(state.position, position)
            state.steps += 1
            let woken = state.waiters.filter { $0.value.position <= position }
            for ticket in woken.keys { state.waiters[ticket] = nil }
            return woken.values.map(\.continuation)
        }
        for continuation in woken { continuation.resume() }
    }

    /// Waits until the position may have been reached, and no longer than until it is time to look.
    ///
    /// - Parameter steps: how many steps had been told before the reader looked. If the position was told by then, it was
    ///   lost again: the last of what is projected may be, in a crash.
    func wait(for position: Position, after steps: Int) async {
        let (ticket, interval) = state.withLock { state in
            state.lastTicket += 1
            return (state.lastTicket, state.isTold ? Self.toldPollInterval : Self.pollInterval)
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                // Cancelled when the wait is over, or because nobody waits for the reader any more: either way it ends.
                do { try await self.clock.sleep(for: interval) } catch {}
                self.expire(ticket)
            }
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if (state.position >= position && state.steps != steps) || state.expired.remove(ticket) != nil { return true }
                    state.waiters[ticket] = (position, continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
            group.cancelAll()
        }
        state.withLock { _ = $0.expired.remove(ticket) }
    }

    private func expire(_ ticket: Int) {
        let waiter = state.withLock { state in
            let waiter = state.waiters.removeValue(forKey: ticket)
            if waiter == nil { state.expired.insert(ticket) }
            return waiter
        }
        waiter?.continuation.resume()
    }
}

extension Snapshot {
    /// Makes sure that everything that has happened to `streams` is in the snapshot.
    ///
    /// - Throws: ``Behind``, which makes the read model wait and ask everything again.
    package func require(_ streams: [StreamID]) throws {
        switch log {
        case .inline: break
        case .beside(let first):
            try require(first.position(of: streams.map { .stream($0) }) { try EventLog.heads(of: streams, connection) })
        case .elsewhere(let facts):
            let missing = streams.filter { facts.heads[$0] == nil }
            guard missing.isEmpty else { throw LogFacts.Missing.heads(missing) }
            for stream in streams { try require(facts.heads[stream] ?? .none) }
        }
    }

    /// Makes sure that everything that has happened is in the snapshot: for questions whose streams are only known with
    /// their answer.
    func requireAll() throws {
        switch log {
        case .inline: break
        case .beside(let first): try require(first.position(of: [.all]) { try logHead().position })
        case .elsewhere: try require(try logHead().position)
        }
    }

    /// Makes sure that the snapshot has what has happened to all collections of a user.
    package func requireCollections(of user: UserID) throws {
        switch log {
        case .inline: break
        case .beside(let first):
            try require([.user(user)])
            try require(
                first.position(of: [.collections(of: user)]) {
                    let head = try connection.first(Self.selectHeadOfCollections, [.integer(user.rawValue)]) { $0.integerOrNil(0) }
                    return Position(rawValue: (head ?? nil) ?? 0)
                })
        case .elsewhere:
            try require([.user(user)])
            let collections = try connection.query(Self.selectCollectionsOfMember, [.integer(user.rawValue)]) { row in
                StreamID.collection(CollectionUID(row.text(0)))
            }
            if !collections.isEmpty { try require(collections) }
        }
    }

    /// Makes sure that the snapshot has what happened up to a position.
    package func require(_ position: Position) throws {
        guard try self.position() >= position else { throw Behind(position: position) }
    }

    static let selectHeadOfCollections = Statement(
        """
        SELECT max(stream.head)
        FROM   django_etebase_collectionmember member
        JOIN   django_etebase_collection collection ON collection.id = member.collection_id
        JOIN   apus_stream stream ON stream.name = 'collection/' || collection.uid
        WHERE  member.user_id = $1
        """)

    private static let selectCollectionsOfMember = Statement(
        """
        SELECT collection.uid
        FROM   django_etebase_collectionmember member
        JOIN   django_etebase_collection collection ON collection.id = member.collection_id
        WHERE  member.user_id = $1
        """)
}
