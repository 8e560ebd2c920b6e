internal import API
internal import ArgumentParser
internal import Contents
internal import Foundation
internal import Gateway
internal import Logging
internal import Redis
internal import S3
internal import Server
internal import Sodium

/// Every setting that there is: the one place that says how it is called, what it is for, what holds without it, and what is good
/// for it. The options of the command line, the environment, `apus config` and `ops/apus.env` go by this list.
enum Settings {
    /// The list in parts, each with its heading.
    static let parts: [(heading: String, settings: [SettingFacts])] = [
        (
            "Where clients reach it",
            [
                listen.facts, publicURL.facts, allowedHosts.facts, dashboardURL.facts, accountPage.facts, trustProxy.facts,
                sendfile.facts, sendsObjects.facts, opsListen.facts, metricsToken.facts,
            ]
        ),
        (
            "Where everything is kept",
            [
                config.facts, data.facts, databaseURL.facts, readDatabaseURL.facts, redisURL.facts, secret.facts, chunks.facts,
                chunksAlso.facts, s3AccessKey.facts, s3SecretKey.facts, mediaRoot.facts, roles.facts,
            ]
        ),
        (
            "Accounts and sessions",
            [
                signup.facts, tokenLifetime.facts, passwordChange.facts, challengeLifetime.facts, recordAddresses.facts, debug.facts,
            ]
        ),
        (
            "Who may be here, by a directory (LDAP)",
            [
                ldapURL.facts, ldapBase.facts, ldapFilter.facts, ldapBindDN.facts, ldapPassword.facts, ldapStartTLS.facts,
                ldapAuthorities.facts, ldapGroup.facts, ldapAdminGroup.facts, ldapCache.facts, ldapGrace.facts,
            ]
        ),
        (
            "Limits",
            [
                bodyLimit.facts, chunkLimit.facts, batchLimit.facts, connections.facts, memory.facts, socketsPerUser.facts,
                socketRate.facts, pingInterval.facts, loginLimit.facts, loginLimitName.facts,
                loginLimitAddress.facts, signupLimit.facts, invitationLimit.facts, quota.facts,
            ]
        ),
        ("Running and ending", [sealInterval.facts, lameDuck.facts, drain.facts, logFormat.facts, logLevel.facts, logClients.facts]),
    ]

    static let all = parts.flatMap(\.settings)

    /// By the names of variables, those of files with secrets too.
    static let byName: [String: SettingFacts] = {  // names of ours
        var found: [String: SettingFacts] = [:]  // names of ours
        for setting in all {
            for name in [setting.name, setting.fileName].compactMap({ $0 }) { found[name] = setting }
        }
        return found
    }()
}

// MARK: - Where clients reach it

extension Settings {
    static let listen = Setting(
        "APUS_LISTEN", flag: "--listen", default: .text("127.0.0.1:3735"), "Address and port, or unix: and the path of a socket.",
        SettingText.address)

    static let publicURL = Setting(
        "APUS_PUBLIC_URL", flag: "--public-url", default: .none("none"), example: "https://sync.example.com",
        "What clients call the server; logins may be signed for it or for the request's Host."
    ) { text, _ in
        guard let address = PublicAddress(text) else { throw ValidationError("\(text) is no address such as https://sync.example.com") }
        return address
    }

    static let allowedHosts = Setting(
        "APUS_ALLOWED_HOSTS", flag: "--allowed-hosts", default: .none("any"), example: "sync.example.com",
        "The hosts that are served, separated by commas."
    ) { text, _ -> AllowedHosts? in
        let patterns = text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        do throws(AllowedHosts.NoHost) { return try AllowedHosts(patterns) } catch {
            throw ValidationError("\(error.text) is no host such as sync.example.com, .example.com or [2001:db8::1]")
        }
    }

    static let dashboardURL = Setting(
        "APUS_DASHBOARD_URL", flag: "--dashboard-url", default: .none("none"), example: "https://example.com/people/{username}",
        "The address of a user's dashboard, {username} standing for the name.", SettingText.plain)

    static let accountPage = Setting(
        "APUS_ACCOUNT_PAGE", flag: "--account-page",
        default: .follows("on, off with --debug") { try $0.value(debug) ? "off" : "on" }, example: "on",
        """
        Whether the apps' dashboard button opens a page of the account, with devices, activity and undo, where APUS_DASHBOARD_URL names no \
        other.
        """, SettingText.flag)

    static let trustProxy = Setting(
        "APUS_TRUST_PROXY", flag: "--trust-proxy", default: .text("off"),
        """
        A proxy stands before the server, and its X-Forwarded-For tells the clients' addresses: without one, clients could write \
        there what they like.
        """, SettingText.flag)

    static let sendfile = Setting(
        "APUS_SENDFILE", flag: "--sendfile", default: .none("none"), example: "x-accel-redirect:/_chunks/",
        """
        Has the proxy send the files of chunks: x-accel-redirect: and nginx's location of the chunk folder, or x-sendfile for Apache \
        and lighttpd. The folder's group may read them then. Only with APUS_TRUST_PROXY.
        """
    ) { text, name in
        guard let sendfile = Sendfile(text) else {
            throw ValidationError("\(name) is x-accel-redirect:/PREFIX/ or x-sendfile, not \(text)")
        }
        return sendfile
    }

    static let sendsObjects = Setting(
        "APUS_SENDFILE_S3", flag: "--sendfile-s3", default: .none("none"), example: "x-accel-redirect:/_store/",
        """
        Has nginx get contents from the S3 store itself: x-accel-redirect: and its location of the store. Their hashes are not checked \
        then but by clients. Only with APUS_TRUST_PROXY.
        """
    ) { text, name in
        guard let sendfile = Sendfile(text), case .accelRedirect = sendfile else {
            throw ValidationError("\(name) is x-accel-redirect:/PREFIX/, not \(text)")
        }
        return sendfile
    }

    static let opsListen = Setting(
        "APUS_OPS_LISTEN", flag: "--ops-listen", default: .none("none"), example: "127.0.0.1:3736",
        """
        A second address and port, for whoever looks after the server: /metrics, /health, /live and /ready. Clients should not \
        reach it.
        """
    ) { text, name in text.isEmpty ? nil : try SettingText.address(text, name) }

    static let metricsToken = Setting(
        "APUS_METRICS_TOKEN", flag: nil, default: .none("no metrics where clients are"), isSecret: true,
        "The bearer token for which /metrics is answered where clients are."
    ) { text, _ in Hidden(text) }
}

// MARK: - Where everything is kept

extension Settings {
    static let config = Setting(
        "APUS_CONFIG", flag: "--config", default: .none("none"), example: "/etc/etebase-server/etebase-server.ini",
        """
        A file for what neither flags nor the environment say: an etebase-server.ini, or variables of the environment, one a line.
        """, SettingText.plain)

    static let data = Setting(
        "APUS_DATA", flag: "--data", default: .text("./data"), "The folder of everything that is kept: database and secret.",
        SettingText.plain)

    static let databaseURL = Setting(
        "APUS_DATABASE_URL", flag: "--database-url",
        default: .follows("SQLite in the data folder") { "sqlite:\(try $0.value(data))/apus.sqlite" },
        example: "postgres://apus:password@127.0.0.1/apus", isSecret: true,
        "postgres://… or sqlite:PATH: where log and read model lie.", SettingText.database)

    static let readDatabaseURL = Setting(
        "APUS_READ_DATABASE_URL", flag: "--read-database-url", default: .none("none"),
        example: "postgres://apus:password@standby/apus", isSecret: true,
        "postgres://…: a database of its own to read from, which a projector keeps, or a standby of the other.", SettingText.postgres)

    static let redisURL = Setting(
        "APUS_REDIS_URL", flag: "--redis-url", default: .none("none"), example: "redis://:password@127.0.0.1:6379/0", isSecret: true,
        "redis://…, rediss://… or unix://…: wakes other processes at once."
    ) { text, _ in
        do throws(RedisURL.Mistake) { return try RedisURL(text) } catch { throw ValidationError(error.description) }
    }

    static let secret = Setting(
        "APUS_SECRET", flag: nil, default: .none("made in the data folder, with a new database"), isSecret: true,
        "The secret that stokens, logins and seals follow from; the same on every node."
    ) { text, _ in Hidden(Array(text.utf8)) }

    static let chunks = Setting(
        "APUS_CHUNKS", flag: "--chunks", default: .text(ContentPlace.database.rawValue),
        """
        Where new contents of chunks go: database, files below the data folder, which front ends on several hosts must share, or \
        s3://BUCKET/PREFIX?endpoint=https://…&region=…&path-style=on.
        """
    ) { text, name in
        switch text {
        case ContentPlace.database.rawValue: return ChunkPlace.database
        case ContentPlace.files.rawValue: return .files
        default:
            guard text.hasPrefix("s3://") else { throw ValidationError("\(name) is database, files or s3://BUCKET/PREFIX, not \(text)") }
            return .objects(try s3Address(text, name))
        }
    }

    static let chunksAlso = Setting(
        "APUS_CHUNKS_ALSO", flag: "--chunks-also", default: .none("none"), example: "s3://apus/chunks?region=eu-central-1",
        "An S3 store in which contents lie too, where APUS_CHUNKS does not name it: what lies there is read.", s3Address)

    private static func s3Address(_ text: String, _ name: String) throws -> S3Address {
        do throws(S3Address.Mistake) { return try S3Address(text) } catch { throw ValidationError("\(name): \(error)") }
    }

    static let s3AccessKey = Setting(
        "APUS_S3_ACCESS_KEY", flag: nil, default: .none("none"), isSecret: true, "The name of the key to the S3 store.", SettingText.plain)

    static let s3SecretKey = Setting(
        "APUS_S3_SECRET_KEY", flag: nil, default: .none("none"), isSecret: true, "The key to the S3 store itself."
    ) { text, _ in Hidden(text) }

    static let mediaRoot = Setting(
        "APUS_MEDIA_ROOT", flag: "--media-root", default: .follows("chunks in the data folder") { "\(try $0.value(data))/chunks" },
        example: "/var/lib/apus/chunks", "The folder of chunk files.", SettingText.plain)

    static let roles = Setting(
        "APUS_ROLES", flag: "--roles", default: .text("api,projector,gateway"),
        "What this process does: api, projector, gateway, or several of them."
    ) { text, _ in
        let roles = try text.split(separator: ",").map { name in
            guard let role = Role(rawValue: name.trimmingCharacters(in: .whitespaces)) else {
                throw ValidationError("\(name) is no role; there are \(Role.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return role
        }
        return Set(roles)
    }
}

// MARK: - Accounts and sessions

extension Settings {
    static let signup = Setting(
        "APUS_SIGNUP", flag: "--signup", default: .text(SignupPolicy.closed.rawValue),
        "Who may make an account: nobody from outside (closed), who has a link of `apus user invite` (invite), or anybody (open).",
        SettingText.choice(of: SignupPolicy.self))

    static let tokenLifetime = Setting(
        "APUS_TOKEN_LIFETIME", flag: "--token-lifetime", default: .text("365d"),
        "How long a session lives after its last use; 0 is for ever."
    ) { text, _ in try Lifetime.parse(text) }

    static let passwordChange = Setting(
        "APUS_PASSWORD_CHANGE", flag: "--password-change", default: .text(PasswordChange.endsSessions.rawValue),
        """
        What a change of password does to the user's other sessions: ends-sessions, as is right where a device or the password was \
        lost, or keeps-sessions, as the original.
        """, SettingText.choice(of: PasswordChange.self))

    static let challengeLifetime = Setting(
        "APUS_CHALLENGE_LIFETIME", flag: "--challenge-lifetime", default: .text("60s"), "How long a login challenge is good."
    ) { text, _ in
        guard let lifetime = try Lifetime.parse(text) else { throw ValidationError("a login challenge cannot be good for ever") }
        return lifetime
    }

    static let recordAddresses = Setting(
        "APUS_RECORD_ADDRESSES", flag: "--record-addresses", default: .text("off"),
        "Keeps clients' addresses with what they write, for `apus audit`.", SettingText.flag)

    static let debug = Setting(
        "APUS_DEBUG", flag: "--debug", default: .text("off"),
        "The test reset route, and logins for any host: for client test suites only.", SettingText.flag)
}

// MARK: - Limits

extension Settings {
    static let bodyLimit = Setting(
        "APUS_BODY_LIMIT", flag: "--body-limit", default: .text("75MB"), "The longest request body: 75MB, 64MiB, or a number of bytes.",
        Size.parse)

    static let chunkLimit = Setting(
        "APUS_CHUNK_LIMIT", flag: "--chunk-limit", default: .text("32MiB"), "The longest chunk, also with a unit.", Size.parse)

    static let batchLimit = Setting(
        "APUS_BATCH_LIMIT", flag: "--batch-limit", default: .text("10000"), "The most items in one batch or transaction.",
        SettingText.number)

    static let connections = Setting(
        "APUS_CONNECTIONS", flag: "--connections", default: .none("10000, or what the limit of open files allows"), example: "10000",
        "How many connections may be open.", SettingText.number)

    static let memory = Setting(
        "APUS_MEMORY", flag: "--memory", default: .text("256MiB"), "How much of bodies and answers may be in flight, such as 512MiB.",
        Size.parse)

    static let socketsPerUser = Setting(
        "APUS_SOCKETS_PER_USER", flag: "--sockets-per-user", default: .text("1000"), "How many WebSockets a user may have open.",
        SettingText.number)

    static let socketRate = Setting(
        "APUS_SOCKET_RATE", flag: "--socket-rate", default: .text("2000"), "How many WebSockets may be opened in a second.",
        SettingText.number)

    static let pingInterval = Setting(
        "APUS_PING_INTERVAL", flag: "--ping-interval", default: .text("30s"),
        "How often silent WebSockets are asked for a sign of life."
    ) { text, _ in
        guard let interval = try Lifetime.parse(text) else { throw ValidationError("an interval cannot be for ever") }
        return interval
    }
}

// MARK: - Running and ending

extension Settings {
    static let sealInterval = Setting(
        "APUS_SEAL_INTERVAL", flag: "--seal-interval", default: .text("60s"),
        "How often the log is sealed, which is also done at the end; 0 leaves it to `apus log seal`."
    ) { text, _ in try Lifetime.parse(text) }

    static let lameDuck = Setting(
        "APUS_LAME_DUCK", flag: "--lame-duck",
        default: .follows("5s with PostgreSQL, Redis or --trust-proxy, else 0") { try $0.mayHaveBalancer ? "5s" : "0" }, example: "5s",
        """
        How long the server goes on serving after SIGTERM while /ready already says that it is about to end, so that load balancers \
        turn to others; at most 300s.
        """
    ) { text, _ in
        let duration = try Lifetime.parse(text) ?? .zero
        guard duration <= .seconds(300) else { throw ValidationError("a server that is about to end serves for at most 300 seconds") }
        return duration
    }

    static let drain = Setting(
        "APUS_DRAIN", flag: "--drain", default: .text("5s"), "Over how long a time WebSockets are closed at the end; at most 20s."
    ) { text, _ in
        // No drain at all is a drain of no time.
        let duration = try Lifetime.parse(text) ?? .zero
        // It has to fit into the time that a shutdown may take.
        guard duration <= .seconds(20) else { throw ValidationError("a drain takes at most 20 seconds") }
        return duration
    }

    static let logFormat = Setting(
        "APUS_LOG_FORMAT", flag: "--log-format", default: .text(LogFormat.text.rawValue), "The form of the log: text or json.",
        SettingText.choice(of: LogFormat.self))

    static let logLevel = Setting(
        "APUS_LOG_LEVEL", flag: "--log-level", default: .text("info"),
        "The least important messages that are logged: debug, info, warning or error."
    ) { text, _ in
        guard let level = Logger.Level(rawValue: text) else { throw ValidationError("\(text) is no level of the log") }
        return level
    }

    static let logClients = Setting(
        "APUS_LOG_CLIENTS", flag: "--log-clients", default: .text("off"),
        "The log tells users' numbers and clients' addresses, and of failed logins.", SettingText.flag)
}
