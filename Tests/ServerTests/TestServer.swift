import Database
import Foundation
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import ServiceLifecycle
import Sodium
import Synchronization
import Testing

@testable import API
@testable import Server

/// The engines that the routes are tested on.
enum Engine: String, CaseIterable, Sendable {
    case sqlite
    /// On the server of `APUS_TEST_POSTGRES_URL`.
    case postgres

    private static let environment = ProcessInfo.processInfo.environment
    static let postgresURL = environment["APUS_TEST_POSTGRES_URL"]
    /// Without a server for PostgreSQL its cases are left out, but where `CI` is `true`, there they fail.
    static let all = allCases.filter { $0 != .postgres || postgresURL != nil || environment["CI"] == "true" }
}

/// A server in this process with everything but a port: a node on a database of its own, wired as `apus serve` wires it.
///
/// All tests of an engine share one, each with users and collections of its own.
final class TestServer: Sendable {
    static let authority = "sync.example.com"

    /// What a test finds of its engine.
    @TaskLocal static var running: [Engine: TestServer] = [:]

    let logger: Logger
    /// Open to sign-ups, with the test reset route, metrics and a dashboard.
    let wiring: Wiring
    /// As a server is that was told nothing.
    let plain: Wiring
    private let turns = Turns(2)

    private init(_ node: Node, _ logger: Logger) throws {
        self.logger = logger
        var settings = ServerSettings()
        // All connections come from one address.
        settings.isProxied = true
        plain = try Wiring(node, settings, logger: logger)
        settings.api.signup = .open
        // Everybody in these tests is at one address.
        settings.api.limits.signups = nil
        settings.api.limits.loginsFromAddress = nil
        settings.api.isDebug = true
        settings.api.metricsToken = Hidden("seen")
        settings.api.dashboardURL = "https://example.com/{username}"
        settings.api.chunkLimitBytes = 1 << 20
        settings.api.batchLimit = 100
        wiring = try Wiring(node, settings, logger: logger)
    }

    /// Runs `body` while there is a server on an engine.
    static func run(_ engine: Engine, _ body: (TestServer) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path(percentEncoded: false)
        let schema = "routes_\(UUID().uuidString.lowercased().replacing("-", with: ""))"
        if engine == .postgres { try await script("CREATE SCHEMA \(schema)") }
        let place: DatabasePlace =
            switch engine {
            case .sqlite: .sqlite(path: path + "/apus.sqlite")
            case .postgres: .postgres(url: try address("-csearch_path=\(schema)"))
            }
        let result: Result<Void, any Error>
        do {
            let faults = Faults()
            let logger = Logger(label: "tests") { _ in faults }
            let node = try await Node(
                DataSettings(
                    folder: path, database: place, readDatabaseURL: nil, chunkFolder: path + "/chunks", secret: Hidden(Array("secret".utf8))
                ),
                makesDatabase: true, logger: logger)
            let server = try TestServer(node, logger)
            try await withThrowingDiscardingTaskGroup { group in
                for service in server.wiring.lookouts + server.wiring.services(logger: logger) + [server.plain.readiness] {
                    group.addTask { try await service.run() }
                }
                try await body(server)
                group.cancelAll()
            }
            try node.close()
            #expect(faults.lines.withLock { $0 } == [], "\(engine.rawValue): what the server logged as faults")
            result = .success(())
        } catch { result = .failure(error) }
        if engine == .postgres { try await script("DROP SCHEMA \(schema) CASCADE") }
        try result.get()
    }

    /// Runs a test when it is its turn: many at once would wait for each other.
    func inTurn(_ body: () async throws -> Void) async throws {
        await turns.take()
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        await turns.giveBack()
        try result.get()
    }

    private static func address(_ options: String) throws -> String {
        let url = try #require(Engine.postgresURL, "APUS_TEST_POSTGRES_URL does not say where a PostgreSQL is")
        let escaped = options.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        return url + (url.contains("?") ? "&" : "?") + "options=" + escaped
    }

    private static func script(_ text: String) async throws {
        try await PostgresDatabase(url: address("-cclient_min_messages=error"), connections: 1).write { connection in
            try connection.run(script: text)
        }
    }

    /// A connection, which may become a WebSocket, with what a connection of `apus serve` has between bytes and requests.
    func connect(to wiring: Wiring) async throws -> NIOAsyncTestingChannel {
        let channel = NIOAsyncTestingChannel()
        try await channel.testingEventLoop.executeInContext {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder()))
            try pipeline.addHandler(HTTPResponseEncoder())
            try pipeline.addHandler(ConnectionHandler(wiring.admission, upgrades: true))
        }
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
        try #require(wiring.admission.connections.connection(of: channel) != nil)
        return channel
    }
}
