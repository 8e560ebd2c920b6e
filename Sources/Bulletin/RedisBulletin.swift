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
    private let redis: Redis?
    private let channel: String
    private let publish: @Sendable ([UInt8]) -> Void
    /// What our own messages begin with: they have been told already when they come back.
    private let name = Sodium.randomAlphanumerics(16)
    private let isSubscribed = Atomic(false)

    /// - Parameter channel: the same in all processes on one log, and known to no others.
    package init(_ redis: Redis, channel: String) {
        (self.redis, self.channel) = (redis, channel)
        publish = { redis.publish($0, to: channel) }
    }

    /// - Parameter publish: takes messages to all processes on one log; what comes from them is told with ``receive(_:)``.
    init(publish: @escaping @Sendable ([UInt8]) -> Void) { (redis, channel, self.publish) = (nil, "", publish) }

    package var isHeard: Bool { isSubscribed.load(ordering: .relaxed) }

    package func post(_ notices: [Notice]) {
        guard !notices.isEmpty else { return }
        local.post(notices)
        publish(BulletinMessage(sender: name, notices: notices).bytes)
    }

    package func subscribe(_ subscriber: @escaping Subscriber) { local.subscribe(subscriber) }

    /// Listens until the program shuts down.
    package func run() async throws {
        guard let redis else { return }
        for await news in redis.subscribe(to: channel).cancelOnGracefulShutdown() { receive(news) }
    }

    /// Tells the subscribers what comes over the channel.
    func receive(_ news: RedisNews) {
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
