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

/// Answers HTTP requests: hosts, CORS, the table of routes, one exit for errors, one line in the log for each request.
public struct Responder: HTTPResponder {
    public typealias Context = ConnectionContext

    private let api: API
    private let routes: Routes
    private let hosts: AllowedHosts

    public init(api: API) {
        self.api = api
        routes = api.routes
        hosts = AllowedHosts(api.settings.allowedHosts)
    }

    /// The answer to a request. Never throws: every error is an answer.
    public func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        let start = ContinuousClock.now
        let path = PercentCoding.decode(Substring(request.uri.path))
        let match = routes.match(request.method, path: path)
        var response = await answer(request, path: path, match, context)
        if request.method == .head { response.body = .init() }
        if request.headers[.connection] == "close" { response.headers[.connection] = "close" }
        log(request, match, response, start.duration(to: .now), context)
        return response
    }

    private func answer(_ request: Request, path: String, _ match: Routes.Match, _ context: ConnectionContext) async -> Response {
        let authority = request.head.authority ?? ""
        switch hosts.check(authority, request) {
        case .served: break
        case .refused: return Answer.error(.wrongHostHeader)
        case .redirected(let response): return response
        }
        if let preflight = CORS.preflight(request) { return preflight }
        var response: Response
        do { response = try await handle(request, path: path, authority: authority, match, context.channel) } catch {
            response = render(error, context.logger)
        }
        CORS.decorate(&response, for: request)
        return response
    }

    private func handle(
        _ request: Request, path: String, authority: String, _ match: Routes.Match, _ channel: any Channel
    ) async throws -> Response {
        switch match {
        case .notFound: throw path.hasPrefix("/static/") ? APIError.staticNotFound : APIError.notFound
        case .methodNotAllowed(let methods): throw APIError.methodNotAllowed(allowed: methods)
        case .found(let route, let parameters):
            let bytes = try await collect(request)
            let body = route.body == .parsed ? try Body(bytes, contentType: request.headers[.contentType]) : .absent
            let call = Call(
                method: request.method, headers: request.headers, authority: authority, parameters: parameters,
                query: Query(request.uri.query.map { Substring($0) }), body: body, now: api.clock(),
                channel: channel)
            return try await route.handle(api, call, bytes)
        }
    }

    private func collect(_ request: Request) async throws -> ByteBuffer {
        let limit = api.settings.bodyLimitBytes
        if let length = request.headers[.contentLength].flatMap(Int.init), length > limit {
            throw APIError.tooLarge("A request", limitBytes: limit)
        }
        do { return try await request.body.collect(upTo: limit) } catch is NIOTooManyBytesError {
            throw APIError.tooLarge("A request", limitBytes: limit)
        } catch is CancellationError { throw CancellationError() } catch {
            // What is not HTTP any more; nothing can follow on this connection.
            var broken = APIError.unparsableBody
            broken.headers[.connection] = "close"
            throw broken
        }
    }

    /// The one place where an error becomes an answer. Nothing of the server's inside goes to the client.
    private func render(_ error: any Error, _ logger: Logger) -> Response {
        switch error {
        case let refusal as Refusal: return Answer.refusal(refusal)
        case let error as APIError: return Answer.error(error)
        case let failure as ValidationFailure: return Answer.invalid(failure.faults)
        case let refusal as OpeningRefusal: return Answer.error(APIError(refusal))
        case let fault as TicketsUnavailable: logger.warning("tickets cannot be kept", metadata: ["fault": "\(fault)"])
        case is NIOTooManyBytesError: return Answer.error(.tooLarge("A request", limitBytes: api.settings.bodyLimitBytes))
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
