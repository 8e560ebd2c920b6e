internal import API
internal import CoreMetrics
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import ServiceLifecycle
internal import Telemetry

/// Answers those who look after the server, at an address of their own: metrics and probes, in every role. It is there before the
/// clients' and goes after it, and clients take no connections from it.
struct OpsListener: Service {
    /// How long a connection may be silent: longer than monitors wait from one look to the next.
    private static let idleSeconds: Int64 = 120
    private static let connectionsLimit = 64
    private static let memoryBytes = 1 << 20

    private let address: ListenAddress
    private let admission: Admission
    private let api: API
    private let logger: Logger

    /// - Parameter api: makes what answers, with connections of its own.
    init(_ address: ListenAddress, logger: Logger, _ api: (Admission) -> API) {
        self.address = address
        self.logger = logger
        admission = Admission(
            connections: .init(all: Self.connectionsLimit, isProxied: true), memoryBytes: Self.memoryBytes, logger: logger)
        self.api = api(admission)
    }

    func run() async throws {
        let responder = Responder(api: api, for: .operators)
        let channel = ClientChannel(admission, upgrades: false, isCounted: false, idleTime: .seconds(Self.idleSeconds)) {
            try await responder.respond(to: $0, context: $1)
        }
        let server = channel.server(
            configuration: .init(
                address: address.bindAddress, availableConnectionsDelegate: AcceptedConnections(admission.connections)),
            onServerRunning: { [admission] channel in
                admission.connections.come(from: channel)
                do { try address.open() } catch { logger.error("the socket's rights could not be set") }
                logger.info(
                    "answering those who look after the server", metadata: ["address": "\(ListenAddress.text(of: channel) ?? address.text)"]
                )
            },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
        do { try await server.run() } catch {
            throw address.explained(error, option: "--ops-listen or APUS_OPS_LISTEN")
        }
    }

    /// Lets everything be counted in one place, also by libraries. To be called once in a process.
    static func beginCounting() {
        Telemetry.all()
        MetricsSystem.bootstrap(Registry.shared)
    }
}
