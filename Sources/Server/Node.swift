internal import Backup
internal import Bulletin
package import Contents
package import Database
package import Domain
package import EventLog
internal import Foundation
internal import Gateway
package import Logging
internal import Projections
package import ReadModel
package import Redis
internal import Schemas
internal import ServiceLifecycle
package import Sodium
internal import Telemetry

/// What every subcommand works with: the database opened, and the modules on it put together.
package struct Node: Sendable {
    /// Nil where there is one process, whose append needs no looking after.
    private let appender: PostgresAppender?
    package let database: any Database
    package let readModel: ReadModel
    package let committer: Committer
    /// How whatever is to happen gets into the log.
    package var door: Door { Door(readModel: readModel, committer: committer, chunks: chunks) }
    package let chunks: ContentStores
    package let secret: Hidden<[UInt8]>
    /// Where it lies.
    let data: DataSettings
    let redis: Redis?
    /// What keeps the server from its work, where something does.
    let trouble = Trouble()
    /// Where it is told what happened, here and in the other processes on the log.
    let bulletin: any Bulletin
    /// Nil where tickets are no business of other processes.
    let sharedTickets: RedisTickets?
    /// Nil where no other process counts with this one.
    let sharedWindows: RedisWindows?
    /// None where the append projects.
    let projectors: [Projector]

    package static let clock: @Sendable () -> Timestamp = {
        Timestamp(rawValue: Int64((Date().timeIntervalSince1970 * 1_000_000).rounded()))
    }

    /// Opens the database, and brings its schema to this version.
    ///
    /// - Parameters:
    ///   - settings: where everything lies.
    ///   - makesDatabase: whether a database may be made, and its folder and secret: who asks about one means one that is there.
    ///   - onlyAsks: whether nothing is written, not even what a file of SQLite's needs to be opened for writing: on a disk that is
    ///     full it can still be asked how it is. It must be of this version then.
    ///   - place: where new contents of chunks go.
    ///   - redis: through which other processes are woken; its service is run by whoever made it.
    /// - Throws: ``SettingFault``, ``OperatorFault``, `SecretFault` or `DatabaseFault`.
    package init(
        _ settings: DataSettings, makesDatabase: Bool = false, onlyAsks: Bool = false, chunks place: ContentPlace = .database,
        redis: Redis? = nil, logger: Logger
    ) async throws {
        try settings.requireConsistent()
        let folder = DataFolder(path: settings.folder)
        data = settings
        self.redis = redis
        guard !Restore.isUnfinished(in: folder.path) else {
            throw SettingFault("a restore into \(folder.path) was interrupted: empty the folder and restore again")
        }
        let isMade = try await Self.isMade(settings.database, folder)
        guard isMade || makesDatabase else { throw folder.missingDatabase(settings.database) }
        // With PostgreSQL and a secret that is given, nothing need be kept there.
        let needsFolder = if case .sqlite = settings.database { true } else { settings.secret == nil }
        if makesDatabase, needsFolder { try folder.require(makes: true) }
        let found = try Self.secret(folder, given: settings.secret, isNew: !isMade)
        secret = found.secret
        let key = secret.value
        let stokens = StokenSealer(secret: key)
        let projection = DjangoProjection(stokens: stokens)
        let files = FileContents(folder: settings.chunkFolder, readers: settings.chunkReaders)
        if place == .files { try Self.prepare(settings.chunkFolder, for: settings.chunkReaders) }
        switch settings.database {
        case .postgres(let url):
            let database = PostgresDatabase(url: url, as: .requests, moveLimit: PostgresDatabase.moveLimit)
            do { try await Self.createSchema(database, secret, onlyAsks: onlyAsks) } catch {
                // Another process was first, with another secret.
                if found.isNew { try folder.removeSecret() }
                throw error
            }
            let bulletin: any Bulletin
            if let redis {
                let prefix = try await SharedName.of(database, secret: key)
                bulletin = RedisBulletin(redis, channel: prefix + ":bulletin")
                sharedTickets = RedisTickets(redis, prefix: prefix + ":ticket:", secret: key)
                sharedWindows = RedisWindows(redis, prefix: prefix + ":window:")
            } else {
                bulletin = LocalBulletin()
                sharedTickets = nil
                sharedWindows = nil
            }
            self.bulletin = bulletin
            let progress = Progress()
            // Neither appends nor batches wait in line with the questions of requests.
            let (appends, batches) = (database.sibling(connections: 1, as: .appends), database.sibling(connections: 2, as: .projection))
            let projector = Projector(log: batches, projection: projection, logger: logger) { bulletin.post(Notice.projected($0)) }
            let readDatabase: ReadDatabase? =
                if let url = settings.readDatabaseURL {
                    try await ReadDatabase(url: url, log: batches, projection: projection, logger: logger)
                } else { nil }
            let projectors = [projector] + [readDatabase?.projector].compactMap { $0 }
            let appender = PostgresAppender(database: appends) { head in
                logger.warning(
                    "history has forked: this database is a restored, promoted or copied one",
                    metadata: ["epoch": .stringConvertible(head.epoch), "after": .stringConvertible(head.position.rawValue)])
            } announce: { position in
                bulletin.post([.appended(upTo: position)])
            }
            bulletin.subscribe { news in
                switch news {
                case .posted(.appended): for projector in projectors { projector.wake() }
                case .posted(.projected(let position, _)): progress.reached(position)
                case .posted(.userChanged), .posted(.sessionEnded): break
                case .began, .interrupted:
                    // Who is told need not look often.
                    for projector in projectors { projector.isTold(news == .began) }
                    progress.isTold(news == .began)
                }
            }
            self.appender = appender
            self.database = database
            self.projectors = projectors
            chunks = ContentStores(
                table: TableContents(database), files: files, objects: try settings.objects?.contents(database), place: place)
            readModel = ReadModel(
                database: database, stokens: stokens, contents: chunks, progress: progress, replica: readDatabase?.replica,
                quota: settings.quota)
            committer = Committer(appender)
        case .sqlite(let path):
            let secret = secret
            let database = try await Self.at(path) {
                let database = try SQLiteDatabase(path: path, as: onlyAsks ? .reading : .own)
                try await Self.createSchema(database, secret, onlyAsks: onlyAsks)
                if !onlyAsks { try await Self.count(database) }
                return database
            }
            appender = nil
            self.database = database
            let bulletin = LocalBulletin()
            self.bulletin = bulletin
            sharedTickets = nil
            sharedWindows = nil
            projectors = []
            chunks = ContentStores(
                table: TableContents(database), files: files, objects: try settings.objects?.contents(database), place: place)
            readModel = ReadModel(
                database: database, stokens: stokens, contents: chunks, progress: nil, quota: settings.quota)
            committer = Committer(
                LocalAppender(
                    database: database, project: { try projection.apply($1, $0) }, committed: { bulletin.post(Notice.projected($0)) }))
        }
    }

    /// Lets those into the folder of all chunks who may read what lies there, and nobody else.
    private static func prepare(_ folder: String, for readers: KeptFiles.Readers) throws {
        guard readers == .group else {
            KeptFiles.restrict(folder)
            return
        }
        do throws(KeptFiles.Fault) {
            try KeptFiles.makeFolder(folder)
            try KeptFiles.open(folder, to: readers)
        } catch { throw SettingFault("\(error)") }
    }

    /// Whether there is a database already; changes nothing.
    ///
    /// - Throws: ``OperatorFault`` or `DatabaseFault` where it cannot be told, or the database is none of ours.
    package static func isMade(_ place: DatabasePlace, _ folder: DataFolder) async throws -> Bool {
        switch place {
        case .postgres(let url): return try await PostgresDatabase(url: url).read { try Schema.check($0) } != nil
        case .sqlite(let path):
            let size = try size(of: path, folder)
            guard size > 0 else { return false }
            return try await at(path) {
                // Another's file is not even put into our mode.
                let database = try SQLiteDatabase(path: path, as: .reading)
                let version = try await database.read { try Schema.check($0) }
                try database.close()
                return version != nil
            }
        }
    }

    /// How long a file is; 0 where it is not there.
    private static func size(of path: String, _ folder: DataFolder) throws -> Int64 {
        // A folder that cannot be looked into seems to have no file.
        if path.hasPrefix(folder.path + "/"), FileManager.default.fileExists(atPath: folder.path) { try folder.require(makes: false) }
        guard FileManager.default.fileExists(atPath: path) else { return 0 }
        return try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int64 ?? 0
    }

    /// Says of a fault which file it is about.
    private static func at<T>(_ path: String, _ body: () async throws -> T) async throws -> T {
        do { return try await body() } catch let fault as DatabaseFault { throw DatabaseFault(fault.kind, "\(path): \(fault)") }
    }

    /// Opens a database, for reading and writing unless it is said otherwise.
    package static func open(_ place: DatabasePlace, as use: SQLiteDatabase.Access = .own) async throws -> any Database {
        switch place {
        case .postgres(let url): PostgresDatabase(url: url)
        case .sqlite(let path): try await at(path) { try SQLiteDatabase(path: path, as: use) }
        }
    }

    /// The secret for a database: that which is there, or a new one where both are.
    ///
    /// - Throws: `SecretFault` where a database has lost its own.
    private static func secret(
        _ folder: DataFolder, given: Hidden<[UInt8]>?, isNew: Bool
    ) throws -> (secret: Hidden<[UInt8]>, isNew: Bool) {
        if let found = try given ?? folder.keptSecret() { return (found, false) }
        guard isNew else { throw folder.missingSecret }
        return (try folder.makeSecret(), true)
    }

    private static func createSchema(_ database: any Database, _ secret: Hidden<[UInt8]>, onlyAsks: Bool) async throws {
        // Nothing is written where all is there, so that a database that cannot be written can be asked how it is.
        let isThere = try await database.read { connection in
            guard try Schema.check(connection) == Schema.version else { return false }
            return try SecretMark.isBorne(of: secret.value, connection)
        }
        guard !isThere else { return }
        guard !onlyAsks else {
            throw OperatorFault("the database was made by an earlier version of apus: apus serve brings it to this one")
        }
        try await database.write { [dialect = database.dialect] connection in
            try Schema.create(connection, dialect)
            try SecretMark.require(secret.value, connection)
        }
    }

    /// Counts what collections hold, where a program that does not count has written: with PostgreSQL the projector does.
    private static func count(_ database: SQLiteDatabase) async throws {
        guard try await !database.read({ try Counting.isDone($0) }) else { return }
        try await database.write { try Counting.finish($0) }
    }

    /// Looks whether history has forked, so that a server that was restored is in its new epoch before anybody writes.
    func recognize() async throws {
        try await appender?.recognize()
    }

    /// Says what is set outside of the server that breaks a promise of its.
    func warn(_ logger: Logger) async throws {
        switch database.engine {
        case .sqlite: break
        case .postgres(let database): for fault in try await database.durabilityFaults() { logger.warning("\(fault)") }
        }
    }

    /// What the log lies in, as a word for programs.
    var engineName: String {
        switch database.engine {
        case .sqlite: "sqlite"
        case .postgres: "postgres"
        }
    }

    /// The services that the engine needs while the server runs.
    func services(projects: Bool, logger: Logger) -> [any Service] {
        switch database.engine {
        case .sqlite(let database): [Checkpoints(database: database, logger: logger)]
        case .postgres:
            [bulletin as? RedisBulletin].compactMap { $0 } + (readModel.hasReplica ? [ReadDatabaseLookout(readModel: readModel)] : [])
                + (projects ? projectors : [])
        }
    }

    /// Lets go of what was deleted or overwritten in the database's files.
    ///
    /// - Returns: false where that is the matter of a server of databases.
    package func compact() async throws -> Bool {
        switch database.engine {
        case .sqlite(let database): try await database.compact()
        case .postgres: return false
        }
        return true
    }

    /// Looks whether the stores are known in which contents lie: what is not would be taken for gone, or left behind.
    ///
    /// - Throws: ``SettingFault``
    package func requireKnownStores() async throws {
        guard chunks.objects == nil, try await database.read({ try TableContents.namesObjects($0) }) else { return }
        throw SettingFault("contents of chunks lie in an S3 store: APUS_CHUNKS, or APUS_CHUNKS_ALSO, has to name it")
    }

    /// Closes what was opened.
    package func close() throws {
        try database.close()
    }

    /// Runs `body` while submissions are committed: what subcommands other than `serve` need.
    package func committing<T: Sendable>(_ body: @escaping @Sendable () async throws -> T) async throws -> T {
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
}
