import HTTPTypes
import Sodium
import Testing

@testable import API
@testable import Server

private let challenge = "POST /api/v1/authentication/login_challenge/"
private let logIn = "POST /api/v1/authentication/login/"
private let signUp = "POST /api/v1/authentication/signup/"
private let changePassword = "POST /api/v1/authentication/change_password/"
private let invite = "POST /api/v1/invitation/outgoing/"

private func path(_ route: String) -> String { String(route.split(separator: " ")[1]) }

extension RouteCase {
    static let limits = [
        RouteCase(logIn, "is let in too many times in vain by nobody, and says when to come again") { server in
            let wiring = try server.limited { $0.logins = RateLimit(3, in: .seconds(3000)) }
            let user = try await server.somebody().at("192.0.2.1", on: wiring)
            for _ in 0..<3 { #expect(try await user.guess() == "401 login_bad_signature") }
            let answer = try await user.post(path(challenge), ["username": .text(user.name)])
            #expect("\(answer)" == "429 too_many_requests")
            #expect(answer.value.keys == ["code", "detail", "errors"])
            let wait = try #require(answer.headers[.retryAfter].flatMap { Int($0) })
            #expect((990...1000).contains(wait), "\(wait)")
            #expect(answer.value["detail"]?.text?.contains("\(wait) seconds") == true)
            // The right password is none the better there, and by the name in other letters; elsewhere, and for others, it is.
            let signed = try await user.at("198.51.100.7").signed(user.at("198.51.100.7").loginResponse())
            #expect(try await "\(user.post(path(logIn), signed))" == "429 too_many_requests")
            #expect(
                try await "\(user.post(path(challenge), ["username": .text(user.name.uppercased())]))" == "429 too_many_requests")
            #expect(try await user.at("198.51.100.7").post(path(logIn), signed).status == 200)
            let other = try await server.somebody().at("192.0.2.1", on: wiring)
            #expect(try await other.signIn() == "200")
            // Whoever is logged in goes on.
            #expect(try await user.get("/api/v1/collection/").status == 200)
        },
        RouteCase(logIn, "counts no success") { server in
            let wiring = try server.limited { limits in
                limits.logins = RateLimit(1, in: .seconds(3600))
                limits.loginsOfName = RateLimit(1, in: .seconds(3600))
                limits.loginsFromAddress = RateLimit(1, in: .seconds(3600))
            }
            let user = try await server.somebody().at("192.0.2.2", on: wiring)
            for _ in 0..<25 { #expect(try await user.signIn() == "200") }
        },
        RouteCase(challenge, "counts for a name that nobody has, and not for one that is there") { server in
            let wiring = try server.limited { $0.loginsFromAddress = RateLimit(20, in: .seconds(3600)) }
            let user = try await server.somebody().at("192.0.2.3", on: wiring)
            func ask(_ name: String, at address: String = "192.0.2.3") async throws -> String {
                try await "\(user.at(address).post(path(challenge), ["username": .text(name)]))"
            }
            for _ in 0..<50 { #expect(try await ask(user.name) == "200") }
            for number in 0..<20 { #expect(try await ask("nobody\(number)") == "401 user_not_found") }
            // Nothing tells any more which names there are.
            #expect(try await ask("other") == "429 too_many_requests")
            #expect(try await ask(user.name) == "429 too_many_requests")
            #expect(try await ask("other", at: "192.0.2.4") == "401 user_not_found")
        },
        RouteCase(logIn, "is shut by strangers at other addresses for everybody but the user where the user was") { server in
            let wiring = try server.limited { $0.loginsOfName = RateLimit(4, in: .seconds(3600)) }
            let user = try await server.somebody().at("2001:db8:1:1::1", on: wiring)
            #expect(try await user.signIn() == "200")
            for number in 0..<4 { #expect(try await user.at("203.0.113.\(number)").guess() == "401 login_bad_signature") }
            #expect(try await user.at("203.0.113.9").guess() == "429 too_many_requests")
            #expect(try await user.signIn() == "200")
            #expect(try await user.at("2001:db8:1:1:ffff::9").signIn() == "200")
            #expect(try await user.at("2001:db8:1:2::1").signIn() == "429 too_many_requests")
        },
        RouteCase(logIn, "is shut for an address that tries many names, but not for those who live there") { server in
            let wiring = try server.limited { $0.loginsFromAddress = RateLimit(3, in: .seconds(3600)) }
            let user = try await server.somebody().at("192.0.2.5", on: wiring)
            #expect(try await user.signIn() == "200")
            let others = [try await server.somebody(), try await server.somebody(), try await server.somebody()]
            for other in others { #expect(try await other.at("192.0.2.5", on: wiring).guess() == "401 login_bad_signature") }
            #expect(try await others[0].at("192.0.2.5", on: wiring).signIn() == "429 too_many_requests")
            #expect(try await user.signIn() == "200")
            #expect(try await others[0].at("192.0.2.6", on: wiring).signIn() == "200")
        },
        RouteCase(changePassword, "lets nobody guess with a session that was found") { server in
            let wiring = try server.limited { $0.logins = RateLimit(2, in: .seconds(3600)) }
            let user = try await server.somebody().at("192.0.2.8", on: wiring)
            let change: [String: Value?] = [
                "action": "changePassword", "loginPubkey": .bytes(user.key.publicKey), "encryptedContent": .bytes([9]),
            ]
            let response = try await user.loginResponse(change)
            let stranger = try await server.somebody()
            func answer(by key: Bool) async throws -> String {
                try await "\(user.post(path(changePassword), user.signed(response, by: key ? nil : stranger.key)))"
            }
            for _ in 0..<2 { #expect(try await answer(by: false) == "401 login_bad_signature") }
            #expect(try await answer(by: true) == "429 too_many_requests")
        },
        RouteCase(signUp, "is for so many from an address") { server in
            let wiring = try server.limited { $0.signups = RateLimit(2, in: .seconds(3600)) }
            func signedUp(from address: String) async throws -> Answer {
                let client = try await Client(server, name: "u" + newUID().lowercased(), on: wiring).at(address)
                return try await client.post(path(signUp), client.signUp)
            }
            for _ in 0..<2 { #expect(try await signedUp(from: "192.0.2.9").status == 200) }
            let answer = try await signedUp(from: "192.0.2.9")
            #expect("\(answer)" == "503 unavailable")
            #expect(answer.saysToComeAgain(within: 1800))
            #expect(try await signedUp(from: "192.0.2.10").status == 200)
            for address in ["127.0.0.1", "::1"] {
                for _ in 0..<3 { #expect(try await signedUp(from: address).status == 200) }
            }
        },
        RouteCase(invite, "is for so many by a user; what is refused anyway does not count") { server in
            let wiring = try server.limited { $0.invitations = RateLimit(2, in: .seconds(3600)) }
            let (user, other) = (try await server.somebody().at("192.0.2.11", on: wiring), try await server.somebody())
            let uids = [try await user.makeCollection(), try await user.makeCollection(), try await user.makeCollection()]
            let nowhere = try await user.post(path(invite), user.invitation(newUID(), to: other, newUID()))
            #expect("\(nowhere)" == "404 does_not_exist")
            for uid in uids.prefix(2) { _ = try await user.invite(other, to: uid) }
            let answer = try await user.post(path(invite), user.invitation(newUID(), to: other, uids[2]))
            #expect("\(answer)" == "503 unavailable")
            #expect(answer.saysToComeAgain(within: 1800))
            let friend = try await server.somebody().at("192.0.2.11", on: wiring)
            _ = try await friend.invite(other, to: friend.makeCollection())
        },
    ]
}

extension TestServer {
    /// Front ends on the same log that a proxy tells clients' addresses, and that have no limits but those given.
    fileprivate func limited(_ change: (inout LimitSettings) -> Void) throws -> Wiring {
        var settings = wiring.settings
        settings.api.limits.logins = nil
        settings.api.limits.loginsOfName = nil
        settings.api.limits.invitations = nil
        settings.api.isProxied = true
        change(&settings.api.limits)
        return try Wiring(wiring.node, settings, logger: logger)
    }
}

extension Client {
    /// The same client at an address.
    fileprivate func at(_ address: String, on wiring: Wiring) async throws -> Client {
        try await Client(server, name: name, on: wiring).bearing(token).at(address)
    }

    fileprivate func at(_ address: String) -> Client {
        sending(.forwardedFor, "203.0.113.200, \(address)")
    }

    /// Logs in.
    fileprivate func signIn() async throws -> String { try await tryPassword(of: key) }

    /// Tries a wrong password.
    fileprivate func guess() async throws -> String { try await tryPassword(of: SigningKey(seed: [UInt8](repeating: 7, count: 32))) }

    private func tryPassword(of key: SigningKey) async throws -> String {
        let challenge = try await post(path(challenge), ["username": .text(name)])
        guard challenge.status == 200 else { return "\(challenge)" }
        let response: Value = [
            "username": .text(name), "challenge": challenge.value["challenge"] ?? nil, "host": .text(TestServer.authority),
            "action": "login",
        ]
        return try await "\(post(path(logIn), signed(response, by: key)))"
    }
}

extension HTTPField.Name {
    static let forwardedFor: HTTPField.Name = {
        guard let name = HTTPField.Name("X-Forwarded-For") else { preconditionFailure("X-Forwarded-For is the name of a header") }
        return name
    }()
}

extension Answer {
    /// Whether it says after how many seconds to come again: when one of the window is over, of which the test has used up a little.
    fileprivate func saysToComeAgain(within seconds: Int) -> Bool {
        (headers[.retryAfter].flatMap { Int($0) }).map { (seconds * 2 / 3...seconds).contains($0) } ?? false
    }
}
