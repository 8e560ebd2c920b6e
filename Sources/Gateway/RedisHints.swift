internal import Domain
public import Redis
public import ServiceLifecycle
internal import Synchronization

/// Hints between processes, over one channel of Redis: one message for each batch that is projected, whatever the number of
/// its collections, from which each gateway takes what it listens to.
///
/// What this process publishes reaches its own gateway without Redis too; that it comes a second time does no harm.
public final class RedisHints: Hints, Service {
    private let local = LocalHints()
    private let redis: Redis
    private let channel: String
    private let isSubscribed = Atomic(false)

    /// - Parameter channel: the same in all processes on one log, and known to no others.
    public init(_ redis: Redis, channel: String) {
        self.redis = redis
        self.channel = channel
    }

    public var notices: AsyncStream<Notice> { local.notices }
    public var areHeard: Bool { isSubscribed.load(ordering: .relaxed) }

    public func publish(_ notices: [Notice]) {
        guard !notices.isEmpty else { return }
        local.publish(notices)
        redis.publish(Array(notices.map(\.line).joined(separator: "\n").utf8), to: channel)
    }

    /// Listens until the program shuts down. What is missed while Redis is away, gateways find in the log.
    public func run() async throws {
        for await news in redis.subscribe(to: channel).cancelOnGracefulShutdown() {
            switch news {
            case .began: isSubscribed.store(true, ordering: .relaxed)
            case .interrupted: isSubscribed.store(false, ordering: .relaxed)
            case .message(let bytes):
                local.publish(String(decoding: bytes, as: UTF8.self).parts(separatedBy: "\n").compactMap { Notice(line: $0) })
            }
        }
    }
}

extension Notice {
    /// The notice as a line of text. A uid of an adopted database that holds a line's end makes lines that say nothing, or a
    /// notice of nothing: none does harm.
    var line: String {
        switch self {
        case .changed(let hint): "changed \(hint.epoch) \(hint.previous.rawValue) \(hint.position.rawValue) \(hint.collection)"
        case .userChanged(let user): "user \(user.rawValue)"
        case .sessionEnded(let session): "session \(session)"
        }
    }

    /// The notice in a line, or nil where there is none: of a version of Apus that knows others.
    init?(line: String) {
        let words = line.parts(separatedBy: " ", limit: 5)
        switch words.first {
        case "changed":
            guard words.count == 5, let epoch = Int64(words[1]), let previous = Int64(words[2]), let position = Int64(words[3]) else {
                return nil
            }
            self = .changed(
                Hint(
                    epoch: epoch, collection: CollectionUID(words[4]), previous: Position(rawValue: previous),
                    position: Position(rawValue: position)))
        case "user":
            guard words.count == 2, let user = Int64(words[1]) else { return nil }
            self = .userChanged(UserID(rawValue: user))
        case "session":
            guard words.count == 2 else { return nil }
            self = .sessionEnded(words[1])
        default: return nil
        }
    }
}
