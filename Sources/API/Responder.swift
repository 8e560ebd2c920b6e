package import Hummingbird
internal import Database
internal import Directory
internal import Domain
internal import EventLog
internal import Gateway
internal import HTTPTypes
internal import Logging
internal import NIOCore
internal import Telemetry

/// What a request brings with it besides itself: the connection, so that it can become a WebSocket.
package struct ConnectionContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    let channel: any Channel

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// Answers HTTP requests: hosts, CORS, the table of routes, bodies as far as they are let in, one exit for errors, one line in the
/// log for each request.
package struct Responder: HTTPResponder {
    package typealias Context = ConnectionContext

    private let api: API
    private let routes: Routes
    private let hosts: AllowedHosts?

    /// Who asks.
    package enum Audience: Sendable {
        case clients
        /// Those who look after the server, by whatever name they call it.
        case operators
    }

    package init(api: API, for audience: Audience = .clients) {
        self.api = api
        routes = audience == .clients ? api.routes : .forOperators
        hosts = audience == .clients ? api.settings.allowedHosts : nil
    }

    /// The answer to a request. Never throws: every error is an answer.
    package func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        let start = ContinuousClock.now
        Telemetry.http.inFlight.increment()
        defer { Telemetry.http.inFlight.decrement() }
        let connection = api.admission.connections.connection(of: context.channel)
        // Whoever sends many requests at once does not keep a thread for all of them.
        if connection?.isAhead == true { await Task.yield() }
        let log = RequestLog(request.headers, on: context.channel, api.settings, context.logger)
        let target = Target(request.head.path ?? "")
        let match = routes.match(request.method, path: target.path)
        var response =
            if let connection {
                await connection.attend { await answer(request, target, match, connection, context.channel, log) }
            } else {
                // It was closed before its request was looked at.
                Answer.error(.unavailable)
            }
        if request.method == .head { response.body = .init() }
        if request.headers[.connection] == "close" { response.headers[.connection] = "close" }
        response.headers[RequestLog.header] = log.id
        let duration = start.duration(to: .now)
        count(request.method, match, response.status, duration)
        write(request, match, response, duration, log)
        return response
    }

    private func answer(
        _ request: Request, _ target: Target, _ match: Routes.Match, _ connection: ClientConnection, _ channel: any Channel,
        _ log: RequestLog
    ) async -> Response {
        if let refusal = refusal(of: request, match) { return refusal }
        // Pages of another origin use the API, and nothing of ours that shows what somebody's browser was let into.
        let isPrivate = if case .found(let route, _) = match { route.isPage } else { false }
        if !isPrivate, let preflight = CORS.preflight(request) { return preflight }
        var response: Response
        do { response = try await handle(request, target, match, connection, channel, log) } catch {
            response = render(error, log.logger)
            if isPrivate {
                let detail = (error as? APIError)?.detail ?? (error as? Refusal)?.words ?? APIError.unavailable.detail
                response = Answer.faultPage(response, detail)
            }
        }
        if !isPrivate { CORS.decorate(&response, for: request) }
        return response
    }

    /// What is answered to a request for a host that is not served; nil where it is served.
    private func refusal(of request: Request, _ match: Routes.Match) -> Response? {
        let authority = request.head.authority ?? ""
        let host = HostName(authority)
        guard host != nil || authority.isEmpty else { return wrongHost() }
        if case .found(let route, _) = match, route.audience == .probes, !Self.isOfClient(host) { return nil }
        switch hosts?.check(host, request) ?? .served {
        case .served: return nil
        case .refused: return wrongHost()
        case .redirected(let response): return response
        }
    }

    private func wrongHost() -> Response {
        Telemetry.http.refusals[.host].increment()
        return Answer.error(.wrongHostHeader)
    }

    /// Whether a host is none that probes ask for: they name the port that they go to with an IPv6 address.
    private static func isOfClient(_ host: HostName?) -> Bool {
        host.map { $0.isAddress6 && ($0.port ?? 80 == 80 || $0.port == 443) } ?? false
    }

    private func handle(
        _ request: Request, _ target: Target, _ match: Routes.Match, _ connection: ClientConnection, _ channel: any Channel,
        _ log: RequestLog
    ) async throws -> Response {
        switch match {
        case .notFound: throw target.path.hasPrefix("/static/") ? APIError.staticNotFound : APIError.notFound
        case .methodNotAllowed(let methods): throw APIError.methodNotAllowed(allowed: methods)
        case .found(let route, let parameters):
            var call = Call(
                method: request.method, headers: request.headers, authority: request.head.authority ?? "", parameters: parameters,
                isForListed: route.isForListed, query: QueryString(target.query), body: .absent, now: api.clock(), channel: channel,
                connection: connection, log: log)
            var reader = BodyReader(
                request, to: route, bodyLimitBytes: api.settings.bodyLimitBytes, api.admission, connection)
            let (bytes, share) = try await reader.read { [call] in
                if route.audience == .doctors { try await api.requireProbe(call) } else { try await api.authenticate(call) }
            }
            // Held until the request is answered.
            defer { share.giveBack() }
            guard bytes.readableBytes > HeavyWork.bodyBytes else {
                if route.body.isParsed { call.body = try Body(bytes, contentType: request.headers[.contentType]) }
                return try await route.handle(api, call, bytes)
            }
            return try await withTaskExecutorPreference(HeavyWork.shared) { [call] in
                var call = call
                if route.body.isParsed { call.body = try Body(bytes, contentType: request.headers[.contentType]) }
                return try await route.handle(api, call, bytes)
            }
        }
    }

    /// The one place where an error becomes an answer. Nothing of the server's inside goes to the client.
    private func render(_ error: any Error, _ logger: Logger) -> Response {
        let response = answer(error, logger)
        if let reason = HTTPMetrics.RefusalReason(response.status, error) { Telemetry.http.refusals[reason].increment() }
        return response
    }

    private func answer(_ error: any Error, _ logger: Logger) -> Response {
        switch error {
        // Nobody waits for it any more.
        case _ where Task.isCancelled: break
        case let refusal as Refusal: return Answer.refusal(refusal)
        case let error as APIError: return Answer.error(error)
        case let failure as ValidationFailure: return Answer.invalid(failure.faults)
        case let refusal as OpeningRefusal: return Answer.error(APIError(refusal))
        // What is wrong with it was said when it began.
        case is DirectoryFault: break
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

    /// What is at no route, by method.
    private static let elsewhere: [HTTPRequest.Method: RequestSeries] = Dictionary(
        uniqueKeysWithValues: [.get, .head, .post, .put, .patch, .delete, .options].map { method in
            (method, RequestSeries(route: "none", method: method.rawValue))
        })
    private static let otherMethods = RequestSeries(route: "none", method: "other")

    private func count(_ method: HTTPRequest.Method, _ match: Routes.Match, _ status: HTTPResponse.Status, _ duration: Duration) {
        let series = if case .found(let route, _) = match { route.series } else { Self.elsewhere[method] ?? Self.otherMethods }
        series.count(status: status.code, duration)
    }

    private func write(
        _ request: Request, _ match: Routes.Match, _ response: Response, _ duration: Duration, _ log: RequestLog
    ) {
        let route = if case .found(let route, _) = match { route.pattern } else { "-" }
        // Those who look whether the server is well do so all the time.
        let isProbe = if case .found(let route, _) = match { route.audience == .probes } else { false }
        let level: Logger.Level = isProbe && response.status.kind == .successful ? .debug : .info
        guard log.tells(level) else { return }
        let milliseconds = Double(duration.components.attoseconds / 1_000_000_000_000) / 1000 + Double(duration.components.seconds * 1000)
        log.logger.log(
            level: level, "request",
            metadata: [
                "method": "\(request.method.rawValue)", "route": "\(route)", "status": .stringConvertible(response.status.code),
                "ms": .stringConvertible(milliseconds),
            ].merging(log.client) { $1 })
    }
}

extension HTTPMetrics.RefusalReason {
    /// Why a request was turned away; nil for what was decided about it after the work.
    fileprivate init?(_ status: HTTPResponse.Status, _ error: any Error) {
        switch status {
        case .unauthorized where error is APIError: self = .token
        case .forbidden where (error as? APIError)?.shape == .json: self = .token
        case .badRequest where (error as? APIError)?.shape == .json: self = .malformed
        case .contentTooLarge: self = .size
        case .tooManyRequests: self = .rate
        case .serviceUnavailable: self = .unavailable
        default: return nil
        }
    }
}
