internal import Contents
internal import Directory
internal import Domain
internal import EventLog
internal import Foundation
internal import Logging
internal import ReadModel
internal import Redis
internal import ServiceLifecycle
internal import Synchronization
internal import Telemetry

/// What the metrics tell that is nobody's count: asked of the databases, of Redis' client and of the system when somebody looks.
struct Observation: Sendable {
    private let engine: String
    private let version: String
    private let redis: Redis?
    private let directory: Directory?
    private let folder: String
    private let log: Observer<Standing>
    /// Nil where there is one database.
    private let replica: Observer<TablesStanding?>?
    /// Nil where no S3 store is known.
    private let objects: Observer<Void>?

    /// What must run while somebody may look.
    var services: [any Service] {
        [log] + [replica].compactMap { $0 as (any Service)? } + [objects].compactMap { $0 as (any Service)? }
    }

    init(
        _ readModel: ReadModel, engine: String, version: String, redis: Redis?, directory: Directory?, objects: ObjectContents?,
        folder: String, logger: Logger
    ) {
        self.version = version
        self.folder = folder
        self.engine = engine
        self.redis = redis
        self.directory = directory
        self.objects = objects.map { objects in Observer(logger: logger) { _ in try await objects.check() } }
        let elsewhere = Elsewhere()
        log = Observer(logger: logger) { last in
            try await readModel.standing(at: Node.clock(), after: last, elsewhere: elsewhere.position)
        }
        guard readModel.hasReplica else {
            replica = nil
            return
        }
        replica = Observer(logger: logger) { _ in
            let found = try await readModel.replicaStanding()
            elsewhere.position = found?.checkpoint
            return found
        }
    }

    /// How far the other read model was when it was asked: when the events happened that it lacks, the log's database says.
    private final class Elsewhere: Sendable {
        private let known = Mutex<Position?>(nil)
        var position: Position? {
            get { known.withLock { $0 } }
            set { known.withLock { $0 = newValue } }
        }
    }

    /// Everything, at this moment.
    @Sendable func readings() async -> [Reading] {
        let (state, process) = (Telemetry.state, Telemetry.process)
        var readings = [process.build(1, version, engine)] + process.readings()
        if let free = DataFolder.freeBytes(at: folder) { readings.append(state.free(Double(free))) }
        if let redis { readings.append(Telemetry.redis.up(redis.isConnected ? 1 : 0)) }
        if let directory { readings.append(Telemetry.directory.up(directory.condition == .well ? 1 : 0)) }
        if let objects { readings.append(Telemetry.s3.up(await objects.value() == nil ? 0 : 1)) }
        // One after the other: the second is asked how old the events are that the first lacks.
        let tables = await replica?.value()
        if replica != nil { readings.append(state.up(tables == nil ? 0 : 1, "replica")) }
        let standing = await log.value()
        readings.append(state.up(standing == nil ? 0 : 1, "log"))
        guard let standing else { return readings }
        readings += of(standing)
        if let tables = tables ?? nil { readings += of(tables, "replica", behind: standing, since: standing.unprojectedElsewhereSince) }
        return readings
    }

    private func of(_ standing: Standing) -> [Reading] {
        let state = Telemetry.state
        let head = standing.head
        return [
            state.writable(standing.isWritable ? 1 : 0), state.head(Double(head.position.rawValue)), state.epoch(Double(head.epoch)),
            state.sealPosition(Double(standing.seal.rawValue)),
            state.sealLagEvents(Double(max(0, head.position.rawValue - standing.seal.rawValue))),
            state.sealLagSeconds(Self.seconds(since: standing.unsealedSince)), state.expiring(Double(standing.counted.expiring)),
            state.nearQuota(Double(standing.counted.nearQuota)),
        ] + of(standing.tables, "main", behind: standing, since: standing.unprojectedSince)
    }

    private func of(_ tables: TablesStanding, _ name: String, behind standing: Standing, since: Timestamp?) -> [Reading] {
        let state = Telemetry.state
        let lag = max(0, standing.head.position.rawValue - tables.checkpoint.rawValue)
        let readings = [
            state.position(Double(tables.checkpoint.rawValue), name), state.lagEvents(Double(lag), name),
            state.lagSeconds(lag == 0 ? 0 : Self.seconds(since: since), name),
        ]
        guard let lease = tables.lease else { return readings }
        return readings + [state.leased(lease.isHeld ? 1 : 0, name), state.leases(Double(lease.changes), name)]
    }

    private static func seconds(since time: Timestamp?) -> Double {
        guard let time else { return 0 }
        return max(0, Double(Node.clock().rawValue - time.rawValue) / 1e6)
    }
}
