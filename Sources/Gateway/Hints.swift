public import Domain
public import EventLog
internal import Synchronization
internal import Telemetry

/// A collection has changed: told after the commit that made the change visible.
public struct Hint: Hashable, Sendable {
    public let epoch: Int64
    public let collection: CollectionUID
    /// The last position of the collection before the change; ``Position/none`` where it is not known.
    public let previous: Position
    /// The last position of the change.
    public let position: Position

    public init(epoch: Int64, collection: CollectionUID, previous: Position, position: Position) {
        self.epoch = epoch
        self.collection = collection
        self.previous = previous
        self.position = position
    }
}

/// What gateways are told.
public enum Notice: Hashable, Sendable {
    case changed(Hint)
    /// Something about a user's account: it may be deactivated.
    case userChanged(UserID)
    /// A token was given up; the session's short id names it.
    case sessionEnded(String)

    /// What there is to tell of events that have been projected, one hint for each collection.
    public static func about(_ records: [RecordedEvent]) -> [Notice] {
        var hints: [CollectionUID: Hint] = [:]
        var users: Set<UserID> = []
        for record in records {
            for stream in record.streams {
                switch stream {
                case .collection(let collection):
                    let previous = hints[collection]?.previous ?? (stream == record.stream ? record.previous : .none)
                    hints[collection] = Hint(
                        epoch: record.epoch, collection: collection, previous: previous, position: record.position)
                // The streams of users are touched by much that their sockets need not know.
                case .user(let user): if stream == record.stream { users.insert(user) }
                case .createdUser: break
                }
            }
        }
        return hints.values.map { .changed($0) } + users.map { .userChanged($0) }
    }
}

/// Carries notices from whoever commits to the gateways. A notice only makes things faster: one may be lost, repeated or
/// late, and nobody relies on it.
public protocol Hints: Sendable {
    /// Tells everybody. Neither waits nor fails.
    func publish(_ notices: [Notice])

    /// What was published here or elsewhere. For one gateway.
    var notices: AsyncStream<Notice> { get }

    /// Whether what is published elsewhere comes in just now.
    var areHeard: Bool { get }
}

/// Hints inside of one process.
public final class LocalHints: Hints {
    /// How many may wait for the gateway; of more the oldest are lost.
    private static let waitingNotices = 4096

    /// What was published. Whoever has asked for it is thought to take it.
    public var notices: AsyncStream<Notice> {
        isListenedTo.store(true, ordering: .relaxed)
        return stream
    }
    /// There is no elsewhere.
    public let areHeard = true
    private let stream: AsyncStream<Notice>
    private let continuation: AsyncStream<Notice>.Continuation
    private let isListenedTo = Atomic(false)

    public init() {
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.waitingNotices))
    }

    public func publish(_ notices: [Notice]) {
        for notice in notices {
            if case .dropped = continuation.yield(notice), isListenedTo.load(ordering: .relaxed) { Telemetry.gateway.lost.increment() }
        }
    }
}
