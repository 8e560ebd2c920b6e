import Domain
import Foundation
import HTTPTypes
import Testing

@testable import API
@testable import ReadModel
@testable import Server

private let door = "GET /account/open/{secret}"
private let entering = "POST /account/open/{secret}"
private let firstPage = "GET /account/"
private let signingOut = "POST /account/device/"
private let listing = "GET /account/collections/"
private let inside = "GET /account/collection/{collection_uid}/"
private let restoring = "POST /account/collection/{collection_uid}/restore/"
private let history = "GET /account/activity/"
private let askingToDelete = "GET /account/delete/"
private let deleting = "POST /account/delete/"
private let leaving = "POST /account/sign-out/"

/// All pages of an account, with what is sent to those that take a form.
private func everyPage(of uid: String) -> [(HTTPRequest.Method, String)] {
    [
        (.get, "/account/"), (.post, "/account/device/"), (.get, "/account/collections/"), (.get, "/account/collection/\(uid)/"),
        (.post, "/account/collection/\(uid)/restore/"), (.get, "/account/activity/"), (.get, "/account/delete/"),
        (.post, "/account/delete/"), (.post, "/account/sign-out/"), (.post, "/account/export/"),
    ]
}

extension RouteCase {
    static let accountPages = accountDoors + accountUndo + accountEnds + accountExports

    private static let accountDoors = [
        RouteCase(door, "shows a button to whoever has a link that is good, and changes nothing") { server in
            let client = try await server.somebodyWithPages()
            let path = try await client.dashboardPath()
            for _ in 0..<3 {
                let answer = try await client.bearing(nil).get(path)
                #expect((answer.status, answer.type) == (200, "text/html; charset=utf-8"))
                #expect(answer.html.contains("<form method=\"post\">"))
                #expect(answer.headers[.setCookie] == nil)
            }
            let other = try await client.bearing(nil).get("/account/open/" + String(repeating: "x", count: 43))
            #expect((other.status, other.headers[.setCookie]) == (404, nil))
        },
        RouteCase(entering, "lets in once, with a cookie that neither scripts nor other sites have") { server in
            let client = try await server.somebodyWithPages()
            let path = try await client.dashboardPath()
            let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
                for _ in 0..<8 { group.addTask { try await Client(server, on: server.paged).call(.post, path) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.map(\.status).sorted() == [303] + Array(repeating: 404, count: 7))
            let entered = try #require(answers.first { $0.status == 303 })
            #expect(entered.headers[.location] == "../")
            let cookie = try #require(entered.headers[.setCookie])
            #expect(cookie.hasPrefix("apus_account="))
            #expect(cookie.hasSuffix("; Path=/account/; Max-Age=3600; HttpOnly; SameSite=Strict"))
            #expect(try await client.get(path).status == 404)
            // Behind a proxy that speaks TLS the cookie stays there.
            let secure = try await client.sending(.forwardedProto, "https").call(.post, client.dashboardPath())
            #expect(secure.headers[.setCookie]?.hasSuffix("; Secure") == true)
        },
        RouteCase(firstPage, "shows the own devices, with everything escaped that they say of themselves") { server in
            let client = try await server.somebodyWithPages()
            let hostile = "<script>alert(1)</script>\"'&"
            _ = try await client.sending(.userAgent, hostile).logInAgain()
            let answer = try await server.visit(client).get("/account/")
            #expect(answer.status == 200)
            #expect(answer.html.contains("Account of \(client.name)"))
            #expect(answer.html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"))
            #expect(!answer.html.contains("<script"))
            let policy = try #require(answer.headers[.contentSecurityPolicy])
            #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-"))
            #expect(policy.hasSuffix("'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"))
            #expect(answer.headers[.cacheControl] == "no-store")
            #expect(answer.headers[.frameOptions] == "DENY")
        },
        RouteCase(firstPage, "is shown to nobody else, by no way") { server in
            let client = try await server.somebodyWithPages()
            let uid = try await client.makeCollection()
            let visitor = try await server.visit(client)
            let stranger = try await Client(server, on: server.paged)
            for (method, path) in everyPage(of: uid) {
                let guess = stranger.sending(.cookie, "apus_account=" + String(repeating: "x", count: 43))
                for other in [stranger, stranger.bearing(client.token), guess] {
                    let answer = try await other.call(method, path)
                    #expect((answer.status, answer.type) == (403, "text/html; charset=utf-8"), "\(method) \(path)")
                    #expect(!answer.html.contains(client.name) && !answer.html.contains(uid))
                }
                // Another site's scripts may read nothing of it, whatever its browser sends along.
                let answer = try await visitor.sending(.origin, "https://evil.example.com").call(.get, "/account/")
                #expect(answer.headers[.accessControlAllowOrigin] == nil)
            }
            // A page without a slash at its end is none.
            #expect(try await "\(visitor.get("/account"))" == "404 does_not_exist")
            let off = try await Client(server, on: server.plainWithoutPages).sending(.cookie, try #require(visitor.headers[.cookie]))
            #expect(try await off.get("/account/").status == 403)
        },
        RouteCase(firstPage, "is open as long as the login that asked for it") { server in
            let client = try await server.somebodyWithPages()
            let visitor = try await server.visit(client)
            #expect(try await visitor.get("/account/").status == 200)
            _ = try await client.post("/api/v1/authentication/logout/")
            #expect(try await visitor.get("/account/").status == 403)
            let other = try await server.somebodyWithPages()
            let visit = try await server.visit(other)
            #expect(try await visit.get("/account/").status == 200)
            try await server.disable(other.name)
            #expect(try await visit.get("/account/").status == 403)
        },
    ]

    private static let accountUndo = [
        RouteCase(listing, "lists the own collections, a page at a time, and those that are deleted") { server in
            let client = try await server.somebodyWithPages()
            var uids: [String] = []
            for _ in 0..<52 { uids.append(try await client.makeCollection()) }
            let others = try await server.somebody().makeCollection()
            let visitor = try await server.visit(client)
            let first = try await visitor.get("/account/collections/").html
            let next = try #require(first.firstMatch(of: /\?after=\d+/)).output
            let second = try await visitor.get("/account/collections/" + next).html
            #expect(uids.filter { first.contains("<code>\($0)</code>") } == Array(uids.prefix(50)))
            #expect(uids.filter { second.contains("<code>\($0)</code>") } == Array(uids.suffix(2)))
            #expect(!(first + second).contains(others))
            #expect(!first.contains(">deleted<"))
        },
        RouteCase(inside, "shows what is deleted in it, to its members") { server in
            let client = try await server.somebodyWithPages()
            let uid = try await client.makeCollection()
            let (item, _) = try await client.deletedItem(in: uid)
            let page = try await server.visit(client).get("/account/collection/\(uid)/").html
            #expect(page.contains("<code>\(item)</code>"))
            let other = try await server.visit(server.somebodyWithPages())
            #expect(try await other.get("/account/collection/\(uid)/").status == 404)
            #expect(try await other.get("/account/collection/\(newUID())/").status == 404)
        },
        RouteCase(restoring, "brings back an item, what was deleted last, and the state of a time, for who may write") { server in
            let client = try await server.somebodyWithPages()
            let uid = try await client.makeCollection()
            let path = "/account/collection/\(uid)/restore/"
            let (item, revision) = try await client.deletedItem(in: uid)
            let visitor = try await server.visit(client)
            func current() async throws -> String? {
                let answer = try await client.call(.get, "/api/v1/collection/\(uid)/item/\(item)/")
                return answer.value["content"]?["uid"]?.text
            }
            #expect(try await current() != revision)
            #expect(try await visitor.send(path, ["what": "item", "item": item]).status == 303)
            #expect(try await current() == revision)
            let again = try await visitor.send(path, ["what": "item", "item": item])
            #expect((again.status, again.html.contains("This item is not deleted.")) == (409, true))
            try await client.deleteItem(item, in: uid, revision)
            #expect(try await visitor.send(path, ["what": "last"]).headers[.location] == "../?done=restored")
            #expect(try await current() == revision)
            for (time, words) in [
                ("", "Enter a date"), ("2026-02-31x", "Enter a date"), ("9999-01-01T00:00", "in the future"),
                ("1999-01-01T00:00", "was made at"),
            ] {
                let answer = try await visitor.send(path, ["what": "time", "at": time])
                #expect((answer.status, answer.html.contains(words)) == (409, true), "\(time)")
            }
            // It is an event of the user's, of the login that asked for the page.
            let entry = try await client.get("/api/v1/collection/\(uid)/audit/").value["data"]?.list?.last
            #expect(entry?["action"]?.text == "item_restored")
            #expect(entry?["username"]?.text == client.name)
            #expect(entry?["session"]?.text == Sessions.shortID(of: try #require(client.token)))
        },
        RouteCase(restoring, "brings back a collection that was deleted") { server in
            let client = try await server.somebodyWithPages()
            let uid = try await client.makeCollection()
            try await client.deleteCollection(uid)
            let visitor = try await server.visit(client)
            #expect(try await visitor.get("/account/collections/").html.contains(">deleted<"))
            #expect(try await visitor.get("/account/collection/\(uid)/").html.contains("Bring back the collection"))
            #expect(try await visitor.send("/account/collection/\(uid)/restore/", ["what": "last"]).status == 303)
            let item = try await client.get("/api/v1/collection/\(uid)/").value["item"]
            #expect(item?["content"]?["deleted"] == false)
        },
        RouteCase(restoring, "is for who may write, and for nobody else") { server in
            let circle = try await server.circle()
            let (item, _) = try await circle[.owner].deletedItem(in: circle.uid)
            var statuses: [Role: Int] = [:]
            for role in [Role.stranger, .reader, .writer] {
                let visitor = try await server.visit(circle[role])
                statuses[role] = try await visitor.send("/account/collection/\(circle.uid)/restore/", ["what": "item", "item": item]).status
            }
            #expect(statuses == [.stranger: 404, .reader: 403, .writer: 303])
        },
        RouteCase(history, "tells what the user did, newest first, and not what others did elsewhere") { server in
            let circle = try await server.circle()
            try await circle[.writer].commit(circle[.writer].item(newUID()), to: circle.uid)
            let owner = try await server.visit(circle[.owner]).get("/account/activity/").html
            #expect(owner.contains("<strong>Item made</strong> by \(try circle[.writer].name)"))
            #expect(owner.contains("<strong>Collection made</strong> by you"))
            let reader = try await server.visit(circle[.reader]).get("/account/activity/").html
            #expect(!reader.contains("Item made") && reader.contains("Account made"))
        },
    ]

    private static let accountEnds = [
        RouteCase(signingOut, "ends a device's login, and nobody else's") { server in
            let client = try await server.somebodyWithPages()
            let lost = try await client.logInAgain()
            let other = try await server.somebodyWithPages()
            let visitor = try await server.visit(client)
            let theirs = Sessions.shortID(of: try #require(other.token))
            #expect(try await visitor.send("/account/device/", ["session": theirs]).status == 303)
            #expect(try await other.get("/api/v1/collection/").status == 200)
            let session = Sessions.shortID(of: try #require(lost.token))
            #expect(try await lost.get("/api/v1/collection/").status == 200)
            #expect(try await visitor.send("/account/device/", ["session": session]).headers[.location] == "../?done=signed-out")
            #expect(try await "\(lost.get("/api/v1/collection/"))" == "401 authentication_failed")
            #expect(try await client.get("/api/v1/collection/").status == 200)
        },
        RouteCase(signingOut, "and every other form is taken only from a page of the visit") { server in
            let client = try await server.somebodyWithPages()
            let uid = try await client.makeCollection()
            let visitor = try await server.visit(client)
            let foreign = try await server.visit(server.somebodyWithPages()).formKey()
            for (method, path) in everyPage(of: uid) where method == .post {
                for key in [nil, "", foreign] {
                    let answer = try await visitor.send(path, ["name": client.name, "session": "x", "what": "last"], key: key)
                    #expect((answer.status, answer.type) == (403, "text/html; charset=utf-8"), "\(path)")
                    #expect(answer.html.contains("This form is not from here"))
                }
            }
            #expect(try await visitor.get("/account/").status == 200)
        },
        RouteCase(askingToDelete, "tells what goes and what stays") { server in
            let circle = try await server.circle()
            _ = try await circle[.owner].makeCollection()
            let page = try await server.visit(circle[.owner]).get("/account/delete/").html
            #expect(page.contains("<li>Collections that are only yours, and go with everything in them: 1"))
            #expect(page.contains("in which what you wrote stays: 1"))
        },
        RouteCase(deleting, "erases the account of who types the name, and nothing for who types another") { server in
            let client = try await server.somebodyWithPages()
            _ = try await client.makeCollection()
            let visitor = try await server.visit(client)
            let wrong = try await visitor.send("/account/delete/", ["name": "somebody"])
            #expect((wrong.status, wrong.html.contains("Nothing was deleted.")) == (400, true))
            #expect(try await client.get("/api/v1/collection/").status == 200)
            let gone = try await visitor.send("/account/delete/", ["name": client.name.uppercased()])
            #expect(gone.status == 200)
            #expect(gone.headers[.setCookie]?.contains("Max-Age=0") == true)
            #expect(try await "\(client.get("/api/v1/collection/"))" == "401 authentication_failed")
            #expect(try await visitor.get("/account/").status == 403)
            let challenge = try await client.bearing(nil).post("/api/v1/authentication/login_challenge/", ["username": .text(client.name)])
            #expect("\(challenge)" == "401 user_not_found")
        },
        RouteCase(leaving, "ends the visit, and not the login") { server in
            let client = try await server.somebodyWithPages()
            let visitor = try await server.visit(client)
            let answer = try await visitor.send("/account/sign-out/", [:])
            #expect((answer.status, answer.headers[.setCookie]?.contains("Max-Age=0")) == (200, true))
            #expect(try await visitor.get("/account/").status == 403)
            #expect(try await client.get("/api/v1/collection/").status == 200)
        },
    ]
}

extension Answer {
    var html: String { String(decoding: body, as: UTF8.self) }
}

extension HTTPField.Name {
    static let forwardedProto = name("X-Forwarded-Proto")
    static let frameOptions = name("X-Frame-Options")
    static let referrerPolicy = name("Referrer-Policy")

    private static func name(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is a header's name") }
        return name
    }
}

extension TestServer {
    /// The server as it is where no other dashboard is named.
    var paged: Wiring {
        get throws {
            var settings = wiring.settings
            settings.api.dashboardURL = nil
            return try Wiring(wiring.node, settings, logger: logger)
        }
    }

    /// As it is where accounts have no pages.
    var plainWithoutPages: Wiring {
        get throws {
            var settings = plain.settings
            settings.api.hasAccountPage = false
            return try Wiring(plain.node, settings, logger: logger)
        }
    }

    /// Somebody who has just signed up, at a server whose accounts have pages.
    func somebodyWithPages() async throws -> Client {
        let somebody = try await somebody()
        var client = try await Client(self, name: somebody.name, on: paged)
        client.token = somebody.token
        return client
    }

    /// Somebody's browser, once the dashboard button was pressed.
    func visit(_ somebody: Client) async throws -> Client {
        let client = try await Client(self, name: somebody.name, on: paged).bearing(somebody.token)
        let entered = try await client.bearing(nil).call(.post, client.dashboardPath())
        let cookie = try #require(entered.headers[.setCookie]?.prefix { $0 != ";" })
        return client.bearing(nil).sending(.cookie, String(cookie))
    }
}

extension Client {
    /// Where the dashboard button leads.
    func dashboardPath() async throws -> String {
        let url = try #require(try await post("/api/v1/authentication/dashboard_url/").value["url"]?.text)
        let start = "http://\(TestServer.authority)"
        try #require(url.hasPrefix(start + "/account/open/"))
        return String(url.dropFirst(start.count))
    }

    /// What the forms of this visit bear.
    func formKey(at path: String = "/account/") async throws -> String {
        String(try #require(try await get(path).html.firstMatch(of: /name="key" value="([0-9a-f]+)"/)).output.1)
    }

    /// Sends a form as a page of this visit does.
    ///
    /// - Parameter key: what the form bears instead; nil in it for none.
    func send(_ path: String, _ fields: [String: String], key: String?? = .none, from page: String = "/account/") async throws -> Answer {
        let body: [UInt8] =
            switch key {
            case .none: try await form(fields, from: page)
            case .some(let key): Self.form(key.map { fields.merging(["key": $0]) { $1 } } ?? fields)
            }
        return try await sending(.contentType, "application/x-www-form-urlencoded").call(.post, path, body: body)
    }

    /// What a form of this visit sends.
    func form(_ fields: [String: String], from page: String = "/account/") async throws -> [UInt8] {
        Self.form(fields.merging(["key": try await formKey(at: page)]) { $1 })
    }

    private static func form(_ fields: [String: String]) -> [UInt8] {
        let pairs = fields.map { name, value in
            "\(name)=" + value.utf8.map { "%" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        return Array(pairs.joined(separator: "&").utf8)
    }

    /// The same person on another device.
    func logInAgain() async throws -> Client {
        let answer = try await bearing(nil).post("/api/v1/authentication/login/", signed(loginResponse()))
        return bearing(try #require(answer.value["token"]?.text, "\(answer)"))
    }

    /// Makes an item, and deletes it.
    ///
    /// - Returns: its uid, and what it was at last.
    func deletedItem(in collection: String) async throws -> (item: String, revision: String) {
        let (item, revision) = (newUID(), newUID())
        try await commit(self.item(item, revision: revision), to: collection)
        try await deleteItem(item, in: collection, revision)
        return (item, revision)
    }

    func deleteItem(_ item: String, in collection: String, _ etag: String) async throws {
        try await commit(deletion(item, etag), to: collection)
    }

    func deleteCollection(_ uid: String) async throws {
        let etag = try #require(try await get("/api/v1/collection/\(uid)/").value["item"]?["content"]?["uid"]?.text)
        try await commit(deletion(uid, etag), to: uid)
    }

    private func deletion(_ item: String, _ etag: String) -> Value {
        self.item(item, etag: .text(etag)).with([
            "content": ["uid": .text(newUID()), "meta": .bytes([7]), "deleted": true, "chunks": []]
        ])
    }
}

extension RouteCase {
    fileprivate static let accountExports = [
        RouteCase("POST /account/export/", "hands out what is stored of the user, and of nobody else") { server in
            let (client, other) = (try await server.somebodyWithPages(), try await server.somebodyWithPages())
            let (uid, foreign) = (try await client.makeCollection(), try await other.makeCollection())
            let visitor = try await server.visit(client)
            #expect(try await visitor.send("/account/export/", [:], key: .some(nil)).status == 403)
            let answer = try await visitor.send("/account/export/", [:])
            try expectExport(answer, of: client.name, holding: uid)
            #expect(!answer.html.contains(foreign) && !answer.html.contains(other.name))
            #expect(answer.headers[.cacheControl] == "no-store")
        }
    ]
}

/// What a program that knows tar finds in an export.
func expectExport(_ answer: Answer, of name: String, holding uid: String) throws {
    #expect((answer.status, answer.type) == (200, "application/x-tar"))
    let folder = FileManager.default.temporaryDirectory.appending(path: "export-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let archive = folder.appending(path: "archive.tar")
    try Data(answer.body).write(to: archive)
    let tar = Process()
    tar.executableURL = URL(filePath: "/bin/tar")
    tar.arguments = ["-xf", archive.path(percentEncoded: false), "-C", folder.path(percentEncoded: false)]
    try tar.run()
    tar.waitUntilExit()
    #expect(tar.terminationStatus == 0)
    let lines = { (file: String) in try String(contentsOf: folder.appending(path: "apus-export/\(file).jsonl"), encoding: .utf8) }
    #expect(try lines("account").contains("\"\(name)\"") && lines("collections").contains("\"\(uid)\""))
    #expect(FileManager.default.fileExists(atPath: folder.appending(path: "apus-export/README.txt").path(percentEncoded: false)))
}
