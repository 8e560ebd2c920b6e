import Database
import Domain
import HTTPTypes
import ReadModel
import Server
import Testing

/// What the doctor asks through the public address.
extension RouteCase {
    private static func path(_ token: String, _ what: String) -> String { "/api/v1/doctor/\(token)/\(what)/" }
    private static let pattern = "/api/v1/doctor/{probe}/{what}/"

    /// A token that was just made.
    private static func token(_ server: TestServer) async throws -> String {
        try await Probes.begin(server.wiring.node.database, version: "test", at: Node.clock())
    }

    static let probes =
        [HTTPRequest.Method.get, .put, .patch, .delete].map { method in
            RouteCase("\(method.rawValue) \(pattern)", "tells a doctor what has arrived, and nobody else that there is anything") {
                server in
                let token = try await token(server)
                var client = try await Client(server).bearing("a-token")
                client.headers[try #require(HTTPField.Name("X-Forwarded-For"))] = "192.0.2.1"
                let answer = try await client.call(method, path(token, "request"))
                #expect(answer.value["host"]?.text == TestServer.authority)
                #expect(answer.value["authorization"]?.text == "Token a-token")
                #expect(answer.value["forwarded_for"]?.list?.compactMap(\.text) == ["192.0.2.1"])
                #expect(try await "\(client.call(method, path(token, "other")))" == "404 does_not_exist")
                #expect(try await "\(client.call(method, path("x", "request")))" == "404 does_not_exist")
                try await Probes.end(server.wiring.node.database, token)
                #expect(try await "\(client.call(method, path(token, "request")))" == "404 does_not_exist")
            }
        } + [
            RouteCase("POST \(pattern)", "tells a doctor how much has arrived; a stranger's long body is not read") { server in
                let token = try await token(server)
                let client = try await Client(server)
                let body = [UInt8](repeating: 7, count: 200_000)
                #expect(try await client.call(.post, path(token, "body"), body: body).value["count"] == .int(200_000))
                #expect(try await "\(client.call(.post, path("x", "body"), body: body))" == "404 does_not_exist")
                let processes = try await server.wiring.node.database.read { try Processes.alive(at: Node.clock(), $0) }
                #expect(processes.allSatisfy { $0.roles != "doctor" }, "a doctor is no process that serves")
            },
            RouteCase("GET \(pattern)", "sends a doctor a long answer, and waits when it is asked to") { server in
                let token = try await token(server)
                let client = try await Client(server)
                #expect(try await client.get(path(token, "answer")).body.count == 16_785_408)
                #expect(try await "\(client.get(path(token, "wait") + "?seconds=0"))" == "200")
            },
        ]
}
