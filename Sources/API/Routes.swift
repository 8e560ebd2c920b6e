internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import ReadModel
internal import Telemetry

/// How a route's body is handled before its handler is called.
enum BodyUse: Sendable {
    /// What is sent is read and forgotten.
    case none
    /// Parsed by its media type; what cannot be parsed is told before anything else.
    case parsed
    /// Parsed too, and all that it names becomes text in one question to the database.
    case asked
    /// Taken as it is, whatever its media type.
    case raw

    var isParsed: Bool { self == .parsed || self == .asked }
    /// No longer than this, where bodies may be longer.
    var limitBytes: Int { self == .asked ? 16 << 20 : .max }
    /// How often the bytes of a body are there at a time while it is worked on: as they came, and as what they say. What is asked
    /// is there in hexadecimal digits, in the parameter that holds them all, and in what goes to the database.
    var copies: Int { self == .asked ? 8 : 2 }
}

/// Who may ask.
enum Audience: Sendable {
    /// Anybody, under any of the server's names.
    case anybody
    /// Anybody, also under a name or address that is not served: whoever looks after the server.
    case probes
    /// Who shows a token; without one no long body is read.
    case users
    /// Whoever has the log's database, to see what comes through the public address: the path has the token.
    case doctors
}

/// A line in the table of routes.
final class Route: Sendable {
    typealias Handler = @Sendable (API, Call) async throws -> Response
    private enum Part {
        case text(String)
        case parameter(String)
    }

    typealias RawHandler = @Sendable (API, Call, ByteBuffer) async throws -> Response

    let method: HTTPRequest.Method
    /// The path, as `/` and parts; a part in braces stands for any text without a slash.
    let pattern: String
    let body: BodyUse
    let audience: Audience
    /// Whether only those may ask whom the directory has, where there is one: about all that is shared and kept, as with the original,
    /// and not about one's account.
    let isForListed: Bool
    let handle: RawHandler
    /// Whether it answers people: with pages, also where something is wrong.
    let isPage: Bool
    /// Whether it is also asked with HEAD: monitors do; clients of the API never, but of what a proxy sends it is part.
    let answersHead: Bool
    private let parts: [Part]
    /// How many parts the pattern has.
    var length: Int { parts.count }
    /// As what its requests are counted.
    let series: RequestSeries

    convenience init(
        _ method: HTTPRequest.Method, _ pattern: String, body: BodyUse = .none, for audience: Audience = .users,
        _ handle: @escaping Handler
    ) {
        self.init(method, pattern, body, audience) { api, call, _ in try await handle(api, call) }
    }

    convenience init(
        _ method: HTTPRequest.Method, _ pattern: String, for audience: Audience = .users, rawBody handle: @escaping RawHandler
    ) {
        self.init(method, pattern, .raw, audience, handle)
    }

    /// A route that answers people in their browsers.
    convenience init(page method: HTTPRequest.Method, _ pattern: String, _ handle: @escaping RawHandler) {
        self.init(method, pattern, method == .get ? .none : .raw, .anybody, isPage: true, handle)
    }

    private init(
        _ method: HTTPRequest.Method, _ pattern: String, _ body: BodyUse, _ audience: Audience, isPage: Bool = false,
        _ handle: @escaping RawHandler
    ) {
        self.method = method
        self.pattern = pattern
        self.body = body
        self.audience = audience
        self.handle = handle
        self.isPage = isPage
        isForListed = audience == .users && pattern.after("/api/v1/authentication/") == nil
        answersHead = method == .get && (!pattern.hasPrefix("/api/") || pattern.hasSuffix("/download/"))
        parts = pattern.parts(separatedBy: "/").map { part in
            part.hasPrefix("{") ? .parameter(String(part.dropFirst().dropLast())) : .text(part)
        }
        series = RequestSeries(route: pattern, method: method.rawValue)
    }

    /// The values of the parts in braces when the route's pattern is that of a path.
    func match(_ path: [String]) -> [String: String]? {  // names of ours
        guard path.count == parts.count else { return nil }
        var parameters: [String: String] = [:]  // names of ours
        for (part, text) in zip(parts, path) {
            switch part {
            case .text(let expected): guard text.hasBytes(of: expected) else { return nil }
            case .parameter(let name):
                guard !text.isEmpty else { return nil }
                parameters[name] = text
            }
        }
        return parameters
    }
}

/// The table of routes. Where two patterns match, the first counts.
struct Routes: Sendable {
    /// What the table says of a request.
    enum Match {
        case found(Route, parameters: [String: String])  // names of ours
        /// The path is known, but not with this method.
        case methodNotAllowed([HTTPRequest.Method])
        case notFound
    }

    let all: [Route]
    /// The same, by how many parts a path has.
    private let ofLength: [[Route]]

    /// - Parameters:
    ///   - isFrontEnd: whether the API's own routes are there.
    ///   - isGateway: whether sockets can be opened.
    ///   - showsMetrics: whether the metrics are there for whoever has their token.
    ///   - showsAdmin: whether the admins' pages are there.
    init(isFrontEnd: Bool, isGateway: Bool, isDebug: Bool, showsMetrics: Bool, showsAdmin: Bool = true) {
        let frontEnd =
            Self.authentication + Self.collections + Self.members + Self.invitations + Self.probes + (isDebug ? Self.debug : [])
        self.init(
            Self.operations + (showsMetrics ? [Self.guardedMetrics] : [])
                + (isFrontEnd ? Self.pages + Self.account + (showsAdmin ? Self.admin : []) + frontEnd : [])
                + (isGateway ? Self.sockets : []))
    }

    private init(_ all: [Route]) {
        self.all = all
        let longest = all.map(\.length).max() ?? 0
        ofLength = (0...longest).map { length in all.filter { $0.length == length } }
    }

    /// What whoever looks after the server finds at an address that only they reach.
    static let forOperators = Routes(operations + [metrics] + admin)

    /// - Parameter path: decoded; a slash that was escaped separates like any other, as with the original.
    func match(_ method: HTTPRequest.Method, path: String) -> Match {
        let parts = path.parts(separatedBy: "/")
        var methods: [HTTPRequest.Method] = []
        guard ofLength.indices.contains(parts.count) else { return .notFound }
        for route in ofLength[parts.count] {
            guard let parameters = route.match(parts) else { continue }
            if route.method == method || (method == .head && route.answersHead) { return .found(route, parameters: parameters) }
            if !methods.contains(route.method) { methods.append(route.method) }
        }
        return methods.isEmpty ? .notFound : .methodNotAllowed(methods)
    }

    private static let operations = [
        Route(.get, "/health", for: .probes) { api, call in Answer.text(.ok, "ok\n") },
        Route(.get, "/live", for: .probes) { api, call in Answer.text(.ok, "ok\n") },
        Route(.get, "/ready", for: .probes) { api, call in await api.ready() },
    ]

    private static let metrics = Route(.get, "/metrics", for: .probes) { api, call in await api.metrics() }
    private static let guardedMetrics = Route(.get, "/metrics", for: .probes) { api, call in
        try api.requireMetricsToken(call)
        return await api.metrics()
    }

    private static let pages = [
        Route(page: .get, "/") { api, call, _ in api.frontPage(call) },
        Route(page: .get, "/join/{secret}") { api, call, _ in try await api.signupForm(call) },
        Route(page: .post, "/join/{secret}") { api, call, body in try await api.signUpByLink(call, body) },
        Route(.get, "/openapi.json", for: .anybody) { api, call in OpenAPI.document(of: api.routes) },
    ]

    private static let account = [
        Route(page: .get, "/account/open/{secret}") { api, call, _ in try await api.accountDoor(call) },
        Route(page: .post, "/account/open/{secret}") { api, call, _ in try await api.enterAccount(call) },
        Route(page: .get, "/account/") { api, call, _ in try await api.accountPage(call) },
        Route(page: .post, "/account/device/") { api, call, body in try await api.signOutDevice(call, body) },
        Route(page: .post, "/account/export/") { api, call, body in try await api.exportAccount(call, body) },
        Route(page: .get, "/account/collections/") { api, call, _ in try await api.accountCollections(call) },
        Route(page: .get, "/account/collection/{collection_uid}/") { api, call, _ in try await api.accountCollection(call) },
        Route(page: .post, "/account/collection/{collection_uid}/restore/") { api, call, body in
            try await api.restoreInCollection(call, body)
        },
        Route(page: .get, "/account/activity/") { api, call, _ in try await api.accountActivity(call) },
        Route(page: .get, "/account/delete/") { api, call, _ in try await api.accountDeletion(call) },
        Route(page: .post, "/account/delete/") { api, call, body in try await api.deleteAccount(call, body) },
        Route(page: .post, "/account/sign-out/") { api, call, body in try await api.leaveAccount(call, body) },
    ]

    private static let admin = [
        Route(page: .get, "/admin/open/{secret}") { api, call, _ in try await api.adminDoor(call) },
        Route(page: .post, "/admin/open/{secret}") { api, call, _ in try await api.enterAdmin(call) },
        Route(page: .post, "/admin/login/") { api, call, body in try await api.logInAsStaff(call, body) },
        Route(page: .post, "/admin/sign-out/") { api, call, body in try await api.leaveAdmin(call, body) },
        Route(page: .get, "/admin/") { api, call, _ in try await api.adminOverview(call) },
        Route(page: .get, "/admin/settings/") { api, call, _ in try await api.adminSettings(call) },
        Route(page: .get, "/admin/diagnostics/") { api, call, _ in try await api.adminDiagnostics(call) },
        Route(page: .post, "/admin/diagnostics/") { api, call, body in try await api.diagnose(call, body) },
        Route(page: .get, "/admin/users/") { api, call, _ in try await api.adminUsers(call) },
        Route(page: .post, "/admin/users/create/") { api, call, body in try await api.createUser(call, body) },
        Route(page: .post, "/admin/users/invite/") { api, call, body in try await api.inviteUser(call, body) },
        Route(page: .post, "/admin/users/withdraw/") { api, call, body in try await api.withdrawSignupLink(call, body) },
        Route(page: .get, "/admin/user/{id}/") { api, call, _ in try await api.adminUser(call) },
        Route(page: .get, "/admin/user/{id}/{action}/") { api, call, _ in try await api.confirmAction(call) },
        Route(page: .post, "/admin/user/{id}/{action}/") { api, call, body in try await api.carryOut(call, body) },
        Route(page: .get, "/admin/collections/") { api, call, _ in try await api.adminCollections(call) },
        Route(page: .get, "/admin/collection/{collection_uid}/") { api, call, _ in try await api.adminCollection(call) },
        Route(page: .post, "/admin/collection/{collection_uid}/restore/") { api, call, body in
            try await api.restoreAsOperator(call, body)
        },
        Route(page: .get, "/admin/log/") { api, call, _ in try await api.adminLog(call) },
        Route(page: .post, "/admin/log/{work}/") { api, call, body in try await api.orderOnLog(call, body) },
        Route(page: .get, "/admin/backups/") { api, call, _ in try await api.adminBackups(call) },
        Route(page: .post, "/admin/backups/{work}/") { api, call, body in try await api.workOnBackups(call, body) },
        Route(page: .get, "/admin/job/{id}/") { api, call, _ in try await api.adminJob(call) },
        Route(page: .post, "/admin/job/{id}/stop/") { api, call, body in try await api.stopJob(call, body) },
        Route(page: .get, "/admin/activity/") { api, call, _ in try await api.adminActivity(call) },
        Route(page: .get, "/admin/activity.csv") { api, call, _ in try await api.adminActivityFile(call, .csv) },
        Route(page: .get, "/admin/activity.jsonl") { api, call, _ in try await api.adminActivityFile(call, .jsonLines) },
    ]

    private static let sockets = [
        Route(.get, "/api/v1/ws/{ticket}/", for: .anybody) { api, call in try await api.openSocket(call) }
    ]

    private static let authentication = [
        Route(.get, "/api/v1/authentication/is_etebase/", for: .anybody) { api, call in Answer.nothing(.ok, to: call) },
        Route(.post, "/api/v1/authentication/signup/", body: .parsed, for: .anybody) { api, call in try await api.signUp(call) },
        Route(.post, "/api/v1/authentication/login_challenge/", body: .parsed, for: .anybody) { api, call in
            try await api.loginChallenge(call)
        },
        Route(.post, "/api/v1/authentication/login/", body: .parsed, for: .anybody) { api, call in try await api.logIn(call) },
        Route(.post, "/api/v1/authentication/logout/") { api, call in try await api.logOut(call) },
        Route(.post, "/api/v1/authentication/change_password/", body: .parsed) { api, call in try await api.changePassword(call) },
        Route(.post, "/api/v1/authentication/dashboard_url/") { api, call in try await api.dashboardURL(call) },
    ]

    private static let collections = [
        Route(.get, "/api/v1/collection/") { api, call in try await api.listCollections(call) },
        Route(.post, "/api/v1/collection/", body: .parsed) { api, call in try await api.createCollection(call) },
        Route(.post, "/api/v1/collection/list_multi/", body: .asked) { api, call in try await api.listCollectionsOfTypes(call) },
        Route(.get, "/api/v1/collection/{collection_uid}/") { api, call in try await api.getCollection(call) },
        Route(.get, "/api/v1/collection/{collection_uid}/audit/") { api, call in try await api.audit(call) },
        Route(.get, "/api/v1/collection/{collection_uid}/item/") { api, call in try await api.listItems(call) },
        Route(.get, "/api/v1/collection/{collection_uid}/item/{item_uid}/") { api, call in try await api.getItem(call) },
        Route(.get, "/api/v1/collection/{collection_uid}/item/{item_uid}/revision/") { api, call in
            try await api.listRevisions(call)
        },
        Route(.post, "/api/v1/collection/{collection_uid}/item/fetch_updates/", body: .parsed) { api, call in
            try await api.fetchUpdates(call)
        },
        Route(.post, "/api/v1/collection/{collection_uid}/item/batch/", body: .parsed) { api, call in
            try await api.commitItems(call, checksEtags: false)
        },
        Route(.post, "/api/v1/collection/{collection_uid}/item/transaction/", body: .parsed) { api, call in
            try await api.commitItems(call, checksEtags: true)
        },
        Route(.post, "/api/v1/collection/{collection_uid}/item/subscription-ticket/") { api, call in
            try await api.issueTicket(call)
        },
        Route(
            .put, "/api/v1/collection/{collection_uid}/item/{item_uid}/chunk/{chunk_uid}/",
            rawBody: { api, call, body in
                try await api.uploadChunk(call, body)
            }),
        Route(.get, "/api/v1/collection/{collection_uid}/item/{item_uid}/chunk/{chunk_uid}/download/") { api, call in
            try await api.downloadChunk(call)
        },
    ]

    private static let members = [
        Route(.get, "/api/v1/collection/{collection_uid}/member/") { api, call in try await api.listMembers(call) },
        Route(.post, "/api/v1/collection/{collection_uid}/member/leave/") { api, call in try await api.leave(call) },
        Route(.delete, "/api/v1/collection/{collection_uid}/member/{username}/") { api, call in try await api.removeMember(call) },
        Route(.patch, "/api/v1/collection/{collection_uid}/member/{username}/", body: .parsed) { api, call in
            try await api.changeMember(call)
        },
    ]

    private static let invitations = [
        Route(.get, "/api/v1/invitation/incoming/") { api, call in try await api.listInvitations(call, .incoming) },
        Route(.get, "/api/v1/invitation/incoming/{invitation_uid}/") { api, call in try await api.getInvitation(call) },
        Route(.delete, "/api/v1/invitation/incoming/{invitation_uid}/") { api, call in
            try await api.withdrawInvitation(call, .incoming)
        },
        Route(.post, "/api/v1/invitation/incoming/{invitation_uid}/accept/", body: .parsed) { api, call in
            try await api.acceptInvitation(call)
        },
        Route(.get, "/api/v1/invitation/outgoing/") { api, call in try await api.listInvitations(call, .outgoing) },
        Route(.post, "/api/v1/invitation/outgoing/", body: .parsed) { api, call in try await api.sendInvitation(call) },
        Route(.get, "/api/v1/invitation/outgoing/fetch_user_profile/") { api, call in try await api.fetchUserProfile(call) },
        Route(.delete, "/api/v1/invitation/outgoing/{invitation_uid}/") { api, call in
            try await api.withdrawInvitation(call, .outgoing)
        },
    ]

    private static let probes =
        [.get, .put, .patch, .delete].map { (method: HTTPRequest.Method) in
            Route(method, "/api/v1/doctor/{probe}/{what}/", for: .doctors) { api, call in try await api.answerProbe(call) }
        } + [
            Route(
                .post, "/api/v1/doctor/{probe}/{what}/", for: .doctors,
                rawBody: { api, call, body in try await api.answerProbe(call, body) })
        ]

    private static let debug = [
        Route(.post, "/api/v1/test/authentication/reset/", body: .parsed, for: .anybody) { api, call in try await api.resetTestUser(call) }
    ]
}
