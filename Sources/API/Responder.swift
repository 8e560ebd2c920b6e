public import Hummingbird
internal import Database
internal import Domain
internal import EventLog
internal import Gateway
internal import HTTPTypes
internal import Logging
internal import NIOCore

/// What a request brings with it besides itself: the connection, so that it can become a WebSocket.
public struct ConnectionContext: RequestContext {
    public var coreContext: CoreRequestContextStorage
    let channel: any Channel

    public init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// Answers HTTP requests: hosts, CORS, the table of routes, bodies as far as they are let in, one exit for errors, one line in the
/// log for each request.
public struct Responder: HTTPResponder {
    public typealias Context = ConnectionContext

    private let api: API
    private let routes: Routes
    private let hosts: AllowedHosts?

    public init(api: API) {
        self.api = api
        routes = api.routes
        hosts = api.settings.allowedHosts
    }

    /// The answer to a request. Never throws: every error is an answer.
    public func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        let start = ContinuousClock.now
        let connection = api.admission.connections.connection(of: context.channel)
        // Whoever sends many requests at once does not keep a thread for all of them.
        if connection?.isAhead == true { await Task.yield() }
        let target = Target(request.head.path ?? "")
        let match = routes.match(request.method, path: target.path)
        var response =
            if let connection {
                await connection.attend { await answer(request, target, match, connection, context) }
            } else {
                // It was closed before its request was looked at.
                Answer.error(.unavailable)
            }
        if request.method == .head { response.body = .init() }
        if request.headers[.connection] == "close" { response.headers[.connection] = "close" }
        log(request, match, response, start.duration(to: .now), context)
        return response
    }

    private func answer(
        _ request: Request, _ target: Target, _ match: Routes.Match, _ connection: Connection, _ context: ConnectionContext
    ) async -> Response {
        if let refusal = refusal(of: request, match) { return refusal }
        if let preflight = CORS.preflight(request) { return preflight }
        var response: Response
        do { response = try await handle(request, target, match, connection, context.channel) } catch {
            response = render(error, context.logger)
        }
        CORS.decorate(&response, for: request)
        return response
    }

    /// What is answered to a request for a host that is not served; nil where it is served.
    private func refusal(of request: Request, _ match: Routes.Match) -> Response? {
        let authority = request.head.authority ?? ""
        let host = HostName(authority)
        guard host != nil || authority.isEmpty else { return Answer.error(.wrongHostHeader) }
        if case .found(let route, _) = match, route.audience == .probes, !Self.isOfClient(host) { return nil }
        switch hosts?.check(host, request) ?? .served {
        case .served: return nil
        case .refused: return Answer.error(.wrongHostHeader)
        case .redirected(let response): return response
        }
    }

    /// Whether a host is none that probes ask for: they name the port that they go to with an IPv6 address.
    private static func isOfClient(_ host: HostName?) -> Bool {
        host.map { $0.isAddress6 && ($0.port ?? 80 == 80 || $0.port == 443) } ?? false
    }

    private func handle(
        _ request: Request, _ target: Target, _ match: Routes.Match, _ connection: Connection, _ channel: any Channel
    ) async throws -> Response {
        switch match {
        case .notFound: throw target.path.hasPrefix("/static/") ? APIError.staticNotFound : APIError.notFound
        case .methodNotAllowed(let methods): throw APIError.methodNotAllowed(allowed: methods)
        case .found(let route, let parameters):
            var call = Call(
                method: request.method, headers: request.headers, authority: request.head.authority ?? "", parameters: parameters,
                query: Query(target.query), body: .absent, now: api.clock(), channel: channel, connection: connection)
            var reader = BodyReader(
                request, to: route, bodyLimitBytes: api.settings.bodyLimitBytes, api.admission, connection)
            let (bytes, share) = try await reader.read { [call] in try await api.authenticate(call) }
            // Held until the request is answered.
            defer { share.giveBack() }
            guard bytes.readableBytes > HeavyWork.bodyBytes else {
                if route.body == .parsed { call.body = try Body(bytes, contentType: request.headers[.contentType]) }
                return try await route.handle(api, call, bytes)
            }
            return try await withTaskExecutorPreference(HeavyWork.shared) { [call] in
                var call = call
                if route.body == .parsed { call.body = try Body(bytes, contentType: request.headers[.contentType]) }
                return try await route.handle(api, call, bytes)
            }
        }
    }

    /// The one place where an error becomes an answer. Nothing of the server's inside goes to the client.
    private func render(_ error: any Error, _ logger: Logger) -> Response {
        switch error {
        // Nobody waits for it any more.
        case _ where Task.isCancelled: break
        case let refusal as Refusal: return Answer.refusal(refusal)
        case let error as APIError: return Answer.error(error)
        case let failure as ValidationFailure: return Answer.invalid(failure.faults)
        case let refusal as OpeningRefusal: return Answer.error(APIError(refusal))
        case let fault as TicketsUnavailable: logger.warning("tickets cannot be kept", metadata: ["fault": "\(fault)"])
        case let fault as DatabaseFault:
            logger.error("the database could not answer", metadata: ["fault": "\(fault)"])
        case let fault as LogFault:
            logger.error("the log could not answer", metadata: ["fault": "\(fault)"])
        case is CancellationError: break
        default:
            logger.error("a request failed", metadata: ["error": "\(type(of: error))"])
        }
        return Answer.error(.unavailable)
    }

    private static let probes: Set<String> = ["/live", "/ready", "/health", "/metrics"]

    private func log(
        _ request: Request, _ match: Routes.Match, _ response: Response, _ duration: Duration, _ context: ConnectionContext
    ) {
        let route = if case .found(let route, _) = match { route.pattern } else { "-" }
        let milliseconds = Double(duration.components.attoseconds / 1_000_000_000_000) / 1000 + Double(duration.components.seconds * 1000)
        // Those who look whether the server is well do so all the time.
        let isProbe = Self.probes.contains(route) && response.status.kind == .successful
        context.logger.log(
            level: isProbe ? .debug : .info, "request",
            metadata: [
                "method": "\(request.method.rawValue)", "route": "\(route)", "status": .stringConvertible(response.status.code),
                "ms": .stringConvertible(milliseconds), "request_id": "\(context.id)",
            ])
    }
}
