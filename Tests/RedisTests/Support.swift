import Foundation
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Redis

/// The Redis that all tests share, each with keys and channels of its own; those that disturb others start their own.
enum Shared {
    static let address = ProcessInfo.processInfo.environment["APUS_TEST_REDIS_URL"]
    static let isThere = address != nil

    static func url(_ path: String = "") throws -> RedisURL { try RedisURL(try #require(address) + path) }
}

/// A time limit that a busy machine keeps too.
let patience = Duration.seconds(20)

/// A name that no other test uses.
func fresh(_ name: String) -> String { "test:\(name):\(UUID().uuidString)" }

/// Runs `body` with a client that is connected.
func connected<T>(
    _ url: RedisURL, moveLimit: Duration = Redis.moveLimit, log: CollectedLog = CollectedLog(), _ body: (Redis) async throws -> T
) async throws -> T {
    try await running(url, moveLimit: moveLimit, log: log) { redis in
        try await eventually { redis.isConnected }
        return try await body(redis)
    }
}

/// Runs `body` with a client that may not find its Redis.
func running<T>(
    _ url: RedisURL, moveLimit: Duration = Redis.moveLimit, log: CollectedLog = CollectedLog(), _ body: (Redis) async throws -> T
) async throws -> T {
    let redis = try Redis(url, timeLimit: patience, moveLimit: moveLimit, logger: log.logger)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await redis.run() }
        defer { group.cancelAll() }
        return try await body(redis)
    }
}

/// Waits until the condition holds.
func eventually(_ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(30)
    while try await !condition() {
        try #require(ContinuousClock.now < end, "what was waited for has not come")
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// A redis-server of a test's own, reached over a socket in its folder and gone at the end.
final class OwnRedis {
    let folder = FileManager.default.temporaryDirectory.appending(path: "apus-redis-\(UUID().uuidString.prefix(8))")
    private let options: [String]
    private var process: Process?

    var socket: String { folder.appending(path: "socket").path() }

    init(_ options: String...) throws {
        self.options = options
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    func start() throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/redis-server")
        process.arguments =
            ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder.path()] + options
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        self.process = process
    }

    /// Kills it.
    func kill() {
        guard let process else { return }
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        self.process = nil
    }

    func remove() {
        kill()
        try? FileManager.default.removeItem(at: folder)
    }

    /// Runs `body` while a Redis runs.
    static func with<T>(_ options: String..., body: (OwnRedis) async throws -> T) async throws -> T {
        let server = try OwnRedis(options)
        defer { server.remove() }
        try server.start()
        return try await body(server)
    }

    private init(_ options: [String]) throws {
        self.options = options
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }
}

/// What a client logs.
final class CollectedLog: Sendable {
    private let entries = Mutex<[(level: Logger.Level, text: String)]>([])

    var logger: Logger { Logger(label: "redis") { _ in Handler(log: self) } }
    func texts(_ level: Logger.Level) -> [String] { entries.withLock { $0.filter { $0.level == level }.map(\.text) } }

    private struct Handler: LogHandler {
        let log: CollectedLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            log.entries.withLock { $0.append((event.level, "\(event.message) \(event.metadata ?? [:])")) }
        }
    }
}

/// A server that answers each of what it is sent with the next of its texts, and then not any more.
func answering<T>(_ answers: [String], _ body: (RedisURL) async throws -> T) async throws -> T {
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Answering(answers)) }
        }
        .bind(host: "127.0.0.1", port: 0).get()
    do {
        let result = try await body(RedisURL("redis://127.0.0.1:\(try #require(server.localAddress?.port))"))
        try await server.close()
        return result
    } catch {
        try await server.close()
        throw error
    }
}

private final class Answering: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var answers: [String]

    init(_ answers: [String]) { self.answers = answers }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !answers.isEmpty else { return }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answers.removeFirst())), promise: nil)
    }
}
