import Domain
import EventLog
import HTTPTypes
import Hummingbird
import NIOCore
import ReadModel
import Sodium
import Testing

@testable import API
@testable import Server

private let ticket = "POST /api/v1/collection/{collection_uid}/item/subscription-ticket/"
private let socket = "GET /api/v1/ws/{ticket}/"

extension RouteCase {
    static let operations = [
        RouteCase("GET /health", "says that the process is there, under any name") { server in
            let client = try await Client(server)
            #expect(try await client.get("/health").body == Array("ok\n".utf8))
            #expect(try await client.call(.head, "/health").body == [])
        },
        RouteCase("GET /live", "says that the process is there") { server in
            let answer = try await Client(server).get("/live")
            #expect(answer.body == Array("ok\n".utf8))
        },
        RouteCase("GET /ready", "says that the process can do its work, and that it is about to end") { server in
            // On a busy machine the database may take its time to say that it is there.
            var answer = try await Client(server).get("/ready")
            for _ in 0..<300 where answer.body != Array("ready\n".utf8) {
                try await Task.sleep(for: .milliseconds(100))
                answer = try await Client(server).get("/ready")
            }
            #expect(answer.body == Array("ready\n".utf8))
            let ending = try Wiring(server.wiring.node, ServerSettings(), logger: server.logger)
            ending.readiness.drain()
            let late = try await Client(server, on: ending)
            let answered = try await late.get("/ready")
            #expect((answered.status, answered.body) == (503, Array("the server is shutting down\n".utf8)))
        },
        RouteCase("GET /metrics", "is for whoever has the token, and where operators look for all") { server in
            let client = try await Client(server)
            #expect(try await "\(client.get("/metrics"))" == "404 does_not_exist")
            #expect(try await "\(client.sending(.authorization, "Bearer other").get("/metrics"))" == "404 does_not_exist")
            let answer = try await client.sending(.authorization, "Bearer seen").get("/metrics")
            #expect(String(decoding: answer.body, as: UTF8.self).contains("\napus_build_info{"))
            let operators = try await Client(server, as: .operators)
            #expect(try await operators.get("/metrics").status == 200)
            let others = try await Client(server, on: server.plain)
            #expect(try await "\(others.get("/metrics"))" == "404 does_not_exist")
        },
        RouteCase("GET /", "tells people what to enter, and nothing that they made up") { server in
            let answer = try await Client(server).get("/")
            #expect(answer.type == "text/html; charset=utf-8")
            #expect(String(decoding: answer.body, as: UTF8.self).contains("<code>http://\(TestServer.authority)</code>"))
        },
        RouteCase("GET /openapi.json", "names every route of the API") { server in
            let answer = try await Client(server).get("/openapi.json")
            let text = String(decoding: answer.body, as: UTF8.self)
            #expect(answer.type == "application/json")
            for route in server.wiring.api(server.wiring.admission).routes.all where route.pattern.hasPrefix("/api/") {
                #expect(text.contains("\"\(route.pattern)\""), "\(route.pattern)")
            }
        },
    ]

    static let sockets = [
        RouteCase(ticket, "gives members a ticket") { server in
            let circle = try await server.circle()
            #expect(try await circle.answers { try await $0.post(circle.path + "/item/subscription-ticket/") } == .members("200"))
            let value = try await circle[.reader].post(circle.path + "/item/subscription-ticket/").value
            #expect(value.keys == ["ticket"])
            #expect(try await "\(circle[.owner].post("/api/v1/collection/\(newUID())/item/subscription-ticket/"))" == "404 does_not_exist")
        },
        RouteCase(socket, "opens for a ticket, once") { server in
            let client = try await server.somebody()
            let path = try await client.socketPath(client.makeCollection())
            #expect(try await client.bearing(nil).upgrading.respond(.get, path).status == .switchingProtocols)
            #expect(try await "\(client.bearing(nil).upgrading.get(path))" == "403 bad_ticket")
        },
        RouteCase(socket, "refuses what is no handshake, tickets that are none, and stokens of elsewhere") { server in
            let client = try await server.somebody()
            let uid = try await client.makeCollection()
            #expect(try await "\(client.get("/api/v1/ws/x/"))" == "404 does_not_exist")
            #expect(try await "\(client.sending(.upgrade, "websocket").get("/api/v1/ws/x/"))" == "400 bad_handshake")
            #expect(try await "\(client.upgrading.get("/api/v1/ws/x/"))" == "403 bad_ticket")
            let forged = StokenSealer(secret: [1]).stoken(LogHead(position: Position(rawValue: 1), epoch: 1))
            #expect(try await "\(client.upgrading.get(client.socketPath(uid) + "?stoken=\(forged)"))" == "400 bad_stoken")
            let stoken = try await client.stoken(of: uid)
            #expect(try await client.upgrading.respond(.get, client.socketPath(uid) + "?stoken=\(stoken)").status == .switchingProtocols)
        },
    ]
}

extension Client {
    /// What asks for a WebSocket.
    var upgrading: Client {
        sending(.upgrade, "websocket").sending(.secWebSocketKey, "dGhlIHNhbXBsZSBub25jZQ==").sending(.secWebSocketVersion, "13")
    }

    /// The path of a socket, with a new ticket.
    func socketPath(_ collection: String) async throws -> String {
        let answer = try await post("/api/v1/collection/\(collection)/item/subscription-ticket/")
        return "/api/v1/ws/\(try #require(answer.value["ticket"]?.text))/"
    }
}

// What the operator does.
extension TestServer {
    /// Makes an account that nobody has initialized.
    func make(_ name: String) async throws {
        let command = CreateUser(username: name, email: "", keys: nil, passwordSalt: "salt", mayCreate: true)
        try await wiring.node.door.commit(command, by: .operator, at: Node.clock())
    }

    /// Keeps a user out.
    func disable(_ name: String) async throws {
        let command = ChangeUserActivity(username: name, isActive: false)
        try await wiring.node.door.commit(command, by: .operator, at: Node.clock())
    }
}
