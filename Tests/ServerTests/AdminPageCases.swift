import Domain
import EventLog
import Foundation
import HTTPTypes
import Pages
import Sodium
import Testing

@testable import API
@testable import ReadModel
@testable import Server

private let userPage = "GET /admin/user/{id}/"
private let asking = "GET /admin/user/{id}/{action}/"
private let doing = "POST /admin/user/{id}/{action}/"
private let activityPage = "GET /admin/activity/"

/// All admins' pages that somebody may not be let into; with what is asked for by GET, and what changes something.
private let shown = [
    "/admin/", "/admin/settings/", "/admin/diagnostics/", "/admin/users/", "/admin/user/1/", "/admin/user/1/disable/",
    "/admin/collections/", "/admin/collection/x/", "/admin/activity/", "/admin/activity.csv", "/admin/activity.jsonl",
    "/admin/log/", "/admin/job/x/", "/admin/backups/",
]
private let changing = [
    "/admin/users/create/", "/admin/users/invite/", "/admin/users/withdraw/", "/admin/user/1/disable/", "/admin/user/1/erase/",
    "/admin/collection/x/restore/", "/admin/log/verify/", "/admin/log/rebuild/", "/admin/job/x/stop/",
    "/admin/backups/backup/", "/admin/backups/download/", "/admin/user/1/export/",
]

extension RouteCase {
    static let adminPages = adminDoors + adminUsers + adminHistory + adminJobs

    private static let adminDoors = [
        RouteCase("GET /admin/open/{secret}", "shows a button to whoever has a link of the command line, and changes nothing") { server in
            let path = try await server.adminLink()
            let client = try await Client(server)
            for _ in 0..<2 {
                let answer = try await client.get(path)
                #expect((answer.status, answer.headers[.setCookie]) == (200, nil))
            }
            // A link to an account is none to here, nor the other way around.
            let other = try await server.somebodyWithPages().dashboardPath()
            #expect(try await client.get(other.replacing("/account/", with: "/admin/")).status == 404)
            #expect(try await client.get(path.replacing("/admin/", with: "/account/")).status == 404)
        },
        RouteCase("POST /admin/open/{secret}", "lets in once, for four hours") { server in
            let path = try await server.adminLink()
            let client = try await Client(server)
            let answer = try await client.call(.post, path)
            #expect((answer.status, answer.headers[.location]) == (303, "../"))
            #expect(answer.headers[.setCookie]?.hasSuffix("; Path=/admin/; Max-Age=14400; HttpOnly; SameSite=Strict") == true)
            #expect(try await client.call(.post, path).status == 404)
            #expect(try await client.call(.post, "/admin/open/" + String(repeating: "x", count: 43)).status == 404)
        },
        RouteCase("GET /admin/", "tells how the server is, to nobody but who was let in") { server in
            let admin = try await server.admin()
            let answer = try await admin.get("/admin/")
            #expect(answer.status == 200)
            #expect(answer.html.contains("<dt>Log</dt>"))
            #expect(answer.html.matches(of: /<figure>\s*<figcaption>/).count == 4 && answer.html.contains("Requests a minute: "))
            let client = try await server.somebodyWithPages()
            let account = try #require(try await server.visit(client).headers[.cookie])
            let visitors = [
                try await Client(server), client, try await Client(server).sending(.cookie, account),
                try await Client(server).sending(.cookie, account.replacing("apus_account", with: "apus_admin")),
            ]
            for visitor in visitors {
                for path in shown { #expect(try await visitor.get(path).status == 403, "GET \(path)") }
                for path in changing { #expect(try await visitor.call(.post, path).status == 403, "POST \(path)") }
            }
            #expect(try await "\(admin.get("/admin"))" == "404 does_not_exist")
            #expect(try await "\(admin.get("/admin/nothing/"))" == "404 does_not_exist")
        },
        RouteCase("GET /admin/", "and every other page runs nothing, loads nothing, is in no frame, and is kept nowhere") { server in
            let client = try await server.somebodyWithPages()
            let (admin, own) = (try await server.admin(), try await server.visit(client))
            let user = try await server.adminPath(of: client)
            let uid = try await client.makeCollection()
            let there = [user, user + "erase/", user + "quota/", user + "export/", "/admin/collection/\(uid)/"]
            let ofAccount = ["", "collections/", "collection/\(uid)/", "activity/", "delete/"].map { "/account/" + $0 }
            let (stranger, files) = (try await Client(server), Set(["/admin/activity.csv", "/admin/activity.jsonl"]))
            let visits = [(admin, shown + there), (stranger, shown + there + [try await server.adminLink()]), (own, ofAccount)]
            for (visitor, paths) in visits {
                for path in paths {
                    let answer = try await visitor.get(path)
                    #expect(answer.headers[.cacheControl] == "no-store", "\(path)")
                    #expect(answer.headers[.xContentTypeOptions] == "nosniff", "\(path)")
                    guard answer.type?.hasPrefix("text/html") == true else {
                        #expect(files.contains(path), "\(path)")
                        continue
                    }
                    let policy = try #require(answer.headers[.contentSecurityPolicy], "\(path)")
                    #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-"), "\(path)")
                    #expect(policy.hasSuffix("'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"), "\(path)")
                    #expect(answer.headers[.frameOptions] == "DENY", "\(path)")
                    #expect(answer.headers[.referrerPolicy] == "no-referrer", "\(path)")
                    #expect(!answer.html.contains(" style=") && !answer.html.contains("<script"), "\(path)")
                }
            }
        },
        RouteCase("GET /admin/", "is where those are who look after the server, and then not where clients are") { server in
            var settings = server.wiring.settings
            settings.api.showsAdmin = false
            let apart = try Wiring(server.wiring.node, settings, logger: server.logger)
            let cookie = try #require(try await server.admin().headers[.cookie])
            let outside = try await Client(server, on: apart).sending(.cookie, cookie)
            #expect(try await "\(outside.get("/admin/"))" == "404 does_not_exist")
            let inside = try await Client(server, on: apart, as: .operators).sending(.cookie, cookie)
            #expect(try await inside.get("/admin/").status == 200)
        },
        RouteCase("POST /admin/sign-out/", "ends the visit; so does the command line, for all") { server in
            let admin = try await server.admin()
            #expect(try await admin.send("/admin/sign-out/", [:], key: "x").status == 403)
            #expect(try await admin.submit("/admin/sign-out/", [:]).status == 200)
            #expect(try await admin.get("/admin/").status == 403)
        },
        RouteCase("GET /admin/settings/", "shows settings with where each comes from") { server in
            var settings = server.wiring.settings
            settings.shown = [.init(name: "APUS_X", value: "<b>", source: "environment", summary: "What.")]
            let wiring = try Wiring(server.wiring.node, settings, logger: server.logger)
            let admin = try await Client(server, on: wiring).sending(.cookie, try #require(try await server.admin().headers[.cookie]))
            let page = try await admin.get("/admin/settings/").html
            #expect(page.contains("<strong>APUS_X</strong> <code>&lt;b&gt;</code> <span class=\"mark\">environment</span>"))
        },
        RouteCase("GET /admin/diagnostics/", "looks at nothing before it is asked") { server in
            let page = try await server.admin().get("/admin/diagnostics/")
            #expect((page.status, page.html.contains("What was found")) == (200, false))
        },
        RouteCase("POST /admin/diagnostics/", "shows what the doctor finds, and a report without it") { server in
            var settings = server.wiring.settings
            settings.diagnose = {
                [.init(number: 7, title: "Schema", result: "warning", found: "<secret>", meaning: "Something.", remedy: nil)]
            }
            let wiring = try Wiring(server.wiring.node, settings, logger: server.logger)
            let admin = try await Client(server, on: wiring).sending(.cookie, try #require(try await server.admin().headers[.cookie]))
            let page = try await admin.submit("/admin/diagnostics/", [:]).html
            #expect(page.contains("<pre>7 warning\n</pre>") && page.contains("&lt;secret&gt;"))
            #expect(try await admin.send("/admin/diagnostics/", [:], key: .some(nil)).status == 403)
        },
        RouteCase("POST /admin/login/", "takes nobody's password where there are none of a former server") { server in
            let answer = try await Client(server).send("/admin/login/", ["name": "x", "password": "y"], key: .some(nil))
            #expect(answer.status == 403)
            #expect(answer.html.contains("apus admin link"))
        },
    ]

    private static let adminUsers = [
        RouteCase("GET /admin/users/", "finds users by the beginning of their names, a page at a time") { server in
            let prefix = "find" + newUID().lowercased()
            for number in 10..<62 { try await server.make("\(prefix)\(number)") }
            let admin = try await server.admin()
            let first = try await admin.get("/admin/users/?name=\(prefix.uppercased())").html
            #expect(first.matches(of: /not set up yet/).count == 50)
            let next = try #require(first.firstMatch(of: /\/(\?name=[^"]*&amp;after=[^"]*)"/)).output.1.replacing("&amp;", with: "&")
            let second = try await admin.get("/admin/users/\(next)").html
            #expect(second.contains(">\(prefix)60</a>") && second.contains(">\(prefix)61</a>"))
            #expect(second.matches(of: /not set up yet/).count == 2)
            let none = try await admin.get("/admin/users/?name=%3Cscript%3E").html
            #expect(none.contains("There are no such users.") && none.contains("value=\"&lt;script&gt;\""))
        },
        RouteCase("POST /admin/users/create/", "makes an account, once, and tells what is wrong with a name") { server in
            let admin = try await server.admin()
            let name = "new" + newUID().lowercased()
            #expect(try await admin.submit("/admin/users/create/", ["name": name, "email": ""]).headers[.location] == "../?done=created")
            let again = try await admin.submit("/admin/users/create/", ["name": name])
            #expect((again.status, again.html.contains("User already exists")) == (400, true))
            let hostile = try await admin.submit("/admin/users/create/", ["name": "<script>", "email": "no address"])
            #expect(
                (hostile.status, hostile.html.contains("value=\"&lt;script&gt;\""), hostile.html.contains("<script")) == (400, true, false))
            let challenge = try await Client(server).post("/api/v1/authentication/login_challenge/", ["username": .text(name)])
            #expect("\(challenge)" == "401 user_not_init")
        },
        RouteCase("POST /admin/users/invite/", "makes a link that works, and shows it once") { server in
            let admin = try await server.admin()
            let page = try await admin.submit("/admin/users/invite/", [:]).html
            let path = try #require(page.firstMatch(of: /http:\/\/sync\.example\.com(\/join\/[A-Za-z0-9]{43})/)).output.1
            #expect(try await Client(server).get(String(path)).status == 200)
            #expect(try await !admin.get("/admin/users/").html.contains(path))
        },
        RouteCase("POST /admin/users/withdraw/", "makes a link useless") { server in
            let admin = try await server.admin()
            let page = try await admin.submit("/admin/users/invite/", [:]).html
            let secret = String(try #require(page.firstMatch(of: /\/join\/([A-Za-z0-9]{43})/)).output.1)
            let links = SignupLinks(server.wiring.node.database)
            let link = try #require(try await links.link(secret: secret, at: Node.clock()))
            #expect(page.contains("name=\"link\" value=\"\(link.id)\""))
            #expect(try await admin.submit("/admin/users/withdraw/", ["link": link.id]).headers[.location] == "../?done=withdrawn")
            #expect(try await Client(server).get("/join/\(secret)").status == 404)
        },
        RouteCase(userPage, "shows an account with its sessions and collections") { server in
            let client = try await server.somebody()
            let uid = try await client.makeCollection()
            let page = try await server.admin().get(server.adminPath(of: client)).html
            #expect(page.contains("<h1>\(client.name)</h1>") && page.contains(uid) && page.contains("\(client.name)@example.com"))
            #expect(page.contains("without a limit, as for all who have none of their own"))
            let id = try #require(try await server.wiring.node.readModel.snapshot { try $0.account(named: CanonicalName(client.name)) })
                .user
            try await Quotas(server.wiring.node.database).set(Quota(bytes: 5_500_000_000, collections: 3), of: id)
            let limited = try await server.admin().get(server.adminPath(of: client)).html
            #expect(limited.contains("<dt>Quota</dt><dd>5.5 GB, collections: 3</dd>"))
            let list = try await server.admin().get("/admin/users/?name=\(client.name)").html
            #expect(list.contains(/in use: \d+ B of 5\.5 GB<\/small>/))
            #expect(try await server.admin().get("/admin/user/999999999/").status == 404)
            #expect(try await server.admin().get("/admin/user/x/").status == 404)
        },
        RouteCase(asking, "says what will happen, and does nothing") { server in
            let client = try await server.somebody()
            _ = try await client.makeCollection()
            let admin = try await server.admin()
            for action in AdminPages.Action.allCases {
                let page = try await admin.get("\(server.adminPath(of: client))\(action.rawValue)/")
                #expect(page.status == 200)
                #expect(page.html.contains("type the name") == action.isFinal)
            }
            #expect(try await admin.get("\(server.adminPath(of: client))nothing/").status == 404)
            #expect(try await client.get("/api/v1/collection/").status == 200)
        },
        RouteCase(doing, "disables, enables and ends sessions") { server in
            let client = try await server.somebody()
            let admin = try await server.admin()
            let path = try await server.adminPath(of: client)
            #expect(try await admin.submit(path + "disable/", [:]).headers[.location] == "../?done=disable")
            #expect(try await "\(client.get("/api/v1/collection/"))" == "401 authentication_failed")
            #expect(try await admin.submit(path + "enable/", [:]).status == 303)
            #expect(try await client.get("/api/v1/collection/").status == 200)
            #expect(try await admin.submit(path + "end-sessions/", [:]).status == 303)
            #expect(try await "\(client.get("/api/v1/collection/"))" == "401 authentication_failed")
            let acts = try await AdminActs(server.wiring.node.database).newest(limit: 200).filter { $0.user == client.name }
            #expect(acts.map(\.action) == ["end-sessions", "enable", "disable"])
            #expect(Set(acts.map(\.session)).count == 1)
        },
        RouteCase(doing, "sets a quota, which holds at once, and nothing where a form does not say which") { server in
            let client = try await server.somebody()
            let admin = try await server.admin()
            let path = try await server.adminPath(of: client) + "quota/"
            let uid = try await client.makeCollection()
            #expect(try await admin.get(path).html.contains("id=\"items\" name=\"items\" value=\"\""))
            let mistakes = [["bytes": "much"], ["items": "-1"], ["collections": "0"], ["bytes": "99999999999GB"], ["items": "<b>"]]
            for mistake in mistakes {
                let answer = try await admin.submit(path, ["bytes": "", "items": "", "collections": ""].merging(mistake) { $1 })
                #expect((answer.status, answer.html.contains("Nothing was set.")) == (400, true), "\(mistake)")
                #expect(!answer.html.contains("<b>"))
            }
            #expect(try await admin.submit(path, ["items": "5"]).status == 400)
            let limits = ["bytes": " 5GB ", "items": "1", "collections": ""]
            #expect(try await admin.submit(path, limits).headers[.location] == "../?done=quota")
            #expect(try await admin.get(path).html.contains("name=\"bytes\" value=\"5000000000\""))
            try await client.commit(client.item(newUID()), to: uid)
            let items: Value = ["items": .list([client.item(newUID())])]
            let refused = try await client.post("/api/v1/collection/\(uid)/item/batch/", items)
            #expect("\(refused)" == "403 quota_exceeded")
            #expect(try await admin.submit(path, ["holds": "default"]).status == 303)
            #expect(try await client.post("/api/v1/collection/\(uid)/item/batch/", items).status == 200)
            let acts = try await AdminActs(server.wiring.node.database).newest(limit: 200).filter { $0.user == client.name }
            #expect(acts.map(\.thing) == ["as for all", "5 GB, items: 1"])
        },
        RouteCase(doing, "hands out what is stored of a user, which the list of what was done tells") { server in
            let client = try await server.somebody()
            let uid = try await client.makeCollection()
            let admin = try await server.admin()
            let path = try await server.adminPath(of: client)
            let answer = try await admin.submit(path + "export/", [:])
            #expect(answer.headers[.contentDisposition] == "attachment; filename=\"apus-export.tar\"")
            try expectExport(answer, of: client.name, holding: uid)
            let acts = try await AdminActs(server.wiring.node.database).newest(limit: 200)
            #expect(acts.contains { $0.action == "export" && $0.user == client.name })
        },
        RouteCase(doing, "resets and erases for who types the name") { server in
            let client = try await server.somebody()
            _ = try await client.makeCollection()
            let admin = try await server.admin()
            let path = try await server.adminPath(of: client)
            for action in ["reset/", "erase/"] {
                #expect(try await admin.submit(path + action, ["name": "another"]).status == 400)
                #expect(try await client.get("/api/v1/collection/").status == 200)
            }
            #expect(try await admin.submit(path + "reset/", ["name": client.name]).headers[.location] == "../?done=reset")
            let challenge = { try await Client(server).post("/api/v1/authentication/login_challenge/", ["username": .text(client.name)]) }
            #expect(try await "\(challenge())" == "401 user_not_init")
            let job = try await admin.finished(admin.submit(path + "erase/", ["name": client.name]))
            #expect(job.contains("<dd>done</dd>") && job.contains("The account is erased: ") && !job.contains(client.name))
            #expect(try await "\(challenge())" == "401 user_not_found")
            #expect(try await admin.get(path).html.contains("<dd>erased</dd>"))
            #expect(try await admin.get(path + "enable/").status == 404)
            // Nothing that is kept of what was done tells who it was.
            let page = try await admin.get("/admin/activity/").html
            #expect(!page.contains(client.name))
        },
        RouteCase(doing, "and every other form is taken only from a page of the visit") { server in
            let client = try await server.somebody()
            let admin = try await server.admin()
            let foreign = try await server.admin().formKey(at: "/admin/users/")
            let path = try await server.adminPath(of: client)
            for target in changing + [path + "disable/", path + "erase/"] {
                for key in [nil, "", foreign] {
                    #expect(try await admin.send(target, ["name": client.name], key: key).status == 403, "\(target)")
                }
            }
            #expect(try await client.get("/api/v1/collection/").status == 200)
        },
    ]

    private static let adminHistory = [
        RouteCase("GET /admin/collections/", "lists collections, a page at a time") { server in
            let client = try await server.somebody()
            let uid = try await client.makeCollection()
            let admin = try await server.admin()
            var (path, isThere, pages) = ("/admin/collections/", false, 0)
            while !isThere, pages < 100 {
                let page = try await admin.get(path).html
                isThere = page.contains("<code>\(uid)</code>")
                guard let next = page.firstMatch(of: /href="(\?after=\d+)"/) else { break }
                (path, pages) = ("/admin/collections/" + next.output.1, pages + 1)
            }
            #expect(isThere)
        },
        RouteCase("GET /admin/collection/{collection_uid}/", "shows what is deleted") { server in
            let client = try await server.somebody()
            let uid = try await client.makeCollection()
            let (item, _) = try await client.deletedItem(in: uid)
            let admin = try await server.admin()
            let page = try await admin.get("/admin/collection/\(uid)/").html
            #expect(page.contains(item) && page.contains(client.name))
            #expect(try await admin.get("/admin/collection/\(newUID())/").status == 404)
        },
        RouteCase("POST /admin/collection/{collection_uid}/restore/", "brings back for the operator") { server in
            let client = try await server.somebody()
            let uid = try await client.makeCollection()
            try await client.deleteCollection(uid)
            let admin = try await server.admin()
            let path = "/admin/collection/\(uid)/restore/"
            #expect(try await admin.submit(path, ["what": "last"]).headers[.location] == "../?done=restored")
            #expect(try await client.get("/api/v1/collection/\(uid)/").value["item"]?["content"]?["deleted"] == false)
            #expect(try await admin.submit(path, ["what": "last"]).status == 409)
            #expect(try await admin.submit("/admin/collection/\(newUID())/restore/", ["what": "last"]).status == 404)
        },
        RouteCase(activityPage, "tells what happened, by user and by collection") { server in
            let circle = try await server.circle()
            try await circle[.writer].commit(circle[.writer].item(newUID()), to: circle.uid)
            let admin = try await server.admin()
            let writer = try circle[.writer].name
            let all = try await admin.get("/admin/activity/?collection=\(circle.uid)").html
            #expect(all.contains("<strong>Item made</strong> by \(writer)") && all.contains("Collection made"))
            let own = try await admin.get("/admin/activity/?user=\(writer)").html
            #expect(own.contains("Item made") && !own.contains("Collection made"))
            #expect(try await admin.get("/admin/activity/").html.contains("Done on these pages"))
            #expect(try await admin.get("/admin/activity/?user=nobody").html.contains("There is no user of this name."))
        },
        RouteCase("GET /admin/activity.csv", "is a table in which nobody can put a formula") { server in
            var client = try await server.somebody()
            client = try await client.sending(.userAgent, "=HYPERLINK(\"x\"),1").logInAgain()
            let uid = try await client.makeCollection()
            let answer = try await server.admin().get("/admin/activity.csv?collection=\(uid)")
            #expect(answer.type == "text/csv; charset=utf-8")
            #expect(answer.headers[.contentDisposition] == "attachment; filename=\"activity.csv\"")
            let lines = answer.html.split(separator: "\r\n")
            #expect(lines.first?.hasPrefix("position,time,action,user,") == true)
            #expect(lines.dropFirst().allSatisfy { $0.contains(uid) })
            #expect(lines.last?.contains(",collection_created,\(client.name),") == true)
            #expect(lines.last?.contains("\"'=HYPERLINK(\"\"x\"\"),1\"") == true)
        },
        RouteCase("GET /admin/activity.jsonl", "is a line of JSON for each event") { server in
            let client = try await server.somebody()
            let uid = try await client.makeCollection()
            let answer = try await server.admin().get("/admin/activity.jsonl?collection=\(uid)")
            #expect(answer.type == "application/x-ndjson")
            #expect(answer.html.hasPrefix("{\"position\":\""))
            #expect(answer.html.contains("\"action\":\"collection_created\",\"user\":\"\(client.name)\""))
            #expect(try await server.admin().get("/admin/activity.jsonl?user=nobody").status == 404)
        },
    ]
}

extension RouteCase {
    static let adminJobs = [
        RouteCase("GET /admin/log/", "shows where the log ends, what follows it, and its epochs") { server in
            _ = try await server.somebody().makeCollection()
            let admin = try await server.admin()
            let page = try await admin.get("/admin/log/").html
            #expect(page.contains(/<dt>Ends at position<\/dt><dd>[1-9]\d*<\/dd>/))
            #expect(page.contains("<strong>main</strong>") && page.contains("<small>from position 1 on</small>"))
            try await Sealer(database: server.wiring.node.database, key: SealKey(secret: server.wiring.node.secret.value)).seal()
            #expect(try await admin.get("/admin/log/").html.contains(/<pre tabindex="0">apus-seal[^<]+<\/pre>/))
        },
        RouteCase("POST /admin/log/{work}/", "orders what is known, which the list of what was done tells") { server in
            let admin = try await server.admin()
            #expect(try await admin.submit("/admin/log/nothing/", [:]).status == 404)
            #expect(try await admin.submit("/admin/log/erase/", [:]).status == 404)
            let ordered = try await admin.submit("/admin/log/verify-log/", [:])
            let id = try #require(ordered.headers[.location]?.wholeMatch(of: /\.\.\/\.\.\/job\/([a-z0-9]+)\//)).output.1
            let job = try await admin.finished(ordered)
            #expect(job.contains("<dd>done</dd>") && job.contains("The log is sound: it ends at position "))
            #expect(!job.contains("http-equiv=\"refresh\""))
            let acts = try await AdminActs(server.wiring.node.database).newest(limit: 200)
            #expect(acts.contains { $0.action == "verify-log" && $0.thing == "job \(id)" })
            #expect(try await admin.get("/admin/log/").html.contains("job/\(id)/\">Verify the log</a>"))
        },
        RouteCase("GET /admin/backups/", "tells of the newest, and on PostgreSQL what to use") { server in
            let page = try await server.admin().get("/admin/backups/").html
            #expect(page.contains("<dt>Newest backup</dt>"))
            #expect(page.contains("pg_basebackup") != server.wiring.node.isAlone)
            #expect(page.contains("Make a backup") == server.wiring.node.isAlone)
        },
        RouteCase("POST /admin/backups/{work}/", "makes one, verifies it and hands it out; on PostgreSQL it does none of that") { server in
            let admin = try await server.admin()
            #expect(try await admin.submit("/admin/backups/nothing/", [:]).status == 404)
            #expect(try await admin.submit("/admin/backups/verify/", [:]).status == 404)
            guard server.wiring.node.isAlone else {
                for work in ["backup", "verify-backup", "download"] {
                    #expect(try await admin.submit("/admin/backups/\(work)/", [:]).status == 404, "\(work)")
                }
                return
            }
            #expect(try await admin.submit("/admin/backups/download/", [:]).status == 404)
            let none = try await admin.finished(admin.submit("/admin/backups/verify-backup/", [:]))
            #expect(none.contains("could not be done") && none.contains("There is no backup on this machine."))
            _ = try await server.somebody().makeCollection()
            let made = try await admin.finished(admin.submit("/admin/backups/backup/", [:]))
            #expect(made.contains("<dd>done</dd>") && made.contains("The backup has everything up to position "))
            let verified = try await admin.finished(admin.submit("/admin/backups/verify-backup/", [:]))
            #expect(verified.contains("<dd>done</dd>") && verified.contains("can be restored: "))
            let answer = try await admin.submit("/admin/backups/download/", [:])
            let name = try #require(try server.wiring.node.pageBackups.newest()).name
            #expect(answer.headers[.contentDisposition] == "attachment; filename=\"\(name)\"")
            #expect(answer.headers[.cacheControl] == "no-store")
            let file = server.wiring.node.pageBackups.folder + "/" + name
            #expect(answer.body.elementsEqual(try #require(FileManager.default.contents(atPath: file))))
            // One that was damaged is told.
            var bytes = answer.body
            for index in bytes.indices.suffix(4096) { bytes[index] = 0xff }
            try Data(bytes).write(to: URL(filePath: file))
            let damaged = try await admin.finished(admin.submit("/admin/backups/verify-backup/", [:]))
            #expect(damaged.contains("<dd>found something wrong</dd>"))
            #expect(!damaged.contains("can be restored"))
            // The next takes its place, and nothing else is left there.
            try FileManager.default.moveItem(atPath: file, toPath: server.wiring.node.pageBackups.folder + "/apus-20200101-000000.backup")
            _ = try await admin.finished(admin.submit("/admin/backups/backup/", [:]))
            let left = try FileManager.default.contentsOfDirectory(atPath: server.wiring.node.pageBackups.folder)
            #expect(left == [try #require(try server.wiring.node.pageBackups.newest()).name] && left != ["apus-20200101-000000.backup"])
            let acts = try await AdminActs(server.wiring.node.database).newest(limit: 200)
            #expect(acts.contains { $0.action == "download" && $0.thing == name })
        },
        RouteCase("GET /admin/job/{id}/", "tells that a job ended with its process, and shows no job that is none") { server in
            let jobs = Jobs(server.wiring.node.database)
            // Long enough ago that it is lost, and not so long that it is forgotten when another one begins.
            let anHourAgo = Timestamp(rawValue: Int64(Date().timeIntervalSince1970 - 3600) * 1_000_000)
            let (id, _) = try await jobs.begin(.erase, of: .init(rawValue: 1 << 40), by: "gone", at: anHourAgo)
            let admin = try await server.admin()
            let page = try await admin.get("/admin/job/\(id)/").html
            #expect(page.contains("ended with its process") && page.contains("It can be ordered anew"))
            #expect(!page.contains("Stop it") && !page.contains("http-equiv"))
            #expect(try await admin.get("/admin/job/none/").status == 404)
        },
        RouteCase("POST /admin/job/{id}/stop/", "stops what another process does, once, and nothing that has ended") { server in
            let jobs = Jobs(server.wiring.node.database)
            let (id, _) = try await jobs.begin(.erase, of: .init(rawValue: 1 << 41), by: "other", at: Node.clock())
            let admin = try await server.admin()
            let page = try await admin.get("/admin/job/\(id)/").html
            #expect(page.contains("<dd>at work</dd>") && page.contains("Stop it") && page.contains("http-equiv=\"refresh\""))
            #expect(try await jobs.goesOn(id, .init(), at: Node.clock()))
            #expect(try await admin.submit("/admin/job/\(id)/stop/", [:]).headers[.location] == "../")
            #expect(try await admin.get("/admin/job/\(id)/").html.contains("<dd>stopping</dd>"))
            #expect(try await !jobs.goesOn(id, .init(), at: Node.clock()))
            try await jobs.end(id, .stopped, [], .init(), at: Node.clock())
            #expect(try await admin.submit("/admin/job/\(id)/stop/", [:]).headers[.location] == "../?done=unstoppable")
            #expect(try await admin.submit("/admin/job/none/stop/", [:]).status == 404)
        },
    ]
}

extension Client {
    /// For what is waited for, on a busy machine.
    static let patience = Duration.seconds(60)

    /// The page of a job once it has ended.
    ///
    /// - Parameter ordered: what was answered to whoever has ordered it.
    func finished(_ ordered: Answer) async throws -> String {
        let location = try #require(ordered.headers[.location])
        let path = "/admin/" + location.trimmingPrefix(/(\.\.\/)+/)
        let deadline = ContinuousClock.now + Self.patience
        while true {
            let page = try await get(path).html
            guard page.contains("<dd>at work</dd>") else { return page }
            try #require(ContinuousClock.now < deadline, "the job does not end")
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

extension TestServer {
    /// The path of a link of the command line.
    func adminLink() async throws -> String {
        let keys = PageKeys(wiring.node.database)
        return "/admin/open/" + (try #require(try await keys.makeLink(to: .admin, goodFor: .seconds(900), at: Node.clock())))
    }

    /// The browser of whoever looks after the server, once a link was opened.
    func admin() async throws -> Client {
        let client = try await Client(self)
        let cookie = try await client.call(.post, adminLink()).headers[.setCookie]?.prefix { $0 != ";" }
        return client.sending(.cookie, String(try #require(cookie)))
    }

    /// Where a user's account is on the admins' pages.
    func adminPath(of client: Client) async throws -> String {
        let account = try await wiring.node.readModel.snapshot { try $0.account(named: CanonicalName(client.name)) }
        return "/admin/user/\(try #require(account).user.rawValue)/"
    }
}

extension Client {
    /// Sends a form as an admins' page does.
    func submit(_ path: String, _ fields: [String: String]) async throws -> Answer {
        try await send(path, fields, from: "/admin/users/")
    }
}
