internal import API
internal import ArgumentParser
internal import Chunks
internal import Foundation
internal import Gateway
internal import Logging
internal import Redis
internal import Server
internal import Sodium

/// What the environment says. Flags come before it.
struct Environment: Sendable, Unprinted {
    /// Every variable that Apus reads. A secret may be read from the file that the same name with `_FILE` names.
    private static let known: Set<String> = [
        "APUS_LISTEN", "APUS_CONFIG", "APUS_DATA", "APUS_MEDIA_ROOT", "APUS_DATABASE_URL", "APUS_DATABASE_URL_FILE",
        "APUS_READ_DATABASE_URL", "APUS_READ_DATABASE_URL_FILE", "APUS_CHUNKS", "APUS_REDIS_URL",
        "APUS_REDIS_URL_FILE", "APUS_ROLES", "APUS_SIGNUP", "APUS_PUBLIC_URL",
        "APUS_SECRET", "APUS_SECRET_FILE", "APUS_TOKEN_LIFETIME", "APUS_PASSWORD_CHANGE",
        "APUS_DEBUG", "APUS_ALLOWED_HOSTS", "APUS_DASHBOARD_URL", "APUS_CHALLENGE_LIFETIME", "APUS_LOG_FORMAT", "APUS_LOG_LEVEL",
        "APUS_SOCKETS_PER_USER", "APUS_SOCKET_RATE", "APUS_PING_INTERVAL", "APUS_DRAIN", "APUS_LAME_DUCK",
        "APUS_RECORD_ADDRESSES", "APUS_TRUST_PROXY", "APUS_SEAL_INTERVAL",
        "APUS_BODY_LIMIT", "APUS_CHUNK_LIMIT", "APUS_BATCH_LIMIT", "APUS_CONNECTIONS", "APUS_MEMORY",
        "APUS_OPS_LISTEN", "APUS_METRICS_TOKEN", "APUS_METRICS_TOKEN_FILE",
    ]

    private let values: [String: String]
    /// What the operator should know of the settings, in words.
    private(set) var notices: [String] = []

    /// - Parameter config: a file that is asked where neither flags nor the environment say anything.
    /// - Throws: `ValidationError` for a variable that begins with `APUS_` and is none of ours: it is a mistake.
    init(_ values: [String: String] = ProcessInfo.processInfo.environment, config: String?) throws {
        var ours = values.filter { $0.key.hasPrefix("APUS_") && !$0.key.hasPrefix("APUS_TEST_") }
        for (name, value) in ours where !Self.known.contains(name) && ServiceLinks.areOf(name, value) { ours[name] = nil }
        for name in ours.keys.sorted() where !Self.known.contains(name) {
            throw ValidationError("\(name) is not a setting of this version of apus")
        }
        if let path = config ?? ours["APUS_CONFIG"] {
            let file = try EtebaseConfiguration(path: path)
            // A secret is set under one of two names.
            for (name, value) in file.settings where ours[name] == nil && ours[Self.otherName(name)] == nil { ours[name] = value }
            if !file.notServed.isEmpty { notices.append("\(path): apus does nothing about \(file.notServed.joined(separator: ", "))") }
        }
        self.values = ours
    }

    private static func otherName(_ name: String) -> String {
        name.hasSuffix("_FILE") ? String(name.dropLast("_FILE".count)) : name + "_FILE"
    }

    func text(_ name: String, flag: String?, default fallback: String) -> String { flag ?? values[name] ?? fallback }
    func text(_ name: String, flag: String?) -> String? { flag ?? values[name] }

    func flag(_ name: String, flag: Bool) throws -> Bool {
        guard !flag, let text = values[name] else { return flag }
        switch text.lowercased() {
        case "1", "true", "yes", "on": return true
        case "0", "false", "no", "off", "": return false
        default: throw ValidationError("\(name) is on or off, not \(text)")
        }
    }

    func number(_ name: String, flag: Int?, default fallback: Int) throws -> Int {
        guard let text = flag.map(String.init) ?? values[name] else { return fallback }
        guard let number = Int(text), number > 0 else { throw ValidationError("\(name) is a whole number above 0, not \(text)") }
        return number
    }

    /// A number of bytes.
    func size(_ name: String, flag: String?, default fallback: Int) throws -> Int {
        try (flag ?? values[name]).map { try Size.parse($0, of: name) } ?? fallback
    }

    func choice<T: RawRepresentable & CaseIterable>(_ name: String, flag: T?, default fallback: T) throws -> T
    where T.RawValue == String {
        guard flag == nil, let text = values[name] else { return flag ?? fallback }
        guard let choice = T(rawValue: text) else {
            throw ValidationError("\(name) is one of \(T.allCases.map(\.rawValue).joined(separator: ", ")), not \(text)")
        }
        return choice
    }

    /// A secret: the variable, or the content of the file that `NAME_FILE` names, without a line's end.
    func secret(_ name: String) throws -> String? {
        let secret: String
        if let value = values[name] {
            secret = value
        } else if let path = values[name + "_FILE"] {
            guard let content = FileManager.default.contents(atPath: path) else {
                throw ValidationError("\(path), where \(name)_FILE or the configuration says that it is, cannot be read")
            }
            secret = String(decoding: content, as: UTF8.self).trimmingCharacters(in: .newlines)
        } else {
            return nil
        }
        guard !secret.isEmpty else { throw ValidationError("\(name) is empty") }
        return secret
    }

    /// The server's secret; nil for the one in the data folder.
    func givenSecret() throws -> Hidden<[UInt8]>? { try secret("APUS_SECRET").map { Hidden(Array($0.utf8)) } }
}

/// Who may make an account.
enum SignupPolicy: String, CaseIterable, ExpressibleByArgument, Sendable {
    case closed
    case open
}

/// The form of the log.
enum LogFormat: String, CaseIterable, ExpressibleByArgument, Sendable {
    case text
    case json
}

/// A span of time as people write it: `90s`, `15m`, `12h`, `365d`; `0` is for ever.
enum Lifetime {
    private static let longestCount = 1_000_000

    static func parse(_ text: String) throws -> Duration? {
        if text == "0" { return nil }
        let seconds: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let last = text.last, let unit = seconds[last], let count = Int(text.dropLast()), (1...longestCount).contains(count)
        else {
            throw ValidationError("\(text) is no span of time; write 90s, 15m, 12h or 365d, or 0 for ever")
        }
        return .seconds(count * unit)
    }
}

/// The folder of everything that is kept.
struct DataOptions: ParsableArguments {
    @Option(help: "An etebase-server.ini, for what neither flags nor the environment say. (APUS_CONFIG)")
    var config: String?

    /// The settings of a command; what is to be known of them is told.
    func environment() throws -> Environment {
        let environment = try quietEnvironment()
        for notice in environment.notices { try FileHandle.standardError.write(contentsOf: Data((notice + "\n").utf8)) }
        return environment
    }

    /// The settings; what is to be known of them is left to the caller.
    func quietEnvironment() throws -> Environment { try Environment(config: config) }

    @Option(help: "The folder of everything that is kept: database and secret. (APUS_DATA, default ./data)")
    var data: String?

    @Option(help: "postgres://… or sqlite:PATH: where log and read model lie. (APUS_DATABASE_URL, default SQLite in the data folder)")
    var databaseURL: String?

    @Option(
        help: """
            postgres://…: a database of its own to read from, which a projector keeps, or a standby of the other. \
            (APUS_READ_DATABASE_URL, default none)
            """)
    var readDatabaseURL: String?

    @Option(help: "The folder of chunk files. (APUS_MEDIA_ROOT, default chunks in the data folder)")
    var mediaRoot: String?

    /// Where everything lies.
    func settings(_ environment: Environment) throws -> DataSettings {
        DataSettings(
            folder: folder(environment), database: try databasePlace(environment), readDatabaseURL: try readDatabaseURL(environment),
            chunkFolder: chunkFolder(environment), secret: try environment.givenSecret())
    }

    func readDatabaseURL(_ environment: Environment) throws -> String? {
        guard let url = try readDatabaseURL ?? environment.secret("APUS_READ_DATABASE_URL") else { return nil }
        guard url.hasPrefix("postgres://") || url.hasPrefix("postgresql://") else {
            throw ValidationError("APUS_READ_DATABASE_URL begins with postgres://")
        }
        return url
    }

    /// Where log and read model lie.
    func databasePlace(_ environment: Environment) throws -> DatabasePlace {
        guard let url = try databaseURL ?? environment.secret("APUS_DATABASE_URL") else {
            return .sqlite(path: folder(environment) + "/apus.sqlite")
        }
        if url.hasPrefix("sqlite:"), url.count > "sqlite:".count { return .sqlite(path: String(url.dropFirst("sqlite:".count))) }
        guard url.hasPrefix("postgres://") || url.hasPrefix("postgresql://") else {
            throw ValidationError("a database's address begins with postgres://, or is sqlite: and the path of a file")
        }
        return .postgres(url: url)
    }

    /// Whether other processes may share the database.
    func isShared(_ environment: Environment) throws -> Bool {
        if case .postgres = try databasePlace(environment) { true } else { false }
    }

    func chunkFolder(_ environment: Environment) -> String {
        environment.text("APUS_MEDIA_ROOT", flag: mediaRoot, default: folder(environment) + "/chunks")
    }

    func folder(_ environment: Environment) -> String { environment.text("APUS_DATA", flag: data, default: "./data") }
}

/// The options of `apus serve`.
struct ServeOptions: ParsableArguments {
    /// What has to fit into the time that a shutdown may take.
    private static let longestDrain = Duration.seconds(20)
    /// How long a server that is about to end may go on serving.
    private static let longestLameDuck = Duration.seconds(300)

    @Option(help: "What this process does: api, projector, gateway, or several of them. (APUS_ROLES, default all)")
    var roles: String?

    @Option(help: "redis://…, rediss://… or unix://…: wakes other processes at once. (APUS_REDIS_URL, default none)")
    var redisURL: String?

    @Option(
        help: """
            Where new contents of chunks go: database, or files below the data folder, which front ends on several hosts must \
            share. (APUS_CHUNKS, default database)
            """)
    var chunks: String?

    @Option(help: "Address and port, or unix: and the path of a socket. (APUS_LISTEN, default 127.0.0.1:3735)")
    var listen: String?

    @Option(
        help: """
            A second address and port, for whoever looks after the server: /metrics, /health, /live and /ready. Clients should not \
            reach it. (APUS_OPS_LISTEN, default none)
            """)
    var opsListen: String?

    @Option(help: "Who may make an account: closed or open. (APUS_SIGNUP, default closed)")
    var signup: SignupPolicy?

    @Flag(help: "The test reset route, and logins for any host: for client test suites only. (APUS_DEBUG)")
    var debug = false

    @Option(help: "What clients call the server; logins may be signed for it or for the request's Host. (APUS_PUBLIC_URL)")
    var publicURL: String?

    @Option(help: "The hosts that are served, separated by commas; any by default. (APUS_ALLOWED_HOSTS)")
    var allowedHosts: String?

    @Option(help: "The address of a user's dashboard, {username} standing for the name. (APUS_DASHBOARD_URL)")
    var dashboardURL: String?

    @Option(help: "How long a session lives after its last use; 0 is for ever. (APUS_TOKEN_LIFETIME, default 365d)")
    var tokenLifetime: String?

    @Option(
        help: """
            What a change of password does to the user's other sessions: ends-sessions, as is right where a device or the password \
            was lost, or keeps-sessions, as the original. (APUS_PASSWORD_CHANGE, default ends-sessions)
            """)
    var passwordChange: String?

    /// Whether a change of password ends the user's other sessions.
    func endsSessions(_ environment: Environment) throws -> Bool {
        switch environment.text("APUS_PASSWORD_CHANGE", flag: passwordChange, default: "ends-sessions") {
        case "ends-sessions": return true
        case "keeps-sessions": return false
        case let text: throw ValidationError("APUS_PASSWORD_CHANGE is ends-sessions or keeps-sessions, not \(text)")
        }
    }

    @Option(help: "How long a login challenge is good. (APUS_CHALLENGE_LIFETIME, default 60s)")
    var challengeLifetime: String?

    @Option(help: "The longest request body: 75MB, 64MiB, or a number of bytes. (APUS_BODY_LIMIT, default 75MB)")
    var bodyLimit: String?

    @Option(help: "The longest chunk, also with a unit. (APUS_CHUNK_LIMIT, default 32MiB)")
    var chunkLimit: String?

    @Option(help: "The most items in one batch or transaction. (APUS_BATCH_LIMIT, default 10000)")
    var batchLimit: Int?

    @Option(help: "How many connections may be open. (APUS_CONNECTIONS, default 10000, or what the limit of open files allows)")
    var connections: Int?

    @Option(help: "How much of bodies and answers may be in flight, such as 512MiB. (APUS_MEMORY, default 256MiB)")
    var memory: String?

    @Option(help: "How many WebSockets a user may have open. (APUS_SOCKETS_PER_USER, default 1000)")
    var socketsPerUser: Int?

    @Option(help: "How many WebSockets may be opened in a second. (APUS_SOCKET_RATE, default 1000)")
    var socketRate: Int?

    @Option(help: "How often silent WebSockets are asked for a sign of life. (APUS_PING_INTERVAL, default 30s)")
    var pingInterval: String?

    @Option(help: "Over how long a time WebSockets are closed at the end; at most 20s. (APUS_DRAIN, default 5s)")
    var drain: String?

    @Option(
        help: """
            How long the server goes on serving after SIGTERM while /ready already says that it is about to end, so that load \
            balancers turn to others; at most 300s. (APUS_LAME_DUCK, default 5s with PostgreSQL, Redis or --trust-proxy, else 0)
            """)
    var lameDuck: String?

    @Option(
        help: """
            How often the log is sealed, which is also done at the end; 0 leaves it to `apus log seal`. (APUS_SEAL_INTERVAL, default 60s)
            """)
    var sealInterval: String?

    @Flag(help: "Keeps clients' addresses with what they write, for `apus audit`. (APUS_RECORD_ADDRESSES, default off)")
    var recordAddresses = false

    @Flag(
        help: """
            A proxy stands before the server, and its X-Forwarded-For tells the clients' addresses: without one, clients could \
            write there what they like. (APUS_TRUST_PROXY, default off)
            """)
    var trustProxy = false

    @Option(help: "The form of the log: text or json. (APUS_LOG_FORMAT, default text)")
    var logFormat: LogFormat?

    @Option(help: "The least important messages that are logged: debug, info, warning or error. (APUS_LOG_LEVEL, default info)")
    var logLevel: String?

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

    func chunkPlace(_ environment: Environment) throws -> ChunkStore.Place {
        let text = environment.text("APUS_CHUNKS", flag: chunks, default: ChunkStore.Place.database.rawValue)
        guard let place = ChunkStore.Place(rawValue: text) else {
            let choices = ChunkStore.Place.allCases.map(\.rawValue).joined(separator: " or ")
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
}
