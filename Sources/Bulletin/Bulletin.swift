/// One way to be told what happened: in this process, and through Redis in all that share a log.
///
/// Pattern: whoever makes something happen posts a ``Notice`` once it is so; whoever waits for it subscribes. A notice bears no contents,
/// only what to look at. It only makes things faster: one may be lost, repeated, late or made up, and nobody relies on it. Where
/// notices of other processes can be missed, subscribers are told so, and look for themselves.
///
/// Concurrency: subscribers are called by whoever posts, in the order in which they came, and neither wait nor fail.
package import Domain
internal import Synchronization

/// Something that happened.
package enum Notice: Hashable, Sendable {
    /// The log ends here now.
    case appended(upTo: Position)
    /// The tables have what happened up to here, and these collections are among what has changed since the last notice.
    case projected(upTo: Position, collections: [CollectionUID])
    /// Something about a user's account: it may be deactivated.
    case userChanged(UserID)
    /// A token was given up; the session's short id names it.
    case sessionEnded(String)
}

/// What a subscriber is told.
package enum BulletinNews: Hashable, Sendable {
    case posted(Notice)
    /// What others post comes in from here on. What they posted before may have been missed: time to look.
    case began
    /// What others post does not come in, until it has begun again.
    case interrupted
}

/// Where notices are posted and read.
package protocol Bulletin: Sendable {
    typealias Subscriber = @Sendable (BulletinNews) -> Void

    /// Tells everybody. Neither waits nor fails.
    func post(_ notices: [Notice])

    /// Tells the subscriber from now on, for as long as the process runs: of what is posted here before ``post(_:)`` returns.
    func subscribe(_ subscriber: @escaping Subscriber)

    /// Whether what others post comes in just now, as far as there are others.
    var isHeard: Bool { get }
}

/// Notices inside of one process.
package final class LocalBulletin: Bulletin {
    private let subscribers = Mutex<[Subscriber]>([])

    package let isHeard = true

    package init() {}

    package func post(_ notices: [Notice]) {
        for notice in notices { tell(.posted(notice)) }
    }

    package func subscribe(_ subscriber: @escaping Subscriber) { subscribers.withLock { $0.append(subscriber) } }

    func tell(_ news: BulletinNews) {
        for subscriber in subscribers.withLock({ $0 }) { subscriber(news) }
    }
}
