import Database
import Foundation
import Synchronization
import Testing

/// The engines that the tests run on. Another one is another case, and what opens it.
enum Engine: String, CaseIterable, Sendable {
    case sqlite
    /// On the server of `APUS_TEST_POSTGRES_URL`.
    case postgres

    /// Without a server for PostgreSQL its cases are left out, but where `CI` is `true`, there they fail.
    static let all = allCases.filter { $0 != .postgres || isPostgresExpected }
    /// Those on which the append projects, and those on which a projector follows the log.
    static let projectingInAppend = [Engine.sqlite]
    static let projectingLater = all.filter { $0 == .postgres }

    private static let environment = ProcessInfo.processInfo.environment
    static let postgresURL = environment["APUS_TEST_POSTGRES_URL"]
    static let isPostgresExpected = postgresURL != nil || environment["CI"] == "true"

    /// Runs `body` in a new place for databases, which is gone afterwards.
    ///
    /// - Parameter relay: over which the server is reached, and waited for where it is cut.
    func place<T>(over relay: Relay? = nil, _ body: (Place) async throws -> T) async throws -> T {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path(percentEncoded: false)
        switch self {
        case .sqlite: return try await body(Place(folder: path, server: nil))
        case .postgres:
            let server = PostgresServer(
                url: try relay?.url ?? #require(Self.postgresURL, Self.withoutPostgres), moveLimit: relay == nil ? .zero : .seconds(60))
            // Each place needs connections, and all tests run at once.
            await Turns.postgres.take()
            let result: Result<T, any Error>
            do { result = .success(try await body(Place(folder: path, server: server))) } catch { result = .failure(error) }
            let cleaned: Result<Void, any Error>
            do { cleaned = .success(try await server.drop()) } catch { cleaned = .failure(error) }
            await Turns.postgres.giveBack()
            try cleaned.get()
            return try result.get()
        }
    }

    /// Runs `body` on a new database, with a committer.
    func node<T>(_ body: (Node) async throws -> T) async throws -> T {
        try await place { place in try await place.node().running(body) }
    }

    static let withoutPostgres: Comment = "APUS_TEST_POSTGRES_URL does not say where a PostgreSQL is"
}

@Suite("The engines") struct EngineTests {
    @Test("of the storage tests are all there", .enabled(if: Engine.isPostgresExpected, Engine.withoutPostgres))
    func allThere() { #expect(Engine.all == Engine.allCases) }
}

/// A server on which a place has its databases: schemas in one database, each under a name that nobody else has.
final class PostgresServer: Sendable {
    private let url: String
    private let moveLimit: Duration
    private let prefix = "test_\(UUID().uuidString.lowercased().replacing("-", with: ""))"
    /// The schemas, each with what makes it.
    private let made = Mutex<[String: Task<Void, any Error>]>([:])

    init(url: String, moveLimit: Duration = .zero) { (self.url, self.moveLimit) = (url, moveLimit) }

    /// - Parameter setting: what the session is set to from outside, as `name=value`.
    func database(_ name: String, setting: String? = nil) async throws -> PostgresDatabase {
        let schema = "\(prefix)_\(name)"
        let making = made.withLock { made in
            let making = made[schema] ?? Task { try await run("CREATE SCHEMA \(schema)") }
            made[schema] = making
            return making
        }
        // Whoever asks for it at the same time waits for it too.
        try await making.value
        let options = ["search_path=\(schema)", setting].compactMap { $0 }.map { "-c\($0)" }.joined(separator: " ")
        let escaped = options.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        // All tests share two cores: what is slow there is no fault.
        return PostgresDatabase(
            url: url + (url.contains("?") ? "&" : "?") + "options=" + escaped, patience: .seconds(60), moveLimit: moveLimit)
    }

    func drop() async throws {
        for schema in made.withLock({ $0.keys.sorted() }) { try await run("DROP SCHEMA \(schema) CASCADE") }
    }

    private func run(_ script: String) async throws {
        try await PostgresDatabase(url: url, connections: 1).write { connection in
            try connection.run(script: "SET LOCAL client_min_messages = error; \(script)")
        }
    }
}

/// Lets a bounded number at something at the same time.
actor Turns {
    static let postgres = Turns(6)

    private var free: Int
    private var waiters: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { free = count }

    func take() async {
        if free > 0 { free -= 1 } else { await withCheckedContinuation { waiters.append($0) } }
    }

    func giveBack() {
        if waiters.isEmpty { free += 1 } else { waiters.removeFirst().resume() }
    }
}
