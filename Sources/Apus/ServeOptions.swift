internal import ArgumentParser

/// The options of `apus serve`.
struct ServeOptions: ParsableArguments {
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
