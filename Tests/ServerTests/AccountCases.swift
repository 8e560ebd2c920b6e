import Domain
import Sodium
import Testing

@testable import API
@testable import Server

private let signUp = "POST /api/v1/authentication/signup/"
private let challenge = "POST /api/v1/authentication/login_challenge/"
private let logIn = "POST /api/v1/authentication/login/"
private let logOut = "POST /api/v1/authentication/logout/"
private let changePassword = "POST /api/v1/authentication/change_password/"
private let dashboard = "POST /api/v1/authentication/dashboard_url/"
private let reset = "POST /api/v1/test/authentication/reset/"

private func path(_ route: String) -> String { String(route.split(separator: " ")[1]) }

extension RouteCase {
    static let accounts = [
        RouteCase("GET /api/v1/authentication/is_etebase/", "says yes to everybody") { server in
            let answer = try await Client(server).get("/api/v1/authentication/is_etebase/")
            #expect((answer.status, answer.body.count) == (200, 0))
        },
        RouteCase(signUp, "makes an account, and a session of it") { server in
            let client = try await Client(server, name: "Up" + newUID())
            let answer = try await client.post(path(signUp), client.signUp)
            let name = client.name.lowercased()
            #expect(answer.status == 200)
            #expect(answer.value["token"]?.text?.utf8.count == 40)
            #expect(
                answer.value["user"] == [
                    "username": .text(name), "email": .text("\(client.name)@example.com"), "pubkey": .bytes([2]),
                    "encryptedContent": .bytes([3]),
                ])
            #expect(try await client.bearing(answer.value["token"]?.text).get("/api/v1/collection/").status == 200)
        },
        RouteCase(signUp, "refuses a name that is taken, in any letters, and changes nothing") { server in
            let owner = try await server.somebody()
            let other = try await Client(server, name: owner.name.uppercased())
            #expect(try await "\(other.post(path(signUp), other.signUp))" == "409 user_exists")
            #expect(try await owner.get("/api/v1/collection/").status == 200)
        },
        RouteCase(signUp, "tells what is wrong with names, emails and keys") { server in
            let client = try await Client(server, name: "u" + newUID())
            let body = client.signUp
            func fields(_ changes: [String: Value?]) async throws -> [String] {
                let answer = try await client.post(path(signUp), body.with(changes))
                #expect("\(answer)" == "400 field_errors")
                return answer.fields
            }
            #expect(try await fields(["user": ["username": "a b", "email": "no"]]) == ["user.email invalid", "user.username invalid"])
            let long = Value.text(String(repeating: "x", count: 151))
            #expect(
                try await fields(["user": ["username": long, "email": ""]]) == ["user.first_name max_length", "user.username max_length"])
            #expect(try await fields(["loginPubkey": .bytes([1])]) == ["loginPubkey invalid"])
            let unnamed = body.with(["user": ["username": "", "email": ""]])
            #expect(try await "\(client.post(path(signUp), unnamed))" == "400 generic")
            #expect(try await "\(client.post(path(signUp), body.with(["salt": nil])))" == "422 missing body.salt")
            #expect(try await "\(client.post(path(signUp)))" == "422 missing body")
        },
        RouteCase(signUp, "is closed where nobody opened it") { server in
            let client = try await Client(server, name: "u" + newUID(), on: server.plain)
            #expect(try await "\(client.post(path(signUp), client.signUp))" == "400 generic")
        },
        RouteCase(dashboard, "tells the address of the user's own dashboard, where there is one") { server in
            let client = try await server.somebody()
            #expect(try await client.post(path(dashboard)).value == ["url": .text("https://example.com/\(client.name)")])
            let other = try await Client(server, on: server.plainWithoutPages).bearing(client.token)
            #expect(try await "\(other.post(path(dashboard)))" == "400 not_supported")
        },
        RouteCase(reset, "empties the account of a test user, and of no other") { server in
            var client = try await Client(server, name: "test_user_" + newUID().lowercased())
            client.token = try await client.post(path(signUp), client.signUp).value["token"]?.text
            let uid = try await client.makeCollection()
            #expect(try await client.bearing(nil).post(path(reset), client.signUp).status == 204)
            #expect(try await "\(client.get("/api/v1/collection/\(uid)/"))" == "404 does_not_exist")
            #expect(try await client.post(path(logIn), client.signed(client.loginResponse())).status == 200)
            let other = try await server.somebody()
            #expect(try await "\(client.post(path(reset), other.signUp))" == "400 generic")
            let nobody = try await Client(server, name: "test_user_nobody" + newUID())
            #expect(try await "\(client.post(path(reset), nobody.signUp))" == "404 does_not_exist")
            #expect(try await "\(client.post(path(reset), [:]))" == "422 missing body")
        },
        RouteCase(reset, "is not there but for client test suites") { server in
            let client = try await Client(server, on: server.plain)
            #expect(try await "\(client.post(path(reset), client.signUp))" == "404 does_not_exist")
        },
    ]

    static let logins = [
        RouteCase(challenge, "gives what a login is signed with, by name or email in any letters") { server in
            let client = try await server.somebody()
            for name in [client.name, client.name.uppercased(), "\(client.name.uppercased())@example.com"] {
                let answer = try await client.bearing(nil).post(path(challenge), ["username": .text(name)])
                #expect(answer.value.keys == ["salt", "challenge", "version"], "\(answer)")
                #expect((answer.value["salt"], answer.value["version"]) == (.bytes([1]), 1))
            }
        },
        RouteCase(challenge, "tells that a user is unknown, disabled, or not initialized") { server in
            let client = try await server.somebody()
            #expect(try await "\(client.post(path(challenge), ["username": "no one"]))" == "401 user_not_found")
            #expect(try await "\(client.post(path(challenge), ["username": 7]))" == "422 string_type body.username")
            let fresh = "u" + newUID().lowercased()
            try await server.make(fresh)
            let answer = try await client.post(path(challenge), ["username": .text(fresh)])
            #expect("\(answer)" == "401 user_not_init")
            #expect(answer.value["detail"] == "User not properly init")
            try await server.disable(client.name)
            #expect(try await "\(client.post(path(challenge), ["username": .text(client.name)]))" == "401 authentication_failed")
        },
        RouteCase(logIn, "gives a session for what the user's key has signed, and the same for the same") { server in
            let client = try await server.somebody()
            let body = try await client.signed(client.loginResponse())
            let answer = try await client.bearing(nil).post(path(logIn), body)
            #expect(answer.status == 200)
            #expect(answer.value["user"]?["username"] == .text(client.name))
            #expect(answer.value["token"] != .text(client.token ?? ""))
            #expect(try await client.bearing(answer.value["token"]?.text).get("/api/v1/collection/").status == 200)
            #expect(try await client.post(path(logIn), body).value["token"] == answer.value["token"])
        },
        RouteCase(logIn, "refuses what is not signed so, in the original's order") { server in
            let (client, other) = (try await server.somebody(), try await server.somebody())
            let response = try await client.loginResponse()
            func answer(_ body: Value) async throws -> String { try await "\(client.post(path(logIn), body))" }
            #expect(try await answer(client.signed(response, by: other.key)) == "401 login_bad_signature")
            #expect(try await answer(client.signed(response).with(["signature": .bytes([1])])) == "401 login_bad_signature")
            #expect(try await answer(client.signed(response.with(["action": "changePassword"]))) == "400 wrong_action")
            #expect(try await answer(client.signed(response.with(["action": "other"]))) == "400 bad_login")
            #expect(try await answer(client.signed(response.with(["challenge": .bytes([1, 2])]))) == "400 bad_login")
            #expect(try await answer(client.signed(response.with(["challenge": .some(nil)]))) == "400 bad_login")
            #expect(try await answer(client.signed(response.with(["username": .text(other.name)]))) == "400 wrong_user")
            #expect(try await answer(client.signed(response.with(["username": "no one"]))) == "401 user_not_found")
            #expect(try await answer(["response": .bytes([1]), "signature": .bytes([2])]) == "400 bad_login")
            #expect(try await answer(["response": .bytes([1])]) == "422 missing body.signature")
        },
        RouteCase(logIn, "refuses what is signed for another host, but for client test suites") { server in
            let client = try await server.somebody()
            let body = try await client.signed(client.loginResponse(["host": "elsewhere.example.com"]))
            let plain = try await Client(server, name: client.name, on: server.plain)
            #expect(try await "\(plain.post(path(logIn), body))" == "400 wrong_host")
            #expect(try await client.post(path(logIn), body).status == 200)
            #expect(try await plain.post(path(logIn), client.signed(client.loginResponse(["host": "SYNC.example.com:443"]))).status == 200)
        },
        RouteCase(logOut, "ends the session, and no other one") { server in
            let client = try await server.somebody()
            let other = try await client.post(path(logIn), client.signed(client.loginResponse())).value["token"]?.text
            let answer = try await client.post(path(logOut))
            #expect((answer.status, answer.body.count) == (204, 0))
            #expect(try await "\(client.post(path(logOut)))" == "401 authentication_failed")
            #expect(try await client.bearing(other).get("/api/v1/collection/").status == 200)
        },
        RouteCase(changePassword, "puts another key in the place of the old one, and ends the other sessions") { server in
            let client = try await server.somebody()
            let other = try await client.post(path(logIn), client.signed(client.loginResponse())).value["token"]?.text
            let new = SigningKey(seed: Sodium.blake2b(Array(newUID().utf8)))
            let response = try await client.loginResponse([
                "action": "changePassword", "loginPubkey": .bytes(new.publicKey), "encryptedContent": .bytes([9]),
            ])
            let answer = try await client.post(path(changePassword), client.signed(response))
            #expect((answer.status, answer.body.count) == (204, 0))
            #expect(try await client.get("/api/v1/collection/").status == 200)
            #expect(try await "\(client.bearing(other).get("/api/v1/collection/"))" == "401 authentication_failed")
            #expect(try await "\(client.post(path(logIn), client.signed(client.loginResponse())))" == "401 login_bad_signature")
            let answered = try await client.post(path(logIn), client.signed(client.loginResponse(), by: new))
            #expect(answered.value["user"]?["encryptedContent"] == .bytes([9]))
        },
        RouteCase(changePassword, "refuses what the user has not signed, and keys that are none") { server in
            let (client, other) = (try await server.somebody(), try await server.somebody())
            let response = try await client.loginResponse([
                "action": "changePassword", "loginPubkey": .bytes(other.key.publicKey), "encryptedContent": .bytes([9]),
            ])
            func answer(_ body: Value) async throws -> String { try await "\(client.post(path(changePassword), body))" }
            #expect(try await answer(client.signed(response, by: other.key)) == "401 login_bad_signature")
            #expect(try await answer(client.signed(response.with(["action": "login"]))) == "400 wrong_action")
            #expect(try await answer(client.signed(response.with(["username": .text(other.name)]))) == "400 wrong_user")
            #expect(try await answer(client.signed(response.with(["loginPubkey": .some(nil)]))) == "400 bad_login")
            #expect(try await answer(client.signed(response.with(["loginPubkey": .bytes([1])]))) == "400 field_errors")
            #expect(try await answer(["response": .bytes([1])]) == "422 missing body.signature")
            #expect(try await client.post(path(logIn), client.signed(client.loginResponse())).status == 200)
        },
    ]
}
