import Domain
import HTTPTypes
import ReadModel
import Testing

@testable import API
@testable import Server

private let asking = "GET /join/{secret}"
private let joining = "POST /join/{secret}"

extension RouteCase {
    static let joins = [
        RouteCase(asking, "shows a form with a policy, to whoever has a link that is good") { server in
            let path = try await server.link()
            let client = try await Client(server)
            let answer = try await client.get(path)
            #expect((answer.status, answer.type) == (200, "text/html; charset=utf-8"))
            #expect(answer.text.contains("<form method=\"post\">"))
            let policy = try #require(answer.headers[.contentSecurityPolicy])
            #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-"))
            #expect(answer.headers[.cacheControl] == "no-store")
            let gone = try await client.get("/join/" + String(repeating: "x", count: 43))
            #expect((gone.status, gone.type) == (404, "text/html; charset=utf-8"))
            // Links are no business of a server whose accounts its operator makes.
            let closed = try await Client(server, on: server.plain)
            for answer in [try await closed.get(path), try await closed.join(path, name: "x")] {
                #expect((answer.status, answer.body) == (404, gone.body))
            }
        },
        RouteCase(joining, "makes one account, as often as it is sent") { server in
            let path = try await server.link()
            let client = try await Client(server)
            let name = "Join" + newUID()
            let taken = try await server.somebody().name
            #expect(try await client.join(path, name: taken.uppercased()).status == 409)
            let hostile = try await client.join(path, name: "<script>\"'&")
            #expect(hostile.status == 400)
            #expect(hostile.text.contains("value=\"&lt;script&gt;&quot;&#39;&amp;\""))
            let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
                for _ in 0..<8 { group.addTask { try await Client(server).join(path, name: name) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.map(\.status) == Array(repeating: 200, count: 8))
            #expect(answers.allSatisfy { $0.text.contains("<code>\(name.lowercased())</code>") })
            #expect(answers.allSatisfy { $0.text.contains("<code>http://\(TestServer.authority)</code>") })
            #expect(try await client.join(path, name: "other" + newUID()).status == 404)
            #expect(try await client.get(path).status == 404)
            // The account is as the operator makes it.
            let challenge = try await client.post("/api/v1/authentication/login_challenge/", ["username": .text(name)])
            #expect("\(challenge)" == "401 user_not_init")
        },
        RouteCase(joining, "lets one of those who come at once have the last use") { server in
            let path = try await server.link()
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<8 {
                    group.addTask { try await Client(server).join(path, name: "last\(number)" + newUID()).status }
                }
                return try await group.reduce(into: []) { $0.append($1) }.sorted()
            }
            #expect(statuses == [200] + Array(repeating: 404, count: 7))
        },
        RouteCase(joining, "tells people with a page what is wrong with the server, or with too many requests") { server in
            let path = try await server.link()
            let client = try await Client(server).sending(.contentType, "application/x-www-form-urlencoded")
            let answer = try await client.call(.post, path, body: [UInt8](repeating: 0x61, count: 1 << 20))
            #expect((answer.status, answer.type) == (413, "text/html; charset=utf-8"))
            #expect(answer.headers[.contentSecurityPolicy] != nil)
            var settings = server.wiring.settings
            settings.api.isProxied = true
            settings.api.limits.signups = RateLimit(1, in: .seconds(3600))
            let strict = try Wiring(server.wiring.node, settings, logger: server.logger)
            let stranger = try await Client(server, on: strict).sending(Call.forwardedFor, "192.0.2.9")
            #expect(try await stranger.join(path, name: "a b").status == 400)
            let refused = try await stranger.join(path, name: "free" + newUID())
            #expect((refused.status, refused.type) == (503, "text/html; charset=utf-8"))
            #expect(refused.headers[.retryAfter] != nil)
            #expect(refused.text.contains("Too many of these. Try again in"))
        },
    ]
}

extension Answer {
    fileprivate var text: String { String(decoding: body, as: UTF8.self) }
}

extension Client {
    fileprivate func join(_ path: String, name: String) async throws -> Answer {
        let escaped = name.utf8.map { byte in "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
        return try await sending(.contentType, "application/x-www-form-urlencoded").call(.post, path, body: Array("name=\(escaped)".utf8))
    }
}

extension TestServer {
    /// The path of a new link that is good for one account.
    func link() async throws -> String {
        let made = try await SignupLinks(wiring.node.database).make(for: nil, uses: 1, until: nil, at: Timestamp(rawValue: 0))
        return "/join/" + (try #require(made).secret)
    }
}
