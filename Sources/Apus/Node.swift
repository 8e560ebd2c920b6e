internal import ArgumentParser
internal import Backup
internal import Chunks
internal import Database
internal import Domain
internal import EventLog
internal import Foundation
internal import Gateway
internal import Logging
internal import Projections
internal import ReadModel
internal import Redis
internal import Schemas
internal import ServiceLifecycle
internal import Sodium

/// What every subcommand works with: the database opened, and the modules on it put together.
struct Node: Sendable {
    private let engine: Engine
    let database: any Database
    let readModel: ReadModel
    let committer: Committer
    let appender: any Appender
    let chunks: ChunkStore
    let secret: [UInt8]
    let hints: any Hints
    /// Nil where tickets are no business of other processes.
    let sharedTickets: RedisTickets?
    /// None where the append projects.
    let projectors: [Projector]
    /// Nil where no other process is to be told anything.
    private let waking: Waking?

    private enum Engine: Sendable {
        case sqlite(SQLiteDatabase)
        case postgres(PostgresDatabase, PostgresAppender)
    }

    static let clock: @Sendable () -> Timestamp = {
        Timestamp(rawValue: Int64((Date().timeIntervalSince1970 * 1_000_000).rounded()))
    }

    /// Opens the database, and makes what is missing in it and in the data folder.
    ///
    /// - Parameters:
    ///   - makesDatabase: whether a database may be made too: who asks about one means one that is there.
    ///   - place: where new contents of chunks go.
    ///   - redis: through which other processes are woken; its service is run by whoever made it.
    init(
        _ options: DataOptions, _ environment: Environment, makesDatabase: Bool = true, chunks place: ChunkStore.Place = .database,
        redis: Redis? = nil, logger: Logger
    ) async throws {
        let folder = options.folder(environment)
        guard !Restore.isUnfinished(in: folder) else {
            throw ValidationError("a restore into \(folder) was interrupted: empty the folder and restore again")
        }
        if !makesDatabase { try await Self.requireDatabase(options.databasePlace(environment)) }
        secret = try Self.secret(options, environment)
        let stokens = StokenSealer(secret: secret)
        let projection = DjangoProjection(stokens: stokens)
        chunks = ChunkStore(folder: options.chunkFolder(environment), place: place)
        switch try options.databasePlace(environment) {
        case .postgres(let url):
            let database = PostgresDatabase(url: url)
            try await Self.createSchema(database)
            let telling: Telling? =
                if let redis { try await Telling(redis, about: database, secret: secret) } else { nil }
            let hints: any Hints = telling.map { RedisHints($0.redis, channel: $0.prefix + ":hints") } ?? LocalHints()
            self.hints = hints
            sharedTickets = telling.map { [secret] in RedisTickets($0.redis, prefix: $0.prefix + ":ticket:", secret: secret) }
            let progress = Progress()
            // Neither appends nor batches wait in line with the questions of requests.
            let (appends, batches) = (PostgresDatabase(url: url, connections: 1), PostgresDatabase(url: url, connections: 2))
            let projector = Projector(log: batches, projection: projection, logger: logger) { events in
                if let last = events.last {
                    progress.reached(last.position)
                    telling?.projected(upTo: last.position)
                }
                hints.publish(Notice.about(events))
            }
            let readDatabase: ReadDatabase? =
                if let url = try options.readDatabaseURL(environment) {
                    try await ReadDatabase(url: url, log: batches, projection: projection, logger: logger)
                } else { nil }
            let projectors = [projector] + [readDatabase?.projector].compactMap { $0 }
            let appender = PostgresAppender(database: appends) { head in
                logger.warning(
                    "history has forked: this database is a restored, promoted or copied one",
                    metadata: ["epoch": "\(head.epoch)", "after": "\(head.position.rawValue)"])
            } announce: { position in
                for projector in projectors { projector.wake() }
                telling?.appended(upTo: position)
            }
            engine = .postgres(database, appender)
            self.database = database
            self.projectors = projectors
            waking = telling.map { Waking(telling: $0, projectors: projectors, progress: progress) }
            readModel = ReadModel(
                database: database, stokens: stokens, chunks: chunks, progress: progress, replica: readDatabase?.replica)
            committer = Committer(appender)
            self.appender = appender
        case .sqlite(let path):
            guard try options.readDatabaseURL(environment) == nil else {
                throw ValidationError("APUS_READ_DATABASE_URL needs APUS_DATABASE_URL: on SQLite there is one database")
            }
            let database = try await Self.openSQLite(path)
            try await Self.createSchema(database)
            engine = .sqlite(database)
            self.database = database
            let hints = LocalHints()
            self.hints = hints
            sharedTickets = nil
            projectors = []
            waking = nil
            readModel = ReadModel(database: database, stokens: stokens, chunks: chunks, progress: nil)
            let appender = LocalAppender(
                database: database, project: { try projection.apply($1, $0) }, committed: { hints.publish(Notice.about($0)) })
            committer = Committer(appender)
            self.appender = appender
        }
    }

    private static func requireDatabase(_ place: DatabasePlace) async throws {
        let version: Int64?
        switch place {
        case .postgres(let url): version = try await PostgresDatabase(url: url).read { try Schema.check($0) }
        case .sqlite(let path):
            let database = try SQLiteDatabase(path: path, as: .reading)
            version = try await database.read { try Schema.check($0) }
            try database.close()
        }
        guard version != nil else { throw DatabaseFault(.corrupt, "the database is empty; is it the right one?") }
    }

    /// Opens a file that is ours or nobody's: another's is not even put into our mode.
    private static func openSQLite(_ path: String) async throws -> SQLiteDatabase {
        if FileManager.default.fileExists(atPath: path) {
            let database = try SQLiteDatabase(path: path, as: .reading)
            try await database.read { _ = try Schema.check($0) }
            try database.close()
        }
        return try SQLiteDatabase(path: path)
    }

    private static func createSchema(_ database: any Database) async throws {
        try await database.write { [dialect = database.dialect] connection in try Schema.create(connection, dialect) }
    }

    /// Looks whether history has forked, so that a server that was restored is in its new epoch before anybody writes.
    func recognize() async throws {
        switch engine {
        case .sqlite: break
        case .postgres(_, let appender): try await appender.recognize()
        }
    }

    /// The services that the engine needs while the server runs.
    func services(projects: Bool, logger: Logger) -> [any Service] {
        switch engine {
        case .sqlite(let database): [Checkpoints(database: database, logger: logger)]
        case .postgres: [waking].compactMap { $0 } + (projects ? projectors : [])
        }
    }

    /// Lets go of what was deleted or overwritten in the database's files.
    ///
    /// - Returns: false where that is the matter of a server of databases.
    func compact() async throws -> Bool {
        switch engine {
        case .sqlite(let database): try await database.compact()
        case .postgres: return false
        }
        return true
    }

    /// Closes what was opened.
    func close() throws {
        switch engine {
        case .sqlite(let database): try database.close()
        case .postgres: break
        }
    }

    /// Runs `body` while submissions are committed: what subcommands other than `serve` need.
    func committing<T: Sendable>(_ body: @escaping @Sendable () async throws -> T) async throws -> T {
        try await withThrowingTaskGroup(of: T?.self) { group in
            // What is committed must be projected to be read, whether or not a server runs.
            for service in [committer] + services(projects: true, logger: Logger(label: "apus")) as [any Service] {
                group.addTask {
                    try await service.run()
                    return nil
                }
            }
            group.addTask { try await body() }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
    }

    /// The server's secret, given or kept in the data folder, which is made where it is missing.
    static func secret(_ options: DataOptions, _ environment: Environment) throws -> [UInt8] {
        let folder = options.folder(environment)
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch { throw ValidationError("the data folder \(folder) cannot be made") }
        return Array(try (environment.secret("APUS_SECRET") ?? keptSecret(folder)).utf8)
    }

    /// The secret in the data folder, made at the first start. Whoever has it can forge logins' challenges and stokens.
    private static func keptSecret(_ folder: String) throws -> String {
        let path = folder + "/secret"
        if let kept = FileManager.default.contents(atPath: path) {
            let secret = String(decoding: kept, as: UTF8.self).trimmingCharacters(in: .newlines)
            guard !secret.isEmpty else { throw ValidationError("\(path) is empty: restore it, or stokens and logins break") }
            return secret
        }
        let secret = Sodium.randomAlphanumerics(64)
        guard
            FileManager.default.createFile(atPath: path, contents: Data(secret.utf8), attributes: [.posixPermissions: 0o600])
        else { throw ValidationError("\(path) cannot be written") }
        return secret
    }
}

/// Moves SQLite's log of changes into the file every second, beside the writer, so that commits need not.
struct Checkpoints: Service {
    let database: SQLiteDatabase
    let logger: Logger

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                while true {
                    try await Task.sleep(for: .seconds(1))
                    // Busy when a commit does the same just now: the next second will do.
                    do { try await database.checkpoint() } catch {
                        logger.debug("no checkpoint", metadata: ["fault": "\(error)"])
                    }
                }
            }
        } catch is CancellationError {}
    }
}

/// Seals what has come to the log, again and again and at the end, beside those who write.
struct Sealing: Service {
    let sealer: Sealer
    let interval: Duration
    let logger: Logger

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                while true {
                    try await Task.sleep(for: interval)
                    try await seal()
                }
            }
        } catch is CancellationError {}
        do { try await seal() } catch is CancellationError {}
    }

    private func seal() async throws {
        do { try await sealer.seal() } catch let error as CancellationError { throw error } catch {
            logger.warning("the log is not sealed any further", metadata: ["fault": "\(error)"])
        }
    }
}
