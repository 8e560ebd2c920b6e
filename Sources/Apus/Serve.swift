internal import API
internal import ArgumentParser
internal import Database
internal import EventLog
internal import Foundation
internal import Gateway
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import ReadModel
internal import Redis
internal import ServiceLifecycle
internal import Sodium

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
        let environment = try dataOptions.quietEnvironment()
        let logger = try makeLogger(environment)
        for notice in environment.notices { logger.warning("\(notice)") }
        let settings = try options.settings(environment)
        let address = try options.address(environment)
        try address.prepare()
        let lifetime = try Lifetime.parse(
            environment.text("APUS_TOKEN_LIFETIME", flag: options.tokenLifetime, default: "365d"))
        let roles = try options.roles(environment)
        let opsAddress = try options.opsAddress(environment)
        try opsAddress?.prepare()
        let sealInterval = try options.sealInterval(environment)

        let redis = try options.redis(environment, logger: logger)
        let isShared = try dataOptions.isShared(environment) || redis != nil
        let node = try await Node(
            dataOptions, environment, makesDatabase: true, chunks: options.chunkPlace(environment), redis: redis, logger: logger)
        try await node.recognize()
        let watching = Watching(database: node.database, trouble: node.trouble, logger: logger)
        try await watching.requireNone()
        let facts = try await facts(node, roles, environment)
        // A process that only projects has the port for those who ask how it is, where it is given one: the default is the
        // front end's beside it.
        let hasPort = roles != [.projector] || options.isAddressGiven(environment)
        let manager = ServiceManager(ProcessInfo.processInfo.environment, logger: logger)
        if !hasPort {
            logger.info("serving", metadata: facts)
            manager.ready("serving")
        }
        try await node.warn(logger)
        OpsListener.beginCounting()
        let observation = Observation(
            node.readModel, engine: node.engineName, redis: redis, folder: dataOptions.folder(environment), logger: logger)
        let sessions = Sessions(database: node.database, lifetime: lifetime)
        let renewals = TokenRenewals(sessions: sessions, clock: Node.clock)
        let admission = try options.admission(environment, logger)
        let realTime = try realTime(
            node, sessions, roles, try options.gatewaySettings(environment), admission.memory, logger)
        let readiness = Readiness(Checks(node: node, redis: redis, roles: roles, logger: logger).all())
        let api = { (admission: Admission) in
            API(
                readModel: node.readModel, committer: node.committer, chunks: node.chunks, sessions: sessions, renewals: renewals,
                realTime: realTime, readiness: readiness, settings: settings, admission: admission, secret: node.secret.value,
                clock: Node.clock, readings: observation.readings)
        }
        // Services stop in reverse order: requests end first, then what they wait for.
        var services: [any Service] = observation.services + [readiness]
        if let interval = manager.watchdogInterval {
            services.append(Watchdog(manager: manager, interval: interval, eventLoops: MultiThreadedEventLoopGroup.singleton))
        }
        if let opsAddress { services.append(OpsListener(opsAddress, logger: logger, api)) }
        services += [redis].compactMap { $0 as (any Service)? } + node.services(projects: roles.contains(.projector), logger: logger)
        services.append(watching)
        if roles.contains(.projector), let sealInterval {
            let sealer = Sealer(database: node.database, key: SealKey(secret: node.secret.value))
            services.append(Sealing(sealer: sealer, interval: sealInterval, logger: logger))
        }
        if hasPort {
            if roles.contains(.api) { try await welcome(node, settings, folder: dataOptions.folder(environment), environment, logger) }
            let server = Application(
                responder: Responder(api: api(admission)),
                server: .http1(
                    configuration: .init(
                        additionalChannelHandlers: [
                            TrafficHandler(), ConnectionHandler(admission, upgrades: realTime.gateway != nil),
                        ],
                        idleTimeout: .seconds(Self.idleSeconds))),
                configuration: .init(
                    address: address.bindAddress, availableConnectionsDelegate: AcceptedConnections(admission.connections)),
                onServerRunning: { channel in
                    do { try address.open() } catch { logger.error("the socket's rights could not be set") }
                    let place = Self.text(of: channel) ?? address.text
                    logger.info("serving", metadata: facts.merging(["address": "\(place)"]) { $1 })
                    manager.ready("serving on \(place)")
                },
                logger: logger)
            services += [node.committer, renewals]
            if let gateway = realTime.gateway { services += [node.hints as? any Service].compactMap { $0 } + [gateway] }
            services.append(server)
        }
        services.append(Farewell(manager: manager))
        var configuration = ServiceGroupConfiguration(services: services, logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(Self.shutdownSeconds)
        let lameDuck = try options.lameDuck(environment, isShared: isShared)
        let ending = Ending(readiness: readiness, lameDuck: hasPort ? lameDuck : .zero, logger: logger)
        do { try await ending.run(ServiceGroup(configuration: configuration)) } catch {
            throw Self.explained(error, address: address.text)
        }
        try node.close()
        logger.info("stopped")
    }

    /// Where a channel listens; nil where that is no address of the network.
    static func text(of channel: any Channel) -> String? {
        channel.localAddress.flatMap { address in
            address.ipAddress.flatMap { ip in address.port.map { ip.contains(":") ? "[\(ip)]:\($0)" : "\(ip):\($0)" } }
        }
    }

    /// What this process has for real time: tickets that a gateway redeems, this process' own or, through Redis, any.
    private func realTime(
        _ node: Node, _ sessions: Sessions, _ roles: Set<Role>, _ settings: GatewaySettings, _ memory: MemoryBudget,
        _ logger: Logger
    ) throws -> RealTime {
        guard roles.contains(.gateway) else { return RealTime(hints: node.hints, tickets: node.sharedTickets, gateway: nil) }
        guard roles.contains(.api) || node.sharedTickets != nil else {
            throw ValidationError("a gateway of its own needs Redis for the tickets of front ends: APUS_REDIS_URL, and PostgreSQL")
        }
        let tickets: any Tickets = node.sharedTickets ?? LocalTickets()
        let gateway = Gateway(
            readModel: node.readModel, sessions: sessions, hints: node.hints, tickets: tickets, settings: settings,
            logger: logger, clock: Node.clock, encode: API.itemList, hold: memory.frames())
        return RealTime(hints: node.hints, tickets: tickets, gateway: gateway)
    }

    /// What whoever looks at the log later wants to know of this start.
    private func facts(_ node: Node, _ roles: Set<Role>, _ environment: Environment) async throws -> Logger.Metadata {
        let folder = URL(filePath: dataOptions.folder(environment)).standardizedFileURL.path(percentEncoded: false)
        let (engine, server, epoch) = try await node.database.read { connection in
            (
                try connection.first(Self.selectEngine, []) { $0.text(0) } ?? "",
                try connection.first(Self.selectServer, []) { $0.text(0) } ?? "", try EventLog.head(connection).epoch
            )
        }
        let database = if case .sqlite(let path) = try dataOptions.databasePlace(environment) { path } else { server }
        return [
            "version": "\(Apus.version)", "engine": "\(engine)", "database": "\(database)", "data": "\(folder)",
            "roles": "\(roles.map(\.rawValue).sorted().joined(separator: ","))", "epoch": .stringConvertible(epoch),
        ]
    }

    private static let selectEngine = Statement(
        sqlite: "SELECT 'SQLite ' || sqlite_version()", postgres: "SELECT 'PostgreSQL ' || current_setting('server_version')")

    /// Where the database is, as the server tells: without what it takes to enter.
    private static let selectServer = Statement(
        sqlite: "SELECT ''",
        postgres: """
            SELECT 'postgres://' || current_user || '@' || COALESCE(host(inet_server_addr()) || ':' || inet_server_port(), 'socket')
                   || '/' || current_database()
            """)

    /// A fault at the start, in words.
    static func explained(_ error: any Error, address: String, option: String = "--listen or APUS_LISTEN") -> any Error {
        switch error {
        case let error as IOError where error.errnoCode == EADDRINUSE:
            OperatorFault("\(address) is in use: another program listens there, perhaps another apus; \(option) says where else")
        case let error as IOError where error.errnoCode == EACCES:
            OperatorFault("\(address) may not be listened on by this user: ports below 1024 want a privilege; \(option) says where else")
        case let error as IOError where error.errnoCode == EADDRNOTAVAIL:
            OperatorFault("\(address) is no address of this machine: \(option) says another, such as 127.0.0.1:3735")
        case is SocketAddressError:
            OperatorFault("\(address) cannot be resolved: \(option) says an address and a port, such as 127.0.0.1:3735")
        default: error
        }
    }

    private func makeLogger(_ environment: Environment) throws -> Logger {
        let format = try environment.choice("APUS_LOG_FORMAT", flag: options.logFormat, default: .text)
        let name = environment.text("APUS_LOG_LEVEL", flag: options.logLevel, default: "info")
        guard let level = Logger.Level(rawValue: name) else { throw ValidationError("\(name) is no level of the log") }
        let sink = LogSink { count in
            format.line(.warning, "lines of the log were dropped, for nobody took them", ["count": .stringConvertible(count)])
        }
        LoggingSystem.bootstrap { label in
            // The libraries' own information is for those who look for it.
            LineLogHandler(format: format, label: label, sink: sink, logLevel: label == "apus" ? level : max(level, .warning))
        }
        return Logger(label: "apus")
    }

    /// Tells whoever starts a server with no accounts how to make the first one.
    private func welcome(
        _ node: Node, _ settings: APISettings, folder: String, _ environment: Environment, _ logger: Logger
    ) async throws {
        guard node.projectors.isEmpty else { return }
        let hasAccounts = try await node.readModel.snapshot { try !$0.accounts(limit: 1).isEmpty }
        guard !hasAccounts, !settings.isSignupOpen else { return }
        if try environment.choice("APUS_LOG_FORMAT", flag: options.logFormat, default: .text) == .json {
            // Where programs read, every line is one of the log.
            logger.notice(
                "there are no accounts yet, and sign-up is closed: make one, then sign up in the app with its name",
                metadata: ["command": "apus user create NAME --data \(folder)"])
            return
        }
        // Not with `print`, whose text waits in a buffer where the output is a file or a pipe.
        let welcome = """
            There are no accounts yet, and sign-up is closed. Make one with

                apus user create NAME --data \(folder)

            then sign up in the app with this name; the password is chosen there.

            """
        try FileHandle.standardOutput.write(contentsOf: Data(welcome.utf8))
    }
}
