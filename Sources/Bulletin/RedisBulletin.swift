package import Redis
import ServiceLifecycle
internal import Domain
internal import Sodium
internal import Synchronization

/// Notices between processes, over one channel of Redis: a message for each post.
///
/// What is posted here reaches the subscribers of this process without Redis, whether or not it is there.
package final class RedisBulletin: Bulletin, Service {
    private let local = LocalBulletin()
    private let redis: Redis
    private let channel: String
    /// What our own messages begin with: they have been told already when they come back.
    private let name = Sodium.randomAlphanumerics(16)
    private let isSubscribed = Atomic(false)

    /// - Parameter channel: the same in all processes on one log, and known to no others.
    package init(_ redis: Redis, channel: String) {
        self.redis = redis
        self.channel = channel
    }

    package var isHeard: Bool { isSubscribed.load(ordering: .relaxed) }

    package func post(_ notices: [Notice]) {
        guard !notices.isEmpty else { return }
        local.post(notices)
        redis.publish(BulletinMessage(sender: name, notices: notices).bytes, to: channel)
    }

    package func subscribe(_ subscriber: @escaping Subscriber) { local.subscribe(subscriber) }

    /// Listens until the program shuts down.
    package func run() async throws {
        for await news in redis.subscribe(to: channel).cancelOnGracefulShutdown() {
            switch news {
            case .began:
                isSubscribed.store(true, ordering: .relaxed)
                local.tell(.began)
            case .interrupted:
                isSubscribed.store(false, ordering: .relaxed)
                local.tell(.interrupted)
            case .message(let bytes):
                let message = BulletinMessage(bytes)
                if message.sender != name { local.post(message.notices) }
            }
        }
    }
}
