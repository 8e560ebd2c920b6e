import HTTPTypes
import Testing

@testable import API

/// What a route is held to: a sentence about it, and what shows that it is true.
struct RouteCase: Sendable, CustomTestStringConvertible {
    /// The method and the pattern, as the table of routes has them.
    let route: String
    let sentence: String
    let check: @Sendable (TestServer) async throws -> Void

    init(_ route: String, _ sentence: String, _ check: @escaping @Sendable (TestServer) async throws -> Void) {
        self.route = route
        self.sentence = sentence
        self.check = check
    }

    var testDescription: String { "\(route) \(sentence)" }

    static let all =
        operations + joins + accountPages + adminPages + accounts + logins + limits + logs + collections + lists + items + commits + chunks
        + members
        + invitations
        + sockets
        + probes
}

@Suite("The routes", RunningServers()) struct RouteTests {
    private static let routes = Routes(isFrontEnd: true, isGateway: true, isDebug: true, showsMetrics: true).all

    @Test("keep what they promise", arguments: RouteCase.all, Engine.all)
    func promises(route: RouteCase, engine: Engine) async throws {
        let server = try #require(TestServer.running[engine])
        try await server.inTurn { try await route.check(server) }
    }

    @Test("have a test each, and no test is of a route that is gone")
    func complete() {
        let names = Set(Self.routes.map(\.name))
        #expect(names.subtracting(RouteCase.all.map(\.route)) == [], "routes without a test")
        #expect(Set(RouteCase.all.map(\.route)).subtracting(names) == [], "tests without a route")
        #expect(Set(Routes.forOperators.all.map(\.name)).isSubset(of: names))
    }

    @Test(
        "tell who shows no token, or a bad one, and nothing else", arguments: routes.filter { $0.audience == .users }.map(\.name),
        Engine.all)
    func strangers(route: String, engine: Engine) async throws {
        let server = try #require(TestServer.running[engine])
        try await server.inTurn { try await turnsAway(route, server) }
    }

    private func turnsAway(_ route: String, _ server: TestServer) async throws {
        let client = try await Client(server)
        let words = route.split(separator: " ")
        let method = try #require(HTTPRequest.Method(String(words[0])))
        let path = String(words[1].replacing(/{[a-z_]+}/, with: "x"))
        // Also where the rest is wrong: whoever is not known learns nothing more.
        #expect(try await "\(client.call(method, path, [1]))" == #"403 {"detail":"Not authenticated"}"#)
        #expect(try await "\(client.bearing("bad").call(method, path, [1]))" == "401 authentication_failed")
        #expect(try await "\(client.sending(.authorization, "bad").call(method, path, [1]))" == "401 authentication_failed")
    }

    @Test("answer other methods with those that there are", arguments: Engine.all)
    func methods(engine: Engine) async throws {
        let client = try await Client(#require(TestServer.running[engine]))
        for (path, methods) in Dictionary(grouping: Self.routes, by: \.pattern) {
            let answer = try await client.call(.trace, path.replacing(/{[a-z_]+}/, with: "y"))
            #expect("\(answer)" == "405 method_not_allowed", "\(path)")
            let allowed = Set(answer.headers[.allow]?.split(separator: ", ").map(String.init) ?? [])
            #expect(Set(methods.map(\.method.rawValue)).isSubset(of: allowed), "\(path)")
        }
        #expect(try await "\(client.get("/api/v1/nothing/"))" == "404 does_not_exist")
    }

    @Test("that parse their bodies tell those that cannot be parsed before anything else", arguments: Engine.all)
    func garbage(engine: Engine) async throws {
        let client = try await Client(#require(TestServer.running[engine]))
        for route in Self.routes where route.body == .parsed {
            let answer = try await client.call(route.method, route.pattern.replacing(/{[a-z_]+}/, with: "x"), body: [0xc1])
            #expect("\(answer)" == #"400 {"detail":"There was an error parsing the body"}"#, "\(route.name)")
        }
    }
}

extension Route {
    fileprivate var name: String { "\(method.rawValue) \(pattern)" }
}
