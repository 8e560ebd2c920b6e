/// The server as a whole: where everything lies, how the modules are put together, what runs beside the requests, and how it ends.
///
/// Pattern: ``Node`` opens the database and puts on it what every subcommand works with; ``Wiring`` adds what a process in its roles
/// needs to answer requests, and listens nowhere, so that a test can hold it; ``Serving`` listens, and runs it from its start to its end.
///
/// From request to frame, the way of a batch of items; each step makes one thing of another, and nothing is made twice:
///
/// 1. `API`: `ConnectionHandler` lets the bytes in, `ClientChannel` takes the request from its `Exchange`, `Responder` finds the route,
///    `BodyReader` the body: a `Call`.
/// 2. `commitItems` decodes the body into `OfferedItem`s and contents. In one `Snapshot` the caller is authenticated, and what the
///    `CommitItems` needs to know is read, tail of the log included: a `Prepared` command.
/// 3. `Door.commit` puts contents where they belong, which leaves `Write`s for those that go into the table: a `Submission`.
/// 4. `Committer` takes what waits as a group. `Plan` brings each state up to date, decides, and gives the events positions:
///    `RecordedEvent`s. `AppendRows` makes rows of them, once: on SQLite they are inserted, on PostgreSQL they go to `apus_append`.
/// 5. Once that is durable the request is answered. `.appended` is posted on the `Bulletin`, and wakes projectors.
/// 6. `DjangoProjection` makes rows of the read model of the `RecordedEvent`s: on SQLite in the transaction of 4, on PostgreSQL a
///    `Projector` reads them from the log. Then `.projected` is posted, with the collections, and wakes readers that wait.
/// 7. `Gateway` tells the `Feed` of each collection; its `FeedState` says where to look. One `Snapshot` says who may still listen and
///    what has changed: `ItemContent`s, whose contents are fetched where they lie elsewhere.
/// 8. `API.itemList` encodes them, once for all who wait at the same place: a `Message`, which each `Socket` puts into a frame.
///
/// Concurrency: everything that lives long is a service of one group. Services stop in reverse order.
internal import API
internal import EventLog
internal import Foundation
internal import Gateway
internal import Hummingbird
internal import HummingbirdCore
package import Logging
internal import NIOCore
internal import NIOPosix
internal import ReadModel
internal import ServiceLifecycle
internal import Sodium

/// A process that serves, from its start to its end.
package struct Serving: Sendable {
    /// How long running requests may go on after SIGTERM.
    private static let shutdownSeconds: Int64 = 30
    /// How long a connection may be silent.
    private static let idleSeconds: Int64 = 120
    /// How many connections may wait to be taken, as far as the kernel lets them (`net.core.somaxconn`). One that finds no room there
    /// tries again after a second, then two, then four: where all clients come back together that takes longer than all else.
    private static let backlog = 4096

    private let wiring: Wiring
    private let watching: Watching
    private let manager: ServiceManager
    private let facts: Logger.Metadata
    private let logger: Logger

    private var node: Node { wiring.node }
    private var settings: ServerSettings { wiring.settings }

    /// Looks whether all is well with what was opened, and puts together what serves. Once in a process.
    ///
    /// - Throws: ``SettingFault``, ``OperatorFault``, or `DatabaseFault`.
    package init(_ node: Node, _ settings: ServerSettings, logger: Logger) async throws {
        self.logger = logger
        try await node.recognize()
        watching = Watching(database: node.database, trouble: node.trouble, logger: logger)
        try await watching.requireNone()
        facts = try await node.facts(settings)
        manager = ServiceManager(ProcessInfo.processInfo.environment, logger: logger)
        if !settings.hasPort {
            logger.info("serving", metadata: facts)
            manager.ready("serving")
        }
        try await node.warn(logger)
        OpsListener.beginCounting()
        wiring = try Wiring(node, settings, logger: logger)
    }

    /// Whether somebody has to make the first account before anybody can do anything.
    package var wantsFirstAccount: Bool {
        get async throws {
            guard settings.hasPort, settings.roles.contains(.api), node.projectors.isEmpty, settings.api.signup == .closed,
                settings.directory == nil
            else {
                return false
            }
            return try await node.readModel.snapshot { try $0.accounts(limit: 1).isEmpty }
        }
    }

    /// Serves until the process is told to end.
    ///
    /// - Throws: ``OperatorFault`` where it cannot listen.
    package func run() async throws {
        // Services stop in reverse order.
        var services = wiring.lookouts
        if let interval = manager.watchdogInterval {
            services.append(Watchdog(manager: manager, interval: interval, eventLoops: MultiThreadedEventLoopGroup.singleton))
        }
        if let opsAddress = settings.opsAddress { services.append(OpsListener(opsAddress, logger: logger, wiring.api)) }
        services += [watching, Presence(node.database, settings, logger: logger), Rest()] as [any Service]
        if settings.roles.contains(.projector), let interval = settings.sealInterval {
            let sealer = Sealer(database: node.database, key: SealKey(secret: node.secret.value))
            services.append(Sealing(sealer: sealer, interval: interval, logger: logger))
        }
        services += wiring.services(logger: logger)
        if settings.hasPort { services.append(Listener(server: server, gateway: wiring.realTime.gateway)) }
        services.append(Farewell(manager: manager))
        var configuration = ServiceGroupConfiguration(services: services, logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(Self.shutdownSeconds)
        let ending = Ending(readiness: wiring.readiness, lameDuck: settings.hasPort ? settings.lameDuck : .zero, logger: logger)
        do { try await ending.run(ServiceGroup(configuration: configuration)) } catch { throw settings.address.explained(error) }
        try node.close()
        logger.info("stopped")
    }

    /// What listens to clients.
    private var server: any Service {
        let (address, admission, responder) = (settings.address, wiring.admission, wiring.responder)
        let channel = ClientChannel(
            admission, upgrades: wiring.realTime.gateway != nil, isCounted: true, idleTime: .seconds(Self.idleSeconds)
        ) { try await responder.respond(to: $0, context: $1) }
        return channel.server(
            configuration: .init(
                address: address.bindAddress, backlog: Self.backlog,
                availableConnectionsDelegate: AcceptedConnections(admission.connections)),
            onServerRunning: { [logger, facts, manager] channel in
                admission.connections.come(from: channel)
                do { try address.open() } catch { logger.error("the socket's rights could not be set") }
                let place = ListenAddress.text(of: channel) ?? address.text
                logger.info("serving", metadata: facts.merging(["address": "\(place)"]) { $1 })
                manager.ready("serving on \(place)")
            },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
    }
}

/// A server, and the sockets that come of its connections.
private struct Listener: Service {
    let server: any Service
    let gateway: Gateway?

    func run() async throws {
        guard let gateway else { return try await server.run() }
        try await gateway.withSockets { try await server.run() }
    }
}
