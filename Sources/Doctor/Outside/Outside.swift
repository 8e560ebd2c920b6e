internal import Database
internal import Domain
internal import MessagePack
internal import NIOCore
internal import ReadModel
package import Server
internal import Sodium

/// The checks that go through the public address, as a client does. Numbers stay what they are.
package struct Outside: Sendable {
    /// What the server's settings say of what stands before it.
    package struct Expectation: Sendable {
        /// Whether the addresses that a proxy tells are believed.
        package var trustsProxy = false
        /// What clients call the server, where that is set.
        package var publicURL: String?
        package var bodyBytes = 75_000_000

        package init(trustsProxy: Bool, publicURL: String?, bodyBytes: Int) {
            (self.trustsProxy, self.publicURL, self.bodyBytes) = (trustsProxy, publicURL, bodyBytes)
        }
    }

    /// What a client has that nobody is: its address (of those for documentation), its token, its page.
    static let (claimedAddress, token, origin) = ("192.0.2.1", "Token apus-doctor", "https://app.example.com")
    static let known = "/api/v1/authentication/is_etebase/"

    let site: Site
    let visitor: Visitor
    let expectation: Expectation
    /// By which servers know the doctor's requests; nil where there is no database to tell them through.
    let probe: String?
    /// How long an answer may take on its way: longer than the minute that most proxies wait.
    let patience: Duration
    /// What came of the first request, one that every server of the protocol answers.
    let first: Result<Visitor.Answer, any Error>
    /// What the server says has arrived of a request of the doctor's; nil where it does not know it.
    let arrival: Arrival?

    /// Makes the first requests.
    ///
    /// - Parameters:
    ///   - probe: as ``Probes`` has made it.
    ///   - patience: how long an answer may take on its way.
    package init(_ site: Site, expecting expectation: Expectation, probe: String?, patience: Duration) async {
        (self.site, self.expectation, self.probe, self.patience) = (site, expectation, probe, patience)
        visitor = Visitor(site: site)
        do { first = .success(try await visitor.ask("GET", Self.known)) } catch { first = .failure(error) }
        guard let probe, case .success = first else {
            arrival = nil
            return
        }
        do {
            let fields = [("Authorization", Self.token), ("X-Forwarded-For", Self.claimedAddress)]
            arrival = try await Arrival(visitor.ask("GET", Self.path(probe, "request"), fields))
        } catch { arrival = nil }
    }

    static func path(_ probe: String, _ what: String) -> String { "/api/v1/doctor/\(probe)/\(what)/" }

    package var checks: [Check] {
        [
            Check(31, "Name") { name() },
            Check(32, "TLS: authorities") { await authorities() },
            Check(33, "TLS: name") { await certificate { TLSChecks(site: site, certificate: $0).name() } },
            Check(34, "TLS: time") { await certificate { TLSChecks(site: site, certificate: $0).time() } },
            Check(35, "No redirects") { await redirects() },
            Check(36, "Path") { path() },
            Check(37, "This server") { thisServer() },
            Check(38, "Host") { host() },
            Check(39, "Authorization") { authorization() },
            Check(40, "Methods") { await methods() },
            Check(41, "Clients' addresses") { addresses() },
            Check(42, "Large bodies", limit: .seconds(180)) { await bodies() },
            Check(43, "Long answers", limit: .seconds(90)) { await answers() },
            Check(44, "WebSockets") { await sockets() },
            Check(45, "Time", limit: patience + .seconds(30), onlyWaits: true) { await time() },
            Check(46, "Pages elsewhere (CORS)") { await pages() },
        ]
    }

    /// Runs `body` where there has been an answer.
    func answered(_ body: (Visitor.Answer) -> Finding) -> Finding {
        guard case .success(let answer) = first else { return .notApplicable("there is no answer (checks 31 to 36)") }
        return body(answer)
    }

    /// Runs `body` where this server has answered.
    func arrived(_ body: (Arrival) -> Finding) -> Finding {
        guard let arrival else { return .notApplicable(Self.unknown) }
        return body(arrival)
    }

    func arrived(_ body: (String) async -> Finding) async -> Finding {
        guard arrival != nil, let probe else { return .notApplicable(Self.unknown) }
        return await body(probe)
    }

    private static let unknown = "what is behind the address does not know the doctor (check 37)"
}

/// What a server says has arrived of a request.
struct Arrival: Sendable {
    let host: String
    let authorization: String?
    /// The address that the connection came from.
    let address: String?
    let forwardedFor: [String]

    /// Nil for an answer of something else.
    init?(_ answer: Visitor.Answer) throws(MessagePackError) {
        guard answer.status == 200, case .map(let map) = try MessagePackValue(validating: answer.body).kind else { return nil }
        func text(_ key: String) -> String? { if case .string(let text)? = map[key]?.kind { text } else { nil } }
        guard let host = text("host"), case .array(let values)? = map["forwarded_for"]?.kind else { return nil }
        (self.host, authorization, address) = (host, text("authorization"), text("address"))
        forwardedFor = values.compactMap { if case .string(let text) = $0.kind { text } else { nil } }
    }
}

/// The doctor's row in the log's database, for as long as it looks.
package struct ProbeRow: Sendable {
    package let token: String
    private let database: any Database

    /// - Throws: `DatabaseFault`
    package init(in place: DatabasePlace, version: String) async throws {
        switch place {
        case .postgres(let url): database = PostgresDatabase(url: url, connections: 1)
        // Another's file is left in the mode that it has, and none is made.
        case .sqlite(let path): database = try SQLiteDatabase(path: path, as: .foreign)
        }
        token = try await Probes.begin(database, version: version, at: Node.clock())
    }

    /// - Throws: `DatabaseFault`
    package func remove() async throws {
        try await Probes.end(database, token)
        try (database as? SQLiteDatabase)?.close()
    }
}
