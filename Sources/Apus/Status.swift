internal import Database
internal import Domain
internal import EventLog
internal import Foundation
internal import ReadModel
internal import Redis
internal import Replay
internal import Server

/// How a server is, as its databases tell: for `apus status`.
struct Status: Encodable {
    struct ReadModelStatus: Encodable {
        let name: String
        let position: Int64
        let lagEvents: Int64
        let lagSeconds: Int64
        /// Whether a projector has the lease; nil where appends bring events into the tables.
        let isLeased: Bool?
    }

    struct ProcessStatus: Encodable {
        let roles: String
        let address: String?
        let version: String
        let sockets: Int64
        let since: String
        let lastSeen: String
    }

    struct BackupStatus: Encodable {
        let time: String
        let position: Int64
    }

    struct SealStatus: Encodable {
        let position: Int64
        /// How long the oldest event has had no seal that is in none.
        let lagSeconds: Int64
    }

    let engine: String
    let version: String
    let epoch: Int64
    let head: Int64
    let isWritable: Bool
    let readModels: [ReadModelStatus]
    let processes: [ProcessStatus]
    let users: Int64
    let disabledUsers: Int64
    let collections: Int64
    let items: Int64
    let databaseBytes: Int64
    /// What the files of chunks have.
    let chunkFileBytes: Int64
    /// Sessions that end within a week unless they are used.
    let sessionsExpiring: Int64
    /// Users whose collections are near a limit of their quota, or beyond it.
    let usersNearQuota: Int64
    /// Nil where none was ever taken.
    let backup: BackupStatus?
    let seal: SealStatus
    /// What should be seen to, each with what to do.
    let warnings: [String]
}

extension Status {
    /// What was read at one moment.
    private struct Found: Sendable {
        let extent: Extent
        let processes: [ServingProcess]
        let backup: LastBackup?
        let foreign: String?
    }

    /// Asks the databases of a node.
    ///
    /// - Parameters:
    ///   - folder: where the server keeps what it keeps.
    ///   - redis: through which its processes wake each other; nil where there is none.
    /// - Throws: `DatabaseFault`.
    static func find(
        _ node: Node, folder: String, chunkFolder: String, redis: RedisURL?, at now: Timestamp
    ) async throws -> Status {
        var warnings: [String] = []
        if let redis, let trouble = await Self.trouble(of: redis) { warnings.append(trouble) }
        var replica: TablesStanding?
        do { replica = try await node.readModel.replicaStanding() } catch let fault as DatabaseFault {
            warnings.append("the database to read from does not answer (\(fault)): look whether it runs, and at APUS_READ_DATABASE_URL")
        }
        let standing = try await node.readModel.standing(at: now, after: nil, elsewhere: replica?.checkpoint)
        let found = try await node.database.read { connection in
            Found(
                extent: try .measure(connection), processes: try Processes.alive(at: now, connection),
                backup: try .find(connection), foreign: try ForeignRows.find(connection))
        }
        var readModels = [Self.readModel("main", standing.tables, standing, since: standing.unprojectedSince, now)]
        if let replica {
            readModels.append(Self.readModel("replica", replica, standing, since: standing.unprojectedElsewhereSince, now))
        }
        if case .postgres(let postgres) = node.database.engine { warnings += try await postgres.durabilityFaults() }
        let judged = Warnings(
            standing: standing, readModels: readModels, processes: found.processes, backup: found.backup,
            isForeign: found.foreign != nil, freeBytes: DataFolder.freeBytes(at: folder), now: now)
        warnings += judged.all
        return Status(
            engine: found.extent.engine, version: Apus.version, epoch: standing.head.epoch, head: standing.head.position.rawValue,
            isWritable: standing.isWritable, readModels: readModels, processes: found.processes.map(Self.process),
            users: found.extent.users, disabledUsers: found.extent.disabledUsers, collections: found.extent.collections,
            items: found.extent.items, databaseBytes: found.extent.databaseBytes, chunkFileBytes: bytes(below: chunkFolder),
            sessionsExpiring: standing.counted.expiring, usersNearQuota: standing.counted.nearQuota,
            backup: found.backup.map { .init(time: time($0.madeAt), position: $0.position.rawValue) },
            seal: .init(position: standing.seal.rawValue, lagSeconds: seconds(since: standing.unsealedSince, now)), warnings: warnings)
    }

    /// What keeps Redis from its work, in words; nil where nothing does.
    private static func trouble(of redis: RedisURL) async -> String? {
        let means = "no sockets are opened, and apps do not hear of changes at once"
        do {
            let facts = try await RedisFacts(of: redis)
            if !facts.isPrimary { return "Redis is a \(facts.role), \(means): let APUS_REDIS_URL name the primary" }
            return facts.refusal.map { "Redis takes no writes (\($0)), \(means): most often its disk or its memory is full" }
        } catch {
            return "Redis does not answer (\(error)), \(means): look whether it runs, and at APUS_REDIS_URL"
        }
    }

    private static func readModel(
        _ name: String, _ tables: TablesStanding, _ standing: Standing, since: Timestamp?, _ now: Timestamp
    ) -> ReadModelStatus {
        let lag = max(0, standing.head.position.rawValue - tables.checkpoint.rawValue)
        return ReadModelStatus(
            name: name, position: tables.checkpoint.rawValue, lagEvents: lag, lagSeconds: lag == 0 ? 0 : seconds(since: since, now),
            isLeased: tables.lease?.isHeld)
    }

    private static func process(_ process: ServingProcess) -> ProcessStatus {
        ProcessStatus(
            roles: process.roles, address: process.address, version: process.version, sockets: process.sockets,
            since: time(process.startedAt), lastSeen: time(process.seenAt))
    }

    private static func seconds(since time: Timestamp?, _ now: Timestamp) -> Int64 {
        time.map { max(0, (now.rawValue - $0.rawValue) / 1_000_000) } ?? 0
    }

    private static func time(_ time: Timestamp) -> String { time.text.replacing(" ", with: "T") + "Z" }

    private static func bytes(below folder: String) -> Int64 {
        guard let files = FileManager.default.enumerator(atPath: folder) else { return 0 }
        var sum: Int64 = 0
        while files.nextObject() != nil {
            if let file = files.fileAttributes, file[.type] as? FileAttributeType == .typeRegular {
                sum += (file[.size] as? NSNumber)?.int64Value ?? 0
            }
        }
        return sum
    }
}

/// What should be seen to, and what to do. Only judges.
private struct Warnings {
    let standing: Standing
    let readModels: [Status.ReadModelStatus]
    let processes: [ServingProcess]
    let backup: LastBackup?
    let isForeign: Bool
    let freeBytes: Int64?
    let now: Timestamp

    /// In microseconds.
    private static let (second, day): (Int64, Int64) = (1_000_000, 86_400_000_000)
    /// What is no worry yet.
    private static let (lagSeconds, sealSeconds, backupAge, freeBytes): (Int64, Int64, Int64, Int64) = (10, 600, 7 * day, 1 << 30)

    var all: [String] { database + tables + servers + keeping + users }

    private var database: [String] {
        var found: [String] = []
        if !standing.isWritable {
            found.append(
                "the database takes no writes: promote it, let APUS_DATABASE_URL name the one that does, or undo default_transaction_read_only"
            )
        }
        if isForeign { found.append("another program has written into this database besides apus: \(ForeignRows.remedy)") }
        if let freeBytes, freeBytes < Self.freeBytes {
            found.append("the disk of the data folder has \(freeBytes >> 20) MiB left: make room, or move the folder")
        }
        return found
    }

    private var tables: [String] {
        // Where nothing runs, that is what is to be seen to.
        let idle = readModels.filter { $0.lagSeconds < Self.lagSeconds && $0.isLeased == false && !processes.isEmpty }.map { model in
            "nobody projects into the \(model.name) read model: start a process with the role projector"
        }
        return idle
            + readModels.filter { $0.lagSeconds >= Self.lagSeconds }.map { model in
                let behind = "the \(model.name) read model is \(model.lagEvents) events and \(model.lagSeconds) s behind"
                return model.isLeased == false
                    ? "\(behind), and nobody projects: start a process with the role projector"
                    : "\(behind): look at the projector's log; apus verify names an event that cannot be projected"
            }
    }

    private var users: [String] {
        let count = standing.counted.nearQuota
        guard count > 0 else { return [] }
        return ["\(count) of the users are near their quota, or beyond it: apus user list tells who, apus user quota gives more"]
    }

    private var servers: [String] {
        guard !processes.isEmpty else { return ["no server has this database open: start one with apus serve"] }
        let versions = Set(processes.map { ExactText($0.version) })
        guard versions.count > 1 else { return [] }
        return ["processes of several versions serve this log: bring all to the newest"]
    }

    private var keeping: [String] {
        var found: [String] = []
        let head = standing.head.position
        if let since = standing.unsealedSince, now.rawValue - since.rawValue > Self.sealSeconds * Self.second {
            found.append("the log is sealed up to \(standing.seal.rawValue) only: apus log seal, and look at --seal-interval")
        }
        guard head != .none else { return found }
        if let backup {
            if backup.position < head, now.rawValue - backup.madeAt.rawValue > Self.backupAge {
                let days = (now.rawValue - backup.madeAt.rawValue) / Self.day
                found.append("the newest backup is \(days) days old: apus backup FILE takes one")
            }
        } else {
            found.append("no backup was ever taken with apus backup: apus backup FILE takes one, while the server runs")
        }
        return found
    }
}
