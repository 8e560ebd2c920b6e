/// The protocol on the wire: routes, request and response shapes, authentication, errors.
///
/// Pattern: ``Responder`` takes a request through the hosts that are served, CORS, the table of routes (``Routes``) and one
/// exit for errors. A handler reads its body, opens one snapshot in which it authenticates and asks its questions, and
/// where it writes makes a command, which goes through the one ``Door``.
///
/// The order in which faults are told is the original's: a body that cannot be parsed, the token, the collection and the
/// role, then everything that is wrong with query and body together (QUIRKS.md 28). Of a long body nothing is read before the
/// token was found good (``BodyReader``).
///
/// Where to add an endpoint: a handler in the file of its subject, and a line in ``Routes``.
package import Directory
package import Domain
internal import EventLog
package import Gateway
package import ReadModel
package import Sodium
package import Telemetry

/// Who may make an account.
package enum SignupPolicy: String, CaseIterable, Sendable {
    case closed
    /// Who has a link of `apus user invite`.
    case invite
    case open
}

/// What an operator can set about the API.
package struct APISettings: Sendable {
    package var signup = SignupPolicy.closed
    /// The test reset route, and logins signed for any host: for client test suites only.
    package var isDebug = false
    /// Whether a change of password ends the user's other sessions.
    package var endsSessions = true
    /// The hosts that are served; nil for any.
    package var allowedHosts: AllowedHosts?
    /// What clients call the server; logins may be signed for it as well as for the request's Host.
    package var publicAddress: PublicAddress?
    /// The address of a user's dashboard, `{username}` standing for the name.
    package var dashboardURL: String?
    /// Whether users have a page for their accounts, where there is no other dashboard.
    package var hasAccountPage = true
    /// Whether the admins' pages are where clients are; otherwise only where those are who look after the server.
    package var showsAdmin = true
    /// How long a login challenge is good, in seconds.
    package var challengeSeconds: Int64 = 60
    /// The longest request body.
    package var bodyLimitBytes = 75_000_000
    /// The longest content of a chunk.
    package var chunkLimitBytes = 32 << 20
    /// Whether all requests come through a proxy, which tells clients' addresses and numbers the requests.
    package var isProxied = false
    /// Whether the log tells users' numbers and clients' addresses.
    package var logsClients = false
    /// How often strangers may try something.
    package var limits = LimitSettings()
    /// Which addresses of clients are kept with what they write.
    package var addresses = RecordedAddresses.none
    /// The most items in a batch or transaction.
    package var batchLimit = 10_000
    /// Whether the API's own routes are there: not in a process that is a gateway only.
    package var isFrontEnd = true
    /// How the proxy is told to send the files of chunks; nil where it is not.
    package var sendfile: Sendfile?
    /// How the proxy gets objects from the S3 store; nil where it does not.
    package var sendsObjects: Sendfile?
    /// What the metrics are shown for where clients are; nil for not at all.
    package var metricsToken: Hidden<String>?

    package init() {}
}

/// Everything that handlers work with.
package struct API: Sendable {
    let readModel: ReadModel
    let door: Door
    let sessions: Sessions
    let signupLinks: SignupLinks
    let pageKeys: PageKeys
    let adminActs: AdminActs
    let quotas: Quotas
    let jobs: Jobs
    let steering: Steering
    let renewals: TokenRenewals
    let realTime: RealTime
    let readiness: Readiness
    let settings: APISettings
    let admission: Admission
    let challenges: Challenges
    let limits: Limits
    /// Nil where everybody who has an account may be here.
    let directory: Directory?
    let clock: @Sendable () -> Timestamp
    let readings: @Sendable () async -> [Reading]

    /// - Parameters:
    ///   - steering: what pages can have done.
    ///   - realTime: what tickets and sockets need.
    ///   - readiness: what `/ready` tells; its service is run by whoever made it.
    ///   - admission: which connections and how many bytes are let in.
    ///   - secret: the server's secret, from which the key of the login challenges is derived.
    ///   - limits: what strangers may try; the same for all that answers in a process.
    ///   - directory: who may be here; nil where everybody may who has an account.
    ///   - clock: the present moment.
    ///   - readings: what stands beside the metrics that are kept, asked for when somebody looks.
    package init(
        readModel: ReadModel, door: Door, sessions: Sessions, signupLinks: SignupLinks, pageKeys: PageKeys, adminActs: AdminActs,
        quotas: Quotas, jobs: Jobs, steering: Steering, renewals: TokenRenewals, realTime: RealTime, readiness: Readiness,
        settings: APISettings, admission: Admission, secret: [UInt8], limits: Limits, directory: Directory?,
        clock: @escaping @Sendable () -> Timestamp, readings: @escaping @Sendable () async -> [Reading]
    ) {
        self.readModel = readModel
        self.door = door
        self.sessions = sessions
        self.signupLinks = signupLinks
        self.pageKeys = pageKeys
        self.adminActs = adminActs
        self.quotas = quotas
        self.jobs = jobs
        self.steering = steering
        self.renewals = renewals
        self.realTime = realTime
        self.readiness = readiness
        self.settings = settings
        self.admission = admission
        self.limits = limits
        self.directory = directory
        self.clock = clock
        self.readings = readings
        challenges = Challenges(secret: secret, validSeconds: settings.challengeSeconds)
    }
}
