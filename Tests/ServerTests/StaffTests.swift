import Database
import Domain
import HTTPTypes
import Testing

@testable import API
@testable import ReadModel
@testable import Server

@Suite("Staff of a former server") struct StaffTests {
    /// As Django writes it; of `s3cret ü`.
    private static let password = "pbkdf2_sha256$1000$salt123$62mVX8vljP5WEfvwAlkPqRFi7hrfKDja3sDyUFX1IOU="

    /// Lets `body` work with an adopted database in which some people have that password.
    private func adopted(_ engine: Engine, _ body: (TestServer) async throws -> Void) async throws {
        try await TestServer.run(engine) { server in
            for name in ["root", "clerk", "user"] { try await server.make(name) }
            try await server.wiring.node.readModel.snapshot { try $0.requireAll() }
            try await server.change("INSERT INTO apus_adopted (name, last_id, end_id) VALUES ('none', 0, 0)")
            try await server.change("UPDATE myauth_user SET password = '\(Self.password)'")
            try await server.change("UPDATE myauth_user SET is_staff = TRUE WHERE username IN ('root', 'clerk')")
            try await server.change("UPDATE myauth_user SET is_superuser = TRUE WHERE username = 'root'")
            try await body(server)
        }
    }

    @Test("get in with the password that they had there, and nobody else", arguments: Engine.all)
    func passwords(engine: Engine) async throws {
        try await adopted(engine) { server in
            let stranger = try await Client(server)
            #expect(try await stranger.get("/admin/").html.contains("action=\"login/\""))
            for (name, password) in [("root", "wrong"), ("root", ""), ("user", "s3cret ü"), ("nobody", "s3cret ü"), ("", "")] {
                let answer = try await server.logIn(name, password)
                #expect((answer.status, answer.headers[.setCookie]) == (403, nil), "\(name)")
                #expect(answer.html.contains("Name or password are wrong"))
            }
            let root = try await server.staff("ROOT")
            #expect(try await root.get("/admin/").status == 200)
            #expect(try await root.submit("/admin/users/create/", ["name": "new"]).status == 303)
        }
    }

    @Test("who are no superusers see, and do not change", arguments: Engine.all)
    func lookers(engine: Engine) async throws {
        try await adopted(engine) { server in
            let clerk = try await server.staff("clerk")
            let user = try await server.wiring.node.readModel.snapshot { try $0.account(named: CanonicalName("user"))?.user.rawValue ?? 0 }
            for path in ["", "users/", "user/\(user)/", "collections/", "activity/", "log/", "backups/", "settings/", "diagnostics/"] {
                #expect(try await clerk.get("/admin/" + path).status == 200, "\(path)")
            }
            #expect(try await !clerk.get("/admin/users/").html.contains("Make the account"))
            #expect(try await !clerk.get("/admin/log/").html.contains("What can be done"))
            let key = try await clerk.formKey(at: "/admin/users/")
            let changing = [
                "users/create/", "users/invite/", "users/withdraw/", "user/\(user)/disable/", "user/\(user)/erase/", "log/verify/",
                "log/rebuild/", "job/x/stop/", "backups/backup/", "backups/download/", "user/\(user)/export/",
            ]
            for path in changing {
                let answer = try await clerk.send("/admin/" + path, ["name": "user"], key: key)
                #expect((answer.status, answer.html.contains("You may look, and not change")) == (403, true), "\(path)")
            }
            #expect(try await server.wiring.node.readModel.snapshot { try $0.account(named: CanonicalName("user"))?.isActive } == true)
        }
    }

    @Test("are out as soon as they are disabled, or no staff any more", arguments: Engine.all)
    func ends(engine: Engine) async throws {
        try await adopted(engine) { server in
            let (root, clerk) = (try await server.staff("root"), try await server.staff("clerk"))
            try await server.change("UPDATE myauth_user SET is_staff = FALSE WHERE username = 'clerk'")
            #expect(try await clerk.get("/admin/").status == 403)
            try await server.disable("root")
            #expect(try await root.get("/admin/").status == 403)
            #expect(try await server.logIn("root", "s3cret ü").status == 403)
        }
    }

    @Test("see names that were markup there as text", arguments: Engine.all)
    func names(engine: Engine) async throws {
        try await adopted(engine) { server in
            let hostile = "<script>alert(1)</script>\"'&"
            let root = try await server.staff("root")
            let user = try await server.wiring.node.readModel.snapshot { try $0.account(named: CanonicalName("user"))?.user.rawValue ?? 0 }
            try await server.change("UPDATE myauth_user SET username = '\(hostile.replacing("'", with: "''"))' WHERE username = 'user'")
            try await server.change("UPDATE myauth_user SET username = '<i>root' WHERE username = 'root'")
            let path = "user/\(user)/"
            for page in ["users/", "activity/", path, path + "disable/", path + "quota/", path + "erase/"] {
                let html = try await root.get("/admin/" + page).html
                #expect(html.contains("&lt;i&gt;root") && !html.contains("<i>"), "\(page)")
                #expect(!html.contains("<script"), "\(page)")
                if page.hasPrefix("user/") { #expect(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"), "\(page)") }
            }
        }
    }

    @Test("who guess are kept from it after some attempts", arguments: Engine.all)
    func guesses(engine: Engine) async throws {
        try await adopted(engine) { server in
            var settings = server.wiring.settings
            settings.api.limits.loginsOfName = RateLimit(3, in: .seconds(3600))
            let strict = try Wiring(server.wiring.node, settings, logger: server.logger)
            var statuses: [Int] = []
            for _ in 0..<4 { statuses.append(try await server.logIn("root", "wrong", on: strict).status) }
            #expect(statuses == [403, 403, 403, 429])
            let right = try await server.logIn("root", "s3cret ü", on: strict)
            #expect((right.status, right.headers[.retryAfter] != nil) == (429, true))
        }
    }
}

extension TestServer {
    fileprivate func change(_ script: String) async throws {
        try await wiring.node.database.write { try $0.run(script: script) }
    }

    fileprivate func logIn(_ name: String, _ password: String, on wiring: Wiring? = nil) async throws -> Answer {
        try await Client(self, on: wiring).send("/admin/login/", ["name": name, "password": password], key: .some(nil))
    }

    /// The browser of somebody who has logged in.
    fileprivate func staff(_ name: String) async throws -> Client {
        let cookie = try await logIn(name, "s3cret ü").headers[.setCookie]?.prefix { $0 != ";" }
        return try await Client(self).sending(.cookie, String(try #require(cookie)))
    }
}
