import Contents
import Database
import Domain
import EventLog
import Logging
import Projections
import ReadModel
import Schemas
import Testing

/// Where databases of a test lie.
struct Place: Sendable {
    let folder: String
    /// Nil where databases are files.
    let server: PostgresServer?

    /// Where those contents lie that are in files: a name with what addresses would escape.
    var chunkFolder: String { folder + "/Größe 100%, #1" }

    /// Opens a database without looking what is in it.
    func database(_ name: String = "one") async throws -> any Database {
        if let server { return try await server.database(name) }
        return try SQLiteDatabase(path: folder + "/" + name)
    }

    /// Opens a database as a process of the server does. Several on one name are like several processes.
    ///
    /// - Parameters:
    ///   - watch: puts something between the modules and the database; PostgreSQL's append has no such place.
    ///   - place: where new contents of chunks go.
    ///   - quota: what holds for all who have none of their own.
    ///   - appended: told how many events each append came to.
    func node(
        _ name: String = "one", watch: (any Database) -> any Database = { $0 }, chunks place: ContentPlace = .database,
        quota: Quota = .none, appended: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws -> Node {
        let opened = try await database(name)
        let database = watch(opened)
        try await database.write { [dialect = database.dialect] connection in try Schema.create(connection, dialect) }
        let stokens = StokenSealer(secret: Array("the secret of the tests".utf8))
        let projection = DjangoProjection(stokens: stokens)
        let chunks = ContentStores(
            table: TableContents(database), files: FileContents(folder: chunkFolder), objects: try ObjectStore.contents(database),
            place: place)
        let appender: any Appender
        var (progress, projector): (Progress?, Projector?)
        if let opened = opened as? PostgresDatabase {
            let told = Progress()
            let follower = Projector(log: database, projection: projection, logger: Logger(label: "tests")) { events in
                events.last.map { told.reached($0.position) }
            }
            appender = PostgresAppender(database: opened) { _ in
            } announce: { _ in
                follower.wake()
            }
            (progress, projector) = (told, follower)
        } else {
            appender = LocalAppender(database: database) { connection, events in try projection.apply(events, connection) }
        }
        let watched = WatchedAppender(base: appender, appended: appended)
        return Node(
            database: database, stokens: stokens, projection: projection,
            readModel: ReadModel(database: database, stokens: stokens, contents: chunks, progress: progress, quota: quota),
            committer: Committer(watched), chunks: chunks, projector: projector)
    }
}

/// Tells the size of each append.
private struct WatchedAppender: Appender {
    let base: any Appender
    let appended: @Sendable (Int) -> Void

    func append(_ group: [Submission]) async throws -> [Result<[RecordedEvent], Refusal>] {
        let outcomes = try await base.append(group)
        appended(outcomes.reduce(0) { count, outcome in if case .success(let events) = outcome { count + events.count } else { count } })
        return outcomes
    }

    func append(after prepare: @escaping @Sendable (any Connection) throws -> Submission) async throws -> [RecordedEvent] {
        let events = try await base.append(after: prepare)
        appended(events.count)
        return events
    }
}

/// The storage of a server.
struct Node: Sendable {
    /// How long a projector may take until a test gives it up.
    private static let patience = Duration.seconds(300)

    let database: any Database
    let stokens: StokenSealer
    let projection: DjangoProjection
    let readModel: ReadModel
    let committer: Committer
    let chunks: ContentStores
    /// Nil where the append projects.
    var projector: Projector?

    /// Runs `body` while submissions are committed and projected.
    func running<T>(_ body: (Node) async throws -> T) async throws -> T {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await committer.run() }
            if let projector { group.addTask { try await projector.run() } }
            defer { group.cancelAll() }
            return try await body(self)
        }
    }

    /// Waits until the tables are where the log ends: for tests that look at the tables themselves.
    func caughtUp() async throws {
        let deadline = ContinuousClock.now + Self.patience
        while try await database.read({ try $0.first(Self.selectLag, []) { $0.integer(0) } }) ?? 0 > 0 {
            try #require(ContinuousClock.now < deadline, "the projector does not catch up")
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private static let selectLag = Statement(
        "SELECT apus_log.position - apus_projection.position FROM apus_log, apus_projection")
}
