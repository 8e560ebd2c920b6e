internal import Database
internal import EventLog
internal import Logging
internal import Projections
internal import ReadModel
internal import Schemas
internal import ServiceLifecycle
internal import Telemetry

/// The database that reads are answered from, where it is not the log's own: a read model that a projector keeps there, or a
/// streaming standby of the log's database.
struct ReadDatabase: Sendable {
    let replica: ReadReplica
    /// Nil for a standby, whose rows come from its primary.
    let projector: Projector?

    /// Opens it, and makes the tables of a new one.
    ///
    /// - Throws: ``SettingFault`` when it is the log's database, or has a log of its own.
    init(url: String, log: PostgresDatabase, projection: DjangoProjection, logger: Logger) async throws {
        let database = PostgresDatabase(url: url, role: .any, as: .replica)
        let progress = Progress()
        replica = ReadReplica(database: database, progress: progress)
        let name = try await database.read(Self.name)
        let isStandby = try await database.ask(Self.selectIsStandby, []) { $0.flag(0) } == [true]
        guard !isStandby else {
            projector = nil
            return
        }
        guard try await log.read(Self.name) != name else {
            throw SettingFault("APUS_READ_DATABASE_URL is another database than that of the log, or a standby of it")
        }
        // What is written there must find the server that can be written.
        let writable = PostgresDatabase(url: url, connections: 2, as: .projection)
        try await writable.write { try Schema.create($0, .postgres) }
        guard try await database.ask(Self.selectAnyEvent, [], { $0.integer(0) }).isEmpty else {
            throw SettingFault("the database of APUS_READ_DATABASE_URL has a log of its own; a read model is made in an empty one")
        }
        projector = Projector(log: log, replica: writable, projection: projection, logger: logger) { events in
            if let last = events.last { progress.reached(last.position) }
        }
    }

    @Sendable private static func name(_ connection: any Connection) throws -> String? {
        try connection.first(SharedName.selectName, []) { $0.text(0) }
    }

    private static let selectIsStandby = Statement("SELECT pg_is_in_recovery()")

    private static let selectAnyEvent = Statement("SELECT 1 FROM apus_event LIMIT 1")
}

/// Looks every second whether a read database that did not answer does again.
struct ReadDatabaseLookout: Service {
    private static let interval = Duration.seconds(1)

    let readModel: ReadModel

    func run() async {
        while true {
            do { try await cancelWhenGracefulShutdown { try await Task.sleep(for: Self.interval) } } catch { return }
            await readModel.lookAtReplica()
        }
    }
}
