internal import Database
internal import EventLog
internal import Gateway
internal import HTTPTypes
internal import Hummingbird
internal import MessagePack
internal import NIOCore
internal import ReadModel

extension API {
    /// The table of routes of this process.
    var routes: Routes {
        Routes(
            isFrontEnd: settings.isFrontEnd, isGateway: realTime.gateway != nil, isDebug: settings.isDebug,
            showsMetrics: settings.metricsToken != nil, showsAdmin: settings.showsAdmin)
    }

    /// `POST collection/UID/item/subscription-ticket/`
    func issueTicket(_ call: Call) async throws -> Response {
        let grant = try await read(call, .small) { snapshot, user in
            let collection = try snapshot.access(to: call.collection, by: user.user)
            return Grant(
                collection: collection.uid, user: user.user, session: user.session.id, token: user.token,
                position: try snapshot.logHead().position)
        }
        guard let tickets = realTime.tickets else { throw APIError.noTickets }
        let ticket = try await tickets.issue(grant)
        return Answer.messagePack { writer in
            writer.map(count: 1)
            writer.pair("ticket", ticket)
        }
    }

    /// `GET ws/TICKET/`
    func openSocket(_ call: Call) async throws -> Response {
        guard let gateway = realTime.gateway, call.headers[.upgrade]?.lowercased() == "websocket" else { throw APIError.notFound }
        guard call.headers[.secWebSocketKey] != nil, call.headers[.secWebSocketVersion] == "13" else {
            throw APIError.badHandshake
        }
        if let response = try await probeSocket(call, gateway) { return response }
        let stoken = call.query["stoken"].flatMap { $0.isEmpty ? nil : $0 }
        let opening = try await gateway.open(ticket: call.parameter("ticket"), after: stoken)
        recognize(call)
        try await gateway.offer(opening, on: call.channel)
        return Answer.upgrade
    }
}

extension APIError {
    fileprivate static let noTickets = APIError(
        .notImplemented, .plain, code: "not_implemented", "This end-point requires Redis to be configured")
    fileprivate static let badHandshake: APIError = {
        var error = APIError(.badRequest, code: "bad_handshake", "This is no WebSocket handshake of version 13.")
        error.headers[.secWebSocketVersion] = "13"
        return error
    }()

    /// What a client is told whose handshake is refused.
    init(_ refusal: OpeningRefusal) {
        switch refusal {
        case .badTicket: self.init(.forbidden, code: "bad_ticket", "The ticket is unknown, was used, or is older than ten seconds.")
        case .badStoken: self = .badStoken
        case .notListed: self = .notInDirectory
        case .tooManySockets: self.init(.tooManyRequests, code: "too_many_sockets", "There are too many sockets of this user.")
        case .unlistable, .tooFast: self = .unavailable
        }
    }
}
