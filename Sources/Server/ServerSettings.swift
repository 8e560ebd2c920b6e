package import API
package import Directory
package import Gateway
package import Pages

/// What a process does.
package enum Role: String, CaseIterable, Sendable {
    case api
    case projector
    case gateway
}

/// What an operator can set about a server, apart from where its data lies (``DataSettings``).
package struct ServerSettings: Sendable {
    /// The program's version, to be told.
    package var version = "test"
    package var roles = Set(Role.allCases)
    package var api = APISettings()
    package var gateway = GatewaySettings()
    /// Who may be here; nil where everybody may who has an account.
    package var directory: DirectorySettings?
    /// Where clients are listened to.
    package var address = ListenAddress.port(host: "127.0.0.1", 3735)
    /// Whether ``address`` was chosen, not taken for want of another.
    package var isAddressGiven = false
    /// Where those who look after the server are listened to; nil for nowhere.
    package var opsAddress: ListenAddress?
    /// How long a session lives after its last use; nil for ever.
    package var tokenLifetime: Duration?
    /// How often the log is sealed; nil where the operator does it.
    package var sealInterval: Duration?
    /// How long the server goes on serving once it is to end.
    package var lameDuck = Duration.zero
    /// How many connections may be open; nil for what is usual and fits below the limit of open files.
    package var connections: Int?
    /// Whether all connections come from a proxy.
    package var isProxied = false
    /// How many bytes of bodies and answers may be in flight.
    package var memoryBytes = 256 << 20

    /// The settings as the admins' page shows them.
    package var shown: [AdminPages.Setting] = []
    /// What the doctor finds, asked from there.
    package var diagnose: @Sendable () async -> [AdminPages.Finding] = { [] }

    package init() {}

    /// - Parameter areShared: whether tickets are kept where other processes find them: in Redis, beside a PostgreSQL.
    /// - Throws: ``SettingFault`` for a gateway that nobody gives tickets.
    package func requireTickets(areShared: Bool) throws(SettingFault) {
        guard roles.contains(.gateway), !roles.contains(.api), !areShared else { return }
        throw SettingFault("a gateway of its own needs Redis for the tickets of front ends: APUS_REDIS_URL, and PostgreSQL")
    }

    /// Whether users ask anything of this process.
    var answersUsers: Bool { !roles.isDisjoint(with: [.api, .gateway]) }

    /// Whether clients are listened to. A process that only projects has the port for those who ask how it is, where it is given
    /// one: the default is the front end's beside it.
    var hasPort: Bool { roles != [.projector] || isAddressGiven }
}
