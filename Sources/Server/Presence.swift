internal import Database
internal import Domain
internal import Logging
internal import ReadModel
internal import ServiceLifecycle
internal import Sodium
internal import Telemetry

/// Lets the log's database know that this process serves it, for `apus status`: a row that is written again and again, and goes with the
/// process. One that was killed expires.
struct Presence: Service {
    private let processes: Processes
    private let roles: String
    private let address: String?
    private let version: String
    private let logger: Logger
    private let name = Sodium.randomAlphanumerics(12)
    private let startedAt = Node.clock()
    private let interval: Duration

    /// How many intervals a row is good for.
    private static let goodFor: Int64 = 3
    /// A server of databases has nothing against a small write every few seconds; the disk of a household may rest.
    private static let (shortInterval, longInterval) = (Duration.seconds(5), Duration.seconds(30))

    init(_ database: any Database, _ settings: ServerSettings, logger: Logger) {
        processes = Processes(database)
        roles = settings.roles.map(\.rawValue).sorted().joined(separator: ",")
        address = settings.hasPort ? settings.address.text : nil
        version = settings.version
        self.logger = logger
        interval = database.dialect == .postgres ? Self.shortInterval : Self.longInterval
    }

    func run() async throws {
        var isNoted = false
        do {
            while true {
                isNoted = await note()
                try await cancelWhenGracefulShutdown { try await Task.sleep(for: interval) }
            }
        } catch is CancellationError {}
        guard isNoted else { return }
        do { try await processes.remove(name) } catch { tell(error) }
    }

    private func note() async -> Bool {
        let now = Node.clock()
        let process = ServingProcess(
            name: name, roles: roles, address: address, version: version, sockets: Int64(Telemetry.gateway.sockets.value),
            startedAt: startedAt, seenAt: now)
        let expiry = Timestamp(rawValue: now.rawValue + Self.goodFor * interval.components.seconds * 1_000_000)
        do { try await processes.note(process, until: expiry) } catch {
            tell(error)
            return false
        }
        return true
    }

    /// Whoever needs the database says that it is away.
    private func tell(_ fault: any Error) { logger.debug("the process is not noted in the database", metadata: ["fault": "\(fault)"]) }
}
