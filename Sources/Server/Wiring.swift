package import API
internal import Bulletin
internal import Contents
internal import Database
internal import Directory
internal import Domain
internal import Gateway
internal import Pages
package import Logging
internal import ReadModel
package import ServiceLifecycle
internal import Sodium

/// The modules of a process put together for its roles: what answers requests, and what has to run for it. It listens nowhere.
package struct Wiring: Sendable {
    package let node: Node
    package let settings: ServerSettings
    package let admission: Admission
    let readiness: Readiness
    let realTime: RealTime
    private let sessions: Sessions
    private let renewals: TokenRenewals
    private let observation: Observation
    /// Nil where everybody may be here who has an account.
    let directory: Directory?
    private let limits: Limits
    private let runner: JobRunner
    private let memory = Status.Memory()
    private let trends: Trends

    /// Raises the limit of open files.
    ///
    /// - Throws: ``SettingFault``
    package init(_ node: Node, _ settings: ServerSettings, logger: Logger) throws {
        self.node = node
        self.settings = settings
        directory = settings.answersUsers ? settings.directory.map { Self.directory($0, node, logger) } : nil
        observation = Observation(
            node.readModel, engine: node.engineName, version: settings.version, redis: node.redis, directory: directory,
            objects: node.chunks.objects, folder: node.data.folder, logger: logger)
        sessions = Sessions(database: node.database, lifetime: settings.tokenLifetime)
        renewals = TokenRenewals(sessions: sessions, clock: Node.clock)
        admission = Admission(
            connections: .init(all: try Descriptors.connections(settings.connections), isProxied: settings.isProxied),
            memoryBytes: settings.memoryBytes, logger: logger)
        realTime = try Self.realTime(node, sessions, directory, settings, admission.memory, logger)
        trends = Trends(node.readModel, memory, logger: logger)
        runner = JobRunner(node.database, logger: logger) { [node] kind, user, actor, course in
            try await node.carryOut(kind, user, by: actor, course)
        }
        limits = Limits(settings.api.limits, secret: node.secret.value, shared: node.sharedWindows)
        readiness = Readiness(Checks(node: node, directory: directory, roles: settings.roles).all(), logger: logger)
    }

    /// Who may be here, by the names of the accounts. Who has left is told on the bulletin, where gateways hear it.
    private static func directory(_ settings: DirectorySettings, _ node: Node, _ logger: Logger) -> Directory {
        let (readModel, bulletin) = (node.readModel, node.bulletin)
        let kept = KeptListings(in: node.database, of: settings, clock: Node.clock)
        return Directory(settings, logger: logger, kept: kept) { user in
            try await readModel.snapshot(.small) { try $0.account(user) }.map { CanonicalName($0.username) }
        } tellOut: { users in
            bulletin.post(users.map { .userChanged($0) })
        }
    }

    /// What this process has for real time: tickets that a gateway redeems, this process' own or, through Redis, any.
    private static func realTime(
        _ node: Node, _ sessions: Sessions, _ directory: Directory?, _ settings: ServerSettings, _ memory: MemoryBudget, _ logger: Logger
    ) throws -> RealTime {
        let roles = settings.roles
        guard roles.contains(.gateway) else { return RealTime(bulletin: node.bulletin, tickets: node.sharedTickets, gateway: nil) }
        try settings.requireTickets(areShared: node.sharedTickets != nil)
        let tickets: any Tickets = node.sharedTickets ?? LocalTickets()
        let gateway = Gateway(
            readModel: node.readModel, sessions: sessions, bulletin: node.bulletin, tickets: tickets, settings: settings.gateway,
            directory: directory, logger: logger, clock: Node.clock, encode: API.itemList, hold: memory.frames())
        return RealTime(bulletin: node.bulletin, tickets: tickets, gateway: gateway)
    }

    /// What handlers work with.
    ///
    /// - Parameter admission: which connections and how many bytes are let in.
    func api(_ admission: Admission) -> API {
        API(
            readModel: node.readModel, door: node.door, sessions: sessions, signupLinks: SignupLinks(node.database),
            pageKeys: PageKeys(node.database), adminActs: AdminActs(node.database), quotas: Quotas(node.database),
            jobs: Jobs(node.database),
            steering: steering, renewals: renewals, realTime: realTime, readiness: readiness, settings: settings.api, admission: admission,
            secret: node.secret.value,
            limits: limits, directory: directory, clock: Node.clock, readings: observation.readings)
    }

    /// What pages can have done.
    private var steering: Steering {
        let exports = PageExports(node.readModel)
        return Steering(
            erase: { [node] name, user, isActive, actor in
                _ = try await node.erase(name, user, isActive: isActive, by: actor) { node.bulletin.post([.userChanged(user)]) }
            }, order: { [runner] in try await runner.order($0, $1, $2) },
            log: { [node, memory] in try await Status.log(node, memory, at: Node.clock()) },
            backups: { [node] in
                let newest = try await node.database.read(.small) { try LastBackup.find($0) }
                return (node.isAlone ? .here(try node.pageBackups.newest()?.shown) : .elsewhere, newest)
            }, openBackup: { [node] in node.isAlone ? try node.pageBackups.open() : nil },
            export: { try await exports.make($0) },
            overview: { [node, memory, settings] in try await Status.overview(node, memory, version: settings.version, at: Node.clock()) },
            trends: { [trends] in trends.trends }, settings: settings.shown, diagnose: settings.diagnose)
    }

    /// What answers clients, on connections that were admitted.
    package var responder: Responder { Responder(api: api(admission)) }

    /// What tells how the process is.
    package var lookouts: [any Service] { observation.services + [readiness, trends] }

    /// What has to run while requests are answered. Services stop in reverse order: requests end first, then what they wait for.
    package func services(logger: Logger) -> [any Service] {
        var services = [node.redis].compactMap { $0 as (any Service)? }
        services += node.services(projects: settings.roles.contains(.projector), logger: logger)
        guard settings.hasPort else { return services }
        services += [node.committer, runner, renewals] + [directory].compactMap { $0 as (any Service)? }
        if let gateway = realTime.gateway { services.append(gateway) }
        return services
    }
}
