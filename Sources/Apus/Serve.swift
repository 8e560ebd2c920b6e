internal import API
internal import ArgumentParser
internal import Database
internal import EventLog
internal import Foundation
internal import Gateway
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import ReadModel
internal import Redis
internal import ServiceLifecycle
internal import Sodium
internal import UnixSignals

/// `apus serve`
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Serves clients.")

    /// How long running requests may go on after SIGTERM.
    private static let shutdownSeconds: Int64 = 30
    /// How long a connection may be silent.
    private static let idleSeconds: Int64 = 120

    @OptionGroup var dataOptions: DataOptions
    @OptionGroup var options: ServeOptions

    func run() async throws {
        let environment = try dataOptions.environment()
        let logger = try makeLogger(environment)
        let settings = try options.settings(environment)
        let (host, port) = try options.address(environment)
        let lifetime = try Lifetime.parse(
            environment.text("APUS_TOKEN_LIFETIME", flag: options.tokenLifetime, default: "365d"))
        let roles = try options.roles(environment)
        let sealInterval = try options.sealInterval(environment)

        let redis = try options.redis(environment, logger: logger)
        let node = try await Node(
            dataOptions, environment, makesDatabase: true, chunks: options.chunkPlace(environment), redis: redis, logger: logger)
        try await node.recognize()
        // Services stop in reverse order: requests end first, then what they wait for.
        var services = [redis].compactMap { $0 as (any Service)? } + node.services(projects: roles.contains(.projector), logger: logger)
        if roles.contains(.projector), let sealInterval {
            let sealer = Sealer(database: node.database, key: SealKey(secret: node.secret.value))
            services.append(Sealing(sealer: sealer, interval: sealInterval, logger: logger))
        }
        if !roles.isDisjoint(with: [.api, .gateway]) {
            let sessions = Sessions(database: node.database, lifetime: lifetime)
            let renewals = TokenRenewals(sessions: sessions, clock: Node.clock)
            let realTime = try realTime(
                node, sessions, roles, try options.gatewaySettings(environment), logger)
            let api = API(
                readModel: node.readModel, committer: node.committer, chunks: node.chunks, sessions: sessions, renewals: renewals,
                realTime: realTime, settings: settings, secret: node.secret.value, clock: Node.clock)
            if roles.contains(.api) { try await welcome(node, settings, folder: dataOptions.folder(environment)) }
            let server = Application(
                responder: Responder(api: api),
                server: .http1(
                    configuration: .init(
                        additionalChannelHandlers: [
                            ConnectionHandler(bodyLimitBytes: settings.bodyLimitBytes, upgrades: realTime.gateway != nil)
                        ],
                        idleTimeout: .seconds(Self.idleSeconds))),
                configuration: .init(address: .hostname(host, port: port)),
                logger: logger)
            services += [node.committer, renewals]
            if let gateway = realTime.gateway { services += [node.hints as? any Service].compactMap { $0 } + [gateway] }
            services.append(server)
        }
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(Self.shutdownSeconds)
        try await ServiceGroup(configuration: configuration).run()
        try node.close()
        logger.info("stopped")
    }

    /// What this process has for real time: tickets that a gateway redeems, this process' own or, through Redis, any.
    private func realTime(
        _ node: Node, _ sessions: Sessions, _ roles: Set<Role>, _ settings: GatewaySettings, _ logger: Logger
    ) throws -> RealTime {
        guard roles.contains(.gateway) else { return RealTime(hints: node.hints, tickets: node.sharedTickets, gateway: nil) }
        guard roles.contains(.api) || node.sharedTickets != nil else {
            throw ValidationError("a gateway of its own needs Redis for the tickets of front ends: APUS_REDIS_URL, and PostgreSQL")
        }
        let tickets: any Tickets = node.sharedTickets ?? LocalTickets()
        let gateway = Gateway(
            readModel: node.readModel, sessions: sessions, hints: node.hints, tickets: tickets, settings: settings,
            logger: logger, clock: Node.clock, encode: API.itemList)
        return RealTime(hints: node.hints, tickets: tickets, gateway: gateway)
    }

    private func makeLogger(_ environment: Environment) throws -> Logger {
        let format = try environment.choice("APUS_LOG_FORMAT", flag: options.logFormat, default: .text)
        let name = environment.text("APUS_LOG_LEVEL", flag: options.logLevel, default: "info")
        guard let level = Logger.Level(rawValue: name) else { throw ValidationError("\(name) is no level of the log") }
        LoggingSystem.bootstrap { label in
            // The libraries' own information is for those who look for it.
            LineLogHandler(format: format, label: label, logLevel: label == "apus" ? level : max(level, .warning))
        }
        return Logger(label: "apus")
    }

    /// Tells whoever starts a server with no accounts how to make the first one.
    private func welcome(_ node: Node, _ settings: APISettings, folder: String) async throws {
        guard node.projectors.isEmpty else { return }
        let hasAccounts = try await node.readModel.snapshot { try !$0.accounts(limit: 1).isEmpty }
        guard !hasAccounts, !settings.isSignupOpen else { return }
        // Not with `print`, whose text waits in a buffer where the output is a file or a pipe.
        let welcome = """
            There are no accounts yet, and sign-up is closed. Make one with

                apus user create NAME --data \(folder)

            then sign up in the app with this name; the password is chosen there.

            """
        try FileHandle.standardOutput.write(contentsOf: Data(welcome.utf8))
    }
}
