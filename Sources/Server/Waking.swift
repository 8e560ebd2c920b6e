internal import Database
internal import Domain
internal import Projections
internal import ReadModel
internal import Redis
internal import ServiceLifecycle
internal import Sodium

/// Tells other processes how far log and read model are, through Redis: one small message for each group that is appended
/// and for each batch that is projected.
struct Telling: Sendable {
    let redis: Redis
    /// What the names of channels and keys begin with.
    let prefix: String
    /// The channels of the database. Others that share the Redis have other ones, and nobody without the secret knows which.
    fileprivate let appended: String
    fileprivate let projected: String

    init(_ redis: Redis, about database: any Database, secret: [UInt8]) async throws {
        let name = try await database.read { connection in try connection.first(Self.selectName, []) { $0.text(0) } ?? "" }
        let key = Sodium.blake2b(secret, personalization: "apus-channels")
        let tag = Sodium.blake2b(Array(name.utf8), key: key, length: 16)
        prefix = "apus:" + tag.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        self.redis = redis
        appended = prefix + ":log"
        projected = prefix + ":read-model"
    }

    /// Tells where the log ends now.
    func appended(upTo position: Position) { publish(position, to: appended) }

    /// Tells where the read model is now.
    func projected(upTo position: Position) { publish(position, to: projected) }

    private func publish(_ position: Position, to channel: String) {
        redis.publish(Array(String(position.rawValue).utf8), to: channel)
    }

    /// The same for all who are connected to a database or to one of its standbys, however they got there.
    static let selectName = Statement(
        "SELECT system_identifier::text || ' ' || current_database()::text FROM pg_control_system()")
}

/// Wakes those in this process who wait for what others tell. A projector and readers that are told look by themselves only
/// rarely; without Redis, often.
struct Waking: Service {
    let telling: Telling
    let projectors: [Projector]
    let progress: Progress

    /// Listens until the program shuts down.
    func run() async throws {
        await withTaskGroup { group in
            group.addTask { await wakeProjectors() }
            group.addTask { await wakeReaders() }
        }
    }

    private func wakeProjectors() async {
        for await news in telling.redis.subscribe(to: telling.appended).cancelOnGracefulShutdown() {
            switch news {
            case .began: for projector in projectors { projector.isTold(true) }
            case .interrupted: for projector in projectors { projector.isTold(false) }
            case .message: for projector in projectors { projector.wake() }
            }
        }
    }

    private func wakeReaders() async {
        for await news in telling.redis.subscribe(to: telling.projected).cancelOnGracefulShutdown() {
            switch news {
            case .began: progress.isTold(true)
            case .interrupted: progress.isTold(false)
            case .message(let text):
                if let position = Int64(String(decoding: text, as: UTF8.self)) { progress.reached(Position(rawValue: position)) }
            }
        }
    }
}
