internal import API
internal import ArgumentParser
internal import Contents
internal import Foundation
internal import Gateway
internal import Logging
internal import Redis
internal import Server
internal import Sodium

extension ServeOptions {
    /// What has to fit into the time that a shutdown may take.
    private static let longestDrain = Duration.seconds(20)
    /// How long a server that is about to end may go on serving.
    private static let longestLameDuck = Duration.seconds(300)

    func address(_ environment: Environment) throws -> ListenAddress {
        try Self.address(environment.text("APUS_LISTEN", flag: listen, default: "127.0.0.1:3735"))
    }

    private static func address(_ text: String) throws -> ListenAddress {
        do throws(SettingFault) { return try ListenAddress(text) } catch { throw ValidationError(error.description) }
    }

    /// Where those who look after the server are listened to; nil for nowhere.
    func opsAddress(_ environment: Environment) throws -> ListenAddress? {
        guard let text = environment.text("APUS_OPS_LISTEN", flag: opsListen), !text.isEmpty else { return nil }
        return try Self.address(text)
    }

    /// Whether it is said where to listen.
    func isAddressGiven(_ environment: Environment) -> Bool { environment.text("APUS_LISTEN", flag: listen) != nil }

    /// How long the server goes on serving once it is to end.
    ///
    /// - Parameter isShared: whether there may be others to serve instead.
    func lameDuck(_ environment: Environment, isShared: Bool) throws -> Duration {
        let mayHaveBalancer = try isShared || environment.flag("APUS_TRUST_PROXY", flag: trustProxy)
        let text = environment.text("APUS_LAME_DUCK", flag: lameDuck, default: mayHaveBalancer ? "5s" : "0")
        let duration = try Lifetime.parse(text) ?? .zero
        guard duration <= Self.longestLameDuck else {
            throw ValidationError("a server that is about to end serves for at most \(Self.longestLameDuck.components.seconds) seconds")
        }
        return duration
    }

    func redis(_ environment: Environment, logger: Logger) throws -> Redis? {
        guard let text = try redisURL ?? environment.secret("APUS_REDIS_URL") else { return nil }
        do throws(RedisURL.Mistake) { return try Redis(RedisURL(text), logger: logger) } catch { throw ValidationError(error.description) }
    }

    func roles(_ environment: Environment) throws -> Set<Role> {
        let names = environment.text("APUS_ROLES", flag: roles, default: "api,projector,gateway").split(separator: ",")
        let roles = try names.map { name in
            guard let role = Role(rawValue: name.trimmingCharacters(in: .whitespaces)) else {
                throw ValidationError("\(name) is no role; there are \(Role.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return role
        }
        return Set(roles)
    }

    func chunkPlace(_ environment: Environment) throws -> ContentPlace {
        let text = environment.text("APUS_CHUNKS", flag: chunks, default: ContentPlace.database.rawValue)
        guard let place = ContentPlace(rawValue: text) else {
            let choices = ContentPlace.allCases.map(\.rawValue).joined(separator: " or ")
            guard !text.hasPrefix("s3://") else {
                throw ValidationError("this version of apus keeps no chunks in an S3 store: APUS_CHUNKS is \(choices)")
            }
            throw ValidationError("APUS_CHUNKS is \(choices), not \(text)")
        }
        return place
    }

    /// What a server does.
    ///
    /// - Parameter isShared: whether there may be others to serve instead.
    func serverSettings(_ environment: Environment, isShared: Bool) throws -> ServerSettings {
        var settings = ServerSettings()
        settings.version = Apus.version
        settings.api = try apiSettings(environment)
        settings.address = try address(environment)
        settings.isAddressGiven = isAddressGiven(environment)
        settings.tokenLifetime = try Lifetime.parse(environment.text("APUS_TOKEN_LIFETIME", flag: tokenLifetime, default: "365d"))
        settings.roles = try roles(environment)
        settings.opsAddress = try opsAddress(environment)
        settings.sealInterval = try sealInterval(environment)
        settings.gateway = try gatewaySettings(environment)
        settings.connections = try connections(environment)
        settings.isProxied = try environment.flag("APUS_TRUST_PROXY", flag: trustProxy)
        settings.memoryBytes = try environment.size("APUS_MEMORY", flag: memory, default: settings.memoryBytes)
        settings.lameDuck = try lameDuck(environment, isShared: isShared)
        return settings
    }

    private func apiSettings(_ environment: Environment) throws -> APISettings {
        var settings = APISettings()
        settings.isSignupOpen = try environment.choice("APUS_SIGNUP", flag: signup, default: .closed) == .open
        settings.isFrontEnd = try roles(environment).contains(.api)
        settings.metricsToken = try environment.secret("APUS_METRICS_TOKEN").map(Hidden.init)
        settings.isDebug = try environment.flag("APUS_DEBUG", flag: debug)
        settings.endsSessions = try endsSessions(environment)
        settings.allowedHosts = try allowedHosts(environment)
        settings.publicAddress = try environment.text("APUS_PUBLIC_URL", flag: publicURL).map(Self.publicAddress)
        let isRecorded = try environment.flag("APUS_RECORD_ADDRESSES", flag: recordAddresses)
        let isProxyTrusted = try environment.flag("APUS_TRUST_PROXY", flag: trustProxy)
        settings.addresses = isRecorded ? (isProxyTrusted ? .fromProxy : .ofConnections) : .none
        settings.dashboardURL = environment.text("APUS_DASHBOARD_URL", flag: dashboardURL)
        let challenge = environment.text("APUS_CHALLENGE_LIFETIME", flag: challengeLifetime, default: "60s")
        guard let seconds = try Lifetime.parse(challenge)?.components.seconds else {
            throw ValidationError("a login challenge cannot be good for ever")
        }
        settings.challengeSeconds = seconds
        settings.bodyLimitBytes = try environment.size("APUS_BODY_LIMIT", flag: bodyLimit, default: settings.bodyLimitBytes)
        settings.chunkLimitBytes = try environment.size("APUS_CHUNK_LIMIT", flag: chunkLimit, default: settings.chunkLimitBytes)
        settings.batchLimit = try environment.number("APUS_BATCH_LIMIT", flag: batchLimit, default: settings.batchLimit)
        return settings
    }

    /// How many connections may be open, where that is said.
    private func connections(_ environment: Environment) throws -> Int? {
        guard environment.text("APUS_CONNECTIONS", flag: connections.map(String.init)) != nil else { return nil }
        return try environment.number("APUS_CONNECTIONS", flag: connections, default: 1)
    }

    /// How often the log is sealed; nil where the operator does it.
    func sealInterval(_ environment: Environment) throws -> Duration? {
        try Lifetime.parse(environment.text("APUS_SEAL_INTERVAL", flag: sealInterval, default: "60s"))
    }

    func gatewaySettings(_ environment: Environment) throws -> GatewaySettings {
        var settings = GatewaySettings()
        settings.socketsPerUser = try environment.number(
            "APUS_SOCKETS_PER_USER", flag: socketsPerUser, default: settings.socketsPerUser)
        settings.openingsPerSecond = try environment.number("APUS_SOCKET_RATE", flag: socketRate, default: settings.openingsPerSecond)
        guard let ping = try Lifetime.parse(environment.text("APUS_PING_INTERVAL", flag: pingInterval, default: "30s")) else {
            throw ValidationError("an interval cannot be for ever")
        }
        settings.pingInterval = ping
        // No drain at all is a drain of no time.
        settings.drain = try Lifetime.parse(environment.text("APUS_DRAIN", flag: drain, default: "5s")) ?? .zero
        guard settings.drain <= Self.longestDrain else {
            throw ValidationError("a drain takes at most \(Self.longestDrain.components.seconds) seconds")
        }
        return settings
    }

    private func allowedHosts(_ environment: Environment) throws -> AllowedHosts? {
        guard let text = environment.text("APUS_ALLOWED_HOSTS", flag: allowedHosts) else { return nil }
        let patterns = text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        do throws(AllowedHosts.NoHost) { return try AllowedHosts(patterns) } catch {
            throw ValidationError("\(error.text) is no host such as sync.example.com, .example.com or [2001:db8::1]")
        }
    }

    private static func publicAddress(_ text: String) throws -> PublicAddress {
        guard let address = PublicAddress(text) else { throw ValidationError("\(text) is no address such as https://sync.example.com") }
        return address
    }

    /// Whether a change of password ends the user's other sessions.
    private func endsSessions(_ environment: Environment) throws -> Bool {
        switch environment.text("APUS_PASSWORD_CHANGE", flag: passwordChange, default: "ends-sessions") {
        case "ends-sessions": return true
        case "keeps-sessions": return false
        case let text: throw ValidationError("APUS_PASSWORD_CHANGE is ends-sessions or keeps-sessions, not \(text)")
        }
    }
}
