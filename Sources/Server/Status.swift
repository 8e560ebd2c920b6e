internal import Contents
internal import Database
package import Domain
internal import EventLog
internal import Foundation
internal import Pages
internal import ReadModel
package import Redis
internal import Replay
internal import Sodium
internal import Synchronization

/// How a server is, as its databases tell: for `apus status`, and, but for what has to be counted, for the admins' page.
package struct Status: Encodable, Sendable {
    package struct ReadModelStatus: Encodable, Sendable {
        package let name: String
        package let position: Int64
        package let lagEvents: Int64
        package let lagSeconds: Int64
        /// Whether a projector has the lease; nil where appends bring events into the tables.
        package let isLeased: Bool?
    }

    package struct ProcessStatus: Encodable, Sendable {
        package let roles: String
        package let address: String?
        package let version: String
        package let sockets: Int64
        package let since: String
        package let lastSeen: String
    }

    package struct BackupStatus: Encodable, Sendable {
        package let time: String
        package let position: Int64
    }

    package struct SealStatus: Encodable, Sendable {
        package let position: Int64
        /// How long the oldest event has had no seal that is in none.
        package let lagSeconds: Int64
    }

    package let engine: String
    package let version: String
    package let epoch: Int64
    package let head: Int64
    package let isWritable: Bool
    package let readModels: [ReadModelStatus]
    package let processes: [ProcessStatus]
    package let users: Int64
    package let disabledUsers: Int64
    package let collections: Int64
    package let items: Int64
    package let databaseBytes: Int64
    /// What the files of chunks have.
    package let chunkFileBytes: Int64
    /// Sessions that end within a week unless they are used.
    package let sessionsExpiring: Int64
    /// Users whose collections are near a limit of their quota, or beyond it.
    package let usersNearQuota: Int64
    /// Nil where none was ever taken.
    package let backup: BackupStatus?
    package let seal: SealStatus
    /// What should be seen to, each with what to do.
    package let warnings: [String]
}

extension Status {
    /// What was found the last time.
    final class Memory: Sendable {
        private let known = Mutex<Standing?>(nil)
        var standing: Standing? {
            get { known.withLock { $0 } }
            set { known.withLock { $0 = newValue } }
        }
    }

    /// What costs no more, however much there is.
    struct Look: Sendable {
        let standing: Standing
        let readModels: [ReadModelStatus]
        let processes: [ServingProcess]
        let backup: LastBackup?
        let warnings: [String]
    }

    /// Asks the databases of a node for what need not be counted.
    ///
    /// - Parameters:
    ///   - folder: where the server keeps what it keeps.
    ///   - trouble: what keeps Redis from its work, in words; nil where nothing does.
    ///   - last: what was found the last time.
    ///   - counts: whether what costs more is looked for.
    /// - Throws: `DatabaseFault`.
    private static func look(
        _ node: Node, folder: String, ofRedis trouble: String?, after last: Standing? = nil, counts: Bool = true, at now: Timestamp
    ) async throws -> Look {
        var warnings = [trouble].compactMap(\.self)
        if let objects = node.chunks.objects {
            do { try await objects.check() } catch {
                warnings.append(
                    "the S3 store does not answer as it should (\(error)), and requests that need it are answered with 503: see check 19 of apus doctor"
                )
            }
        }
        var replica: TablesStanding?
        do { replica = try await node.readModel.replicaStanding() } catch let fault as DatabaseFault {
            warnings.append("the database to read from does not answer (\(fault)): look whether it runs, and at APUS_READ_DATABASE_URL")
        }
        let standing = try await node.readModel.standing(at: now, after: last, elsewhere: replica?.checkpoint, counts: counts)
        let (processes, backup, foreign) = try await node.database.read { connection in
            (try Processes.alive(at: now, connection), try LastBackup.find(connection), try ForeignRows.find(connection))
        }
        let readModels = readModels(standing, replica, now)
        if case .postgres(let postgres) = node.database.engine { warnings += try await postgres.durabilityFaults() }
        let judged = Warnings(
            standing: standing, readModels: readModels, processes: processes, backup: backup, isForeign: foreign != nil,
            freeBytes: DataFolder.freeBytes(at: folder), now: now)
        return Look(standing: standing, readModels: readModels, processes: processes, backup: backup, warnings: warnings + judged.all)
    }

    /// Asks the databases of a node.
    ///
    /// - Parameters:
    ///   - folder: where the server keeps what it keeps.
    ///   - redis: through which its processes wake each other; nil where there is none.
    ///   - version: the program's.
    /// - Throws: `DatabaseFault`.
    package static func find(
        _ node: Node, folder: String, chunkFolder: String, redis: RedisURL?, version: String, at now: Timestamp
    ) async throws -> Status {
        var trouble: String?
        if let redis { trouble = await Self.trouble(of: redis) }
        let look = try await look(node, folder: folder, ofRedis: trouble, at: now)
        let extent = try await node.database.read { try Extent.measure($0) }
        let standing = look.standing
        return Status(
            engine: extent.engine, version: version, epoch: standing.head.epoch, head: standing.head.position.rawValue,
            isWritable: standing.isWritable, readModels: look.readModels, processes: look.processes.map(Self.process),
            users: extent.users, disabledUsers: extent.disabledUsers, collections: extent.collections, items: extent.items,
            databaseBytes: extent.databaseBytes, chunkFileBytes: bytes(below: chunkFolder), sessionsExpiring: standing.counted.expiring,
            usersNearQuota: standing.counted.nearQuota,
            backup: look.backup.map { .init(time: time($0.madeAt), position: $0.position.rawValue) },
            seal: .init(position: standing.seal.rawValue, lagSeconds: seconds(since: standing.unsealedSince, now)),
            warnings: look.warnings)
    }

    /// For the admins' page.
    ///
    /// - Parameter memory: of whoever counts.
    static func overview(_ node: Node, _ memory: Memory, version: String, at now: Timestamp) async throws -> (
        warnings: [String], facts: [AdminPages.Fact]
    ) {
        let look = try await look(
            node, folder: node.data.folder, ofRedis: node.redis.flatMap { trouble(of: $0.condition) }, after: memory.standing,
            counts: false, at: now)
        let (standing, seal) = (look.standing, seconds(since: look.standing.unsealedSince, now))
        var facts: [AdminPages.Fact] = [
            .init("Version", version),
            .init("Log", "\(standing.head.position.rawValue) events, epoch \(standing.head.epoch)"),
            .init("Sealed", "up to \(standing.seal.rawValue)\(seal > 0 ? ", \(seal) s behind" : "")"),
        ]
        facts += look.readModels.map {
            .init("Read model “\($0.name)”", $0.lagEvents == 0 ? "up to date" : "\($0.lagEvents) events and \($0.lagSeconds) s behind")
        }
        facts += look.processes.map { process in
            .init(
                "Process",
                "\(process.roles)\(process.address.map { " at \($0)" } ?? ""), \(process.version), \(process.sockets) sockets, "
                    + "since \(process.startedAt.text.prefix(16)) UTC")
        }
        facts.append(
            .init("Newest backup", look.backup.map { "\($0.madeAt.text.prefix(16)) UTC, up to event \($0.position.rawValue)" } ?? "none"))
        return (look.warnings, facts)
    }

    /// The log, for the admins' page.
    ///
    /// - Parameter memory: of whoever counts.
    static func log(_ node: Node, _ memory: Memory, at now: Timestamp) async throws -> AdminPages.Log {
        var replica: TablesStanding?
        // Whether it answers stands on the first page.
        do { replica = try await node.readModel.replicaStanding() } catch is DatabaseFault {}
        let standing = try await node.readModel.standing(at: now, after: memory.standing, elsewhere: replica?.checkpoint, counts: false)
        let epochs = try await node.database.read(.small) { try Epochs($0).firsts }
        let seal = try await Sealer(database: node.database, key: SealKey(secret: node.secret.value)).newest()
        return AdminPages.Log(
            head: standing.head.position.rawValue, epoch: standing.head.epoch, sealed: standing.seal.rawValue,
            unsealedSeconds: seconds(since: standing.unsealedSince, now), seal: seal?.text,
            readModels: readModels(standing, replica, now).map {
                .init(name: $0.name, position: $0.position, lagEvents: $0.lagEvents, lagSeconds: $0.lagSeconds, isLeased: $0.isLeased)
            }, epochs: epochs.suffix(epochsShown).reversed().map { ($0.epoch, $0.position.rawValue) })
    }

    private static let epochsShown = 20

    /// What it means that Redis does not do its work.
    private static let silence = "no sockets are opened, and apps do not hear of changes at once"

    /// What keeps a Redis from its work that is asked for it, in words; nil where nothing does.
    private static func trouble(of redis: RedisURL) async -> String? {
        do {
            let facts = try await RedisFacts(of: redis)
            if !facts.isPrimary { return "Redis is a \(facts.role), \(silence): let APUS_REDIS_URL name the primary" }
            return facts.refusal.flatMap { trouble(of: .refusing($0)) }
        } catch {
            return "Redis does not answer (\(error)), \(silence): look whether it runs, and at APUS_REDIS_URL"
        }
    }

    /// What keeps a server's own Redis from its work.
    private static func trouble(of condition: Redis.Condition) -> String? {
        switch condition {
        case .writable: nil
        case .away: "Redis does not answer, \(silence): look whether it runs, and at APUS_REDIS_URL"
        case .refusing(let reason): "Redis takes no writes (\(reason)), \(silence): most often its disk or its memory is full"
        }
    }

    private static func readModels(_ standing: Standing, _ replica: TablesStanding?, _ now: Timestamp) -> [ReadModelStatus] {
        let main = readModel("main", standing.tables, standing, since: standing.unprojectedSince, now)
        guard let replica else { return [main] }
        return [main, readModel("replica", replica, standing, since: standing.unprojectedElsewhereSince, now)]
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
