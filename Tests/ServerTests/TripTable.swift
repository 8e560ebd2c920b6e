import Domain
import HTTPTypes
import Sodium

@testable import API
@testable import ReadModel
@testable import Server

private let probe = "/api/v1/doctor/{probe}/{what}/"
private let collection = "/api/v1/collection/{collection_uid}/"

/// Items with a chunk each.
private func items(_ count: Int, of client: Client) -> [Value] {
    (0..<count).map { number in
        client.item("item\(number)" + newUID(), chunks: [[.text(newUID()), .bytes([UInt8](repeating: UInt8(number), count: 300))]])
    }
}

extension Client {
    /// A collection of its own with so many items.
    fileprivate func filled(_ count: Int) async throws -> (path: String, items: [Value]) {
        let uid = try await makeCollection()
        let items = items(count, of: self)
        let answer = try await post("/api/v1/collection/\(uid)/item/batch/", ["items": .list(items)])
        guard answer.status == 200 else { throw APIError.unavailable }
        return ("/api/v1/collection/\(uid)/", items)
    }
}

extension RouteTrips {
    static let all = operations + accountPages + adminPages + accounts + collections + items + commits + chunks + members + invitations

    private static let operations = [
        RouteTrips("GET /health", trips: 0, reads: 0) { Request(try await Client($0), .get, "/health") },
        RouteTrips("GET /live", trips: 0, reads: 0) { Request(try await Client($0), .get, "/live") },
        RouteTrips("GET /ready", trips: 0, reads: 0) { server in
            let client = try await Client(server)
            // On a busy machine the projector comes later than whoever asks.
            let deadline = ContinuousClock.now + Client.patience
            while try await client.get("/ready").status != 200, ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(20))
            }
            return Request(client, .get, "/ready")
        },
        RouteTrips("GET /metrics", trips: 0, reads: 0) {
            Request(try await Client($0).sending(.authorization, "Bearer seen"), .get, "/metrics")
        },
        RouteTrips("GET /", trips: 0, reads: 0) { Request(try await Client($0), .get, "/") },
        RouteTrips("GET /join/{secret}", trips: 1, reads: 1) { Request(try await Client($0), .get, try await $0.link()) },
        RouteTrips("POST /join/{secret}", "without a name", trips: 4, reads: 2) {
            Request(try await Client($0), .post, try await $0.link(), expecting: 400)
        },
        RouteTrips("GET /openapi.json", trips: 0, reads: 0) { Request(try await Client($0), .get, "/openapi.json") },
        RouteTrips("GET \(probe)", "of a doctor that nobody has called", trips: 0, reads: 0) {
            Request(try await Client($0), .get, "/api/v1/doctor/none/echo/", expecting: 404)
        },
        RouteTrips("PUT \(probe)", "of a doctor that nobody has called", trips: 0, reads: 0) {
            Request(try await Client($0), .put, "/api/v1/doctor/none/echo/", expecting: 404)
        },
        RouteTrips("POST \(probe)", "of a doctor that nobody has called", trips: 0, reads: 0) {
            Request(try await Client($0), .post, "/api/v1/doctor/none/echo/", expecting: 404)
        },
        RouteTrips("PATCH \(probe)", "of a doctor that nobody has called", trips: 0, reads: 0) {
            Request(try await Client($0), .patch, "/api/v1/doctor/none/echo/", expecting: 404)
        },
        RouteTrips("DELETE \(probe)", "of a doctor that nobody has called", trips: 0, reads: 0) {
            Request(try await Client($0), .delete, "/api/v1/doctor/none/echo/", expecting: 404)
        },
        RouteTrips("GET /api/v1/ws/{ticket}/", trips: 1, reads: 1) { server in
            let client = try await server.somebody()
            return Request(client.bearing(nil).upgrading, .get, try await client.socketPath(client.makeCollection()))
        },
        RouteTrips("POST \(collection)item/subscription-ticket/", trips: 4, reads: 1) { server in
            let client = try await server.somebody()
            return Request(client, .post, try await client.filled(0).path + "item/subscription-ticket/")
        },
    ]

    private static let accountPages = [
        RouteTrips("GET /account/open/{secret}", trips: 1, reads: 1) {
            Request(try await $0.somebodyWithPages().bearing(nil), .get, try await $0.somebodyWithPages().dashboardPath())
        },
        RouteTrips("POST /account/open/{secret}", trips: 5, reads: 0, writes: 1) {
            Request(try await $0.somebodyWithPages().bearing(nil), .post, try await $0.somebodyWithPages().dashboardPath(), expecting: 303)
        },
        page("GET /account/", trips: 10, reads: 4),
        form("POST /account/device/", ["session": "none"], trips: 10, reads: 4, writes: 1, expecting: 303),
        page("GET /account/collections/", trips: 10, reads: 3),
        RouteTrips("GET /account/collection/{collection_uid}/", trips: 10, reads: 3) { server in
            let client = try await server.somebodyWithPages()
            let uid = try await client.makeCollection()
            return Request(try await server.visit(client), .get, "/account/collection/\(uid)/")
        },
        RouteTrips("POST /account/collection/{collection_uid}/restore/", trips: 14, reads: 4, writes: 1) { server in
            let client = try await server.somebodyWithPages()
            let uid = try await client.makeCollection()
            _ = try await client.deletedItem(in: uid)
            let visitor = try await server.visit(client)
            let body = try await visitor.form(["what": "last"])
            return Request(visitor, .post, "/account/collection/\(uid)/restore/", body: body, expecting: 303)
        },
        page("GET /account/activity/", trips: 14, reads: 3),
        page("GET /account/delete/", trips: 13, reads: 3),
        form("POST /account/delete/", but: "under another name", ["name": "another"], trips: 11, reads: 3, expecting: 400),
        form("POST /account/export/", [:], trips: 60, reads: 4),
        form("POST /account/sign-out/", [:], trips: 8, reads: 2, writes: 1),
    ]

    private static let adminPages: [RouteTrips] = adminDoors + adminShown + adminForms + adminUser + adminJobs

    private static let adminDoors: [RouteTrips] = [
        RouteTrips("GET /admin/open/{secret}", trips: 1, reads: 1) { Request(try await Client($0), .get, try await $0.adminLink()) },
        RouteTrips("POST /admin/open/{secret}", trips: 5, reads: 0, writes: 1) {
            Request(try await Client($0), .post, try await $0.adminLink())
        },
        RouteTrips("POST /admin/login/", "of nobody", trips: 6, reads: 2) {
            Request(try await Client($0), .post, "/admin/login/", body: Array("name=x".utf8), expecting: 403)
        },
        RouteTrips("GET /admin/activity.csv", "of nobody", trips: 12, reads: 4) {
            Request(try await $0.admin(), .get, "/admin/activity.csv?user=nobody", expecting: 404)
        },
        RouteTrips("GET /admin/activity.jsonl", "of nobody", trips: 12, reads: 4) {
            Request(try await $0.admin(), .get, "/admin/activity.jsonl?user=nobody", expecting: 404)
        },
        RouteTrips("GET /admin/collection/{collection_uid}/", trips: 12, reads: 4) { server in
            let uid = try await server.somebody().makeCollection()
            return Request(try await server.admin(), .get, "/admin/collection/\(uid)/")
        },
    ]

    private static let places = ["", "settings/", "diagnostics/", "users/", "collections/", "activity/", "log/", "backups/"]
    private static let adminShown: [RouteTrips] = places.map { place in
        let (trips, reads) = (["", "log/"].contains(place) ? 20 : 12, ["log/", "backups/"].contains(place) ? 6 : 4)
        return RouteTrips("GET /admin/\(place)", trips: trips, reads: reads) {
            Request(try await $0.admin(), .get, "/admin/\(place)")
        }
    }

    private static let adminForms: [RouteTrips] = [
        adminForm("sign-out/"), adminForm("diagnostics/"), adminForm("users/create/", ["name": ""], expecting: 400),
        adminForm("users/invite/"), adminForm("users/withdraw/", ["link": "none"]),
        adminForm("collection/{collection_uid}/restore/", ["what": "last"], expecting: 404),
    ]

    private static let adminJobs: [RouteTrips] = [
        RouteTrips("GET /admin/job/{id}/", trips: 10, reads: 2) { server in
            Request(try await server.admin(), .get, "/admin/job/\(try await job(on: server))/")
        },
        RouteTrips("POST /admin/job/{id}/stop/", trips: 20, reads: 2, writes: 2) { server in
            let admin = try await server.admin()
            let path = "/admin/job/\(try await job(on: server))/stop/"
            return Request(admin, .post, path, body: try await admin.form([:], from: "/admin/users/"))
        },
        RouteTrips("POST /admin/backups/{work}/", "of no kind that there is", trips: 20, reads: 4) { server in
            let admin = try await server.admin()
            let body = try await admin.form([:], from: "/admin/users/")
            return Request(admin, .post, "/admin/backups/none/", body: body, expecting: 404)
        },
        RouteTrips("POST /admin/log/{work}/", trips: 20, reads: 2, writes: 3) { server in
            let admin = try await server.admin()
            return Request(admin, .post, "/admin/log/verify-log/", body: try await admin.form([:], from: "/admin/users/"))
        },
    ]

    /// A job that another process does.
    private static func job(on server: TestServer) async throws -> String {
        let user = UserID(rawValue: .random(in: 1 << 40..<1 << 50))
        return try await Jobs(server.wiring.node.database).begin(.erase, of: user, by: "other", at: Node.clock()).id
    }

    private static func adminForm(_ place: String, _ fields: [String: String] = [:], expecting status: Int? = nil) -> RouteTrips {
        RouteTrips("POST /admin/\(place)", trips: 20, reads: 5, writes: 2) { server in
            let admin = try await server.admin()
            let path = "/admin/" + place.replacing("{collection_uid}", with: "none")
            return Request(admin, .post, path, body: try await admin.form(fields, from: "/admin/users/"), expecting: status)
        }
    }

    private static let adminUser: [RouteTrips] = [
        RouteTrips("GET /admin/user/{id}/", trips: 20, reads: 5) { server in
            Request(try await server.admin(), .get, try await server.adminPath(of: server.somebody()))
        },
        RouteTrips("GET /admin/user/{id}/{action}/", trips: 20, reads: 5) { server in
            Request(try await server.admin(), .get, try await server.adminPath(of: server.somebody()) + "erase/")
        },
        RouteTrips("POST /admin/user/{id}/{action}/", trips: 20, reads: 5, writes: 2) { server in
            let admin = try await server.admin()
            let body = try await admin.form([:], from: "/admin/users/")
            return Request(admin, .post, try await server.adminPath(of: server.somebody()) + "disable/", body: body)
        },
    ]

    /// A page of an account.
    private static func page(_ route: String, trips: Int, reads: Int) -> RouteTrips {
        RouteTrips(route, trips: trips, reads: reads) { server in
            let client = try await server.somebodyWithPages()
            _ = try await client.makeCollection()
            return Request(try await server.visit(client), .get, String(route.dropFirst("GET ".count)))
        }
    }

    /// A form of such a page.
    private static func form(
        _ route: String, but sentence: String = "as it is mostly asked", _ fields: [String: String], trips: Int, reads: Int,
        writes: Int = 0, expecting status: Int? = nil
    ) -> RouteTrips {
        RouteTrips(route, sentence, trips: trips, reads: reads, writes: writes) { server in
            let visitor = try await server.visit(server.somebodyWithPages())
            let path = String(route.dropFirst("POST ".count))
            return Request(visitor, .post, path, body: try await visitor.form(fields), expecting: status)
        }
    }

    private static let accounts = [
        RouteTrips("GET /api/v1/authentication/is_etebase/", trips: 0, reads: 0) {
            Request(try await Client($0), .get, "/api/v1/authentication/is_etebase/")
        },
        RouteTrips("POST /api/v1/authentication/signup/", trips: 14, reads: 2, writes: 2) { server in
            let client = try await Client(server, name: "u" + newUID().lowercased())
            return Request(client, .post, "/api/v1/authentication/signup/", client.signUp)
        },
        RouteTrips("POST /api/v1/authentication/login_challenge/", trips: 1, reads: 1) { server in
            let client = try await server.somebody()
            return Request(client, .post, "/api/v1/authentication/login_challenge/", ["username": .text(client.name)])
        },
        RouteTrips("POST /api/v1/authentication/login/", trips: 6, reads: 1, writes: 1) { server in
            let client = try await server.somebody()
            return Request(client, .post, "/api/v1/authentication/login/", client.signed(try await client.loginResponse()))
        },
        RouteTrips("POST /api/v1/authentication/logout/", trips: 3, reads: 1, writes: 1) { server in
            Request(try await server.somebody(), .post, "/api/v1/authentication/logout/")
        },
        RouteTrips("POST /api/v1/authentication/change_password/", trips: 13, reads: 2, writes: 2) { server in
            let client = try await server.somebody()
            let new = SigningKey(seed: Sodium.blake2b(Array(newUID().utf8)))
            let response = try await client.loginResponse([
                "action": "changePassword", "loginPubkey": .bytes(new.publicKey), "encryptedContent": .bytes([9]),
            ])
            return Request(client, .post, "/api/v1/authentication/change_password/", client.signed(response))
        },
        RouteTrips("POST /api/v1/authentication/dashboard_url/", trips: 3, reads: 1) { server in
            Request(try await server.somebody(), .post, "/api/v1/authentication/dashboard_url/")
        },
        RouteTrips("POST /api/v1/test/authentication/reset/", trips: 9, reads: 1, writes: 1) { server in
            let client = try await Client(server, name: "test_user_" + newUID().lowercased())
            _ = try await client.post("/api/v1/authentication/signup/", client.signUp)
            return Request(client, .post, "/api/v1/test/authentication/reset/", client.signUp)
        },
    ]

    private static let collections = [
        RouteTrips("GET /api/v1/collection/", trips: 6, reads: 1) { server in
            let client = try await server.somebody()
            for _ in 1...3 { _ = try await client.makeCollection() }
            return Request(client, .get, "/api/v1/collection/")
        },
        RouteTrips("GET /api/v1/collection/", "when nothing has changed", trips: 1, reads: 1) { server in
            let client = try await server.somebody()
            _ = try await client.makeCollection()
            let stoken = try await client.get("/api/v1/collection/").value["stoken"]?.text ?? ""
            return Request(client, .get, "/api/v1/collection/?stoken=\(stoken)")
        },
        RouteTrips("POST /api/v1/collection/list_multi/", trips: 6, reads: 1) { server in
            let client = try await server.somebody()
            for _ in 1...3 { _ = try await client.makeCollection() }
            return Request(client, .post, "/api/v1/collection/list_multi/", ["collectionTypes": [client.type]])
        },
        RouteTrips("POST /api/v1/collection/", trips: 6, reads: 1, writes: 1) { server in
            let client = try await server.somebody()
            return Request(client, .post, "/api/v1/collection/", client.creation(newUID()))
        },
        RouteTrips("GET \(collection)", trips: 6, reads: 1) { server in
            let client = try await server.somebody()
            return Request(client, .get, try await client.filled(1).path)
        },
        RouteTrips("GET \(collection)audit/", trips: 7, reads: 1) { server in
            let client = try await server.somebody()
            return Request(client, .get, try await client.filled(1).path + "audit/")
        },
    ]

    private static let items = [
        RouteTrips("GET \(collection)item/", trips: 1, reads: 1) { server in
            let client = try await server.somebody()
            return Request(client, .get, try await client.filled(50).path + "item/?limit=30")
        },
        RouteTrips("GET \(collection)item/", "after a stoken", trips: 2, reads: 2) { server in
            let client = try await server.somebody()
            let path = try await client.filled(50).path + "item/"
            let stoken = try await client.get(path + "?limit=30").value["stoken"]?.text ?? ""
            return Request(client, .get, path + "?stoken=\(stoken)")
        },
        RouteTrips("GET \(collection)item/", "when nothing has changed", trips: 1, reads: 1) { server in
            let client = try await server.somebody()
            let path = try await client.filled(1).path + "item/"
            let stoken = try await client.get(path).value["stoken"]?.text ?? ""
            return Request(client, .get, path + "?stoken=\(stoken)")
        },
        RouteTrips("GET \(collection)item/{item_uid}/", trips: 1, reads: 1) { server in
            let client = try await server.somebody()
            let (path, items) = try await client.filled(2)
            return Request(client, .get, path + "item/\(items[0]["uid"]?.text ?? "")/")
        },
        RouteTrips("GET \(collection)item/{item_uid}/revision/", trips: 7, reads: 1) { server in
            let client = try await server.somebody()
            let (path, items) = try await client.filled(2)
            return Request(client, .get, path + "item/\(items[0]["uid"]?.text ?? "")/revision/")
        },
        RouteTrips("POST \(collection)item/fetch_updates/", "of 50 items that have not changed", trips: 1, reads: 1) { server in
            let client = try await server.somebody()
            let (path, items) = try await client.filled(50)
            let known = items.map { ["uid": $0["uid"] ?? nil, "etag": $0["content"]?["uid"] ?? nil] as Value }
            return Request(client, .post, path + "item/fetch_updates/", .list(known))
        },
        RouteTrips("POST \(collection)item/fetch_updates/", "of 50 items that have changed", trips: 1, reads: 1) { server in
            let client = try await server.somebody()
            let (path, items) = try await client.filled(50)
            let known = items.map { ["uid": $0["uid"] ?? nil, "etag": .text(newUID())] as Value }
            return Request(client, .post, path + "item/fetch_updates/", .list(known))
        },
    ]

    private static let commits = [
        RouteTrips("POST \(collection)item/batch/", "of one new item", trips: 3, reads: 1, writes: 1) { server in
            let client = try await server.somebody()
            return Request(client, .post, try await client.filled(1).path + "item/batch/", ["items": .list(RouteTrips.new(1, client))])
        },
        RouteTrips("POST \(collection)item/batch/", "of one new item, where the owner has a quota", trips: 9, reads: 1, writes: 1) {
            server in
            let client = try await server.somebody()
            let path = try await client.filled(1).path + "item/batch/"
            try await server.limit(client, to: Quota(items: 100))
            return Request(client, .post, path, ["items": .list(RouteTrips.new(1, client))])
        },
        RouteTrips("POST \(collection)item/batch/", "of 50 items, sent again", trips: 8, reads: 1, writes: 1) { server in
            let client = try await server.somebody()
            let (path, items) = try await client.filled(50)
            return Request(client, .post, path + "item/batch/", ["items": .list(items)])
        },
        RouteTrips("POST \(collection)item/transaction/", trips: 3, reads: 1, writes: 1) { server in
            let client = try await server.somebody()
            return Request(
                client, .post, try await client.filled(1).path + "item/transaction/", ["items": .list(RouteTrips.new(5, client))])
        },
    ]

    private static func new(_ count: Int, _ client: Client) -> [Value] { ServerTests.items(count, of: client) }

    private static let chunks = [
        RouteTrips("PUT \(collection)item/{item_uid}/chunk/{chunk_uid}/", trips: 6, reads: 1, writes: 1) { server in
            let client = try await server.somebody()
            return Request(client, .put, try await client.filled(1).path + "item/any/chunk/\(newUID())/", body: [1, 2])
        },
        RouteTrips("GET \(collection)item/{item_uid}/chunk/{chunk_uid}/download/", trips: 5, reads: 1) { server in
            let client = try await server.somebody()
            let path = try await client.filled(1).path + "item/any/chunk/\(newUID())/"
            _ = try await client.call(.put, path, body: [1, 2])
            return Request(client, .get, path + "download/")
        },
    ]

    private static let members = [
        RouteTrips("GET \(collection)member/", trips: 5, reads: 1) { server in
            let client = try await server.somebody()
            return Request(client, .get, try await client.filled(1).path + "member/")
        },
        RouteTrips("POST \(collection)member/leave/", trips: 6, reads: 1, writes: 1) { server in
            let circle = try await server.circle()
            return Request(try circle[.reader], .post, circle.path + "/member/leave/")
        },
        RouteTrips("DELETE \(collection)member/{username}/", trips: 12, reads: 1, writes: 1) { server in
            let circle = try await server.circle()
            return Request(try circle[.owner], .delete, circle.path + "/member/\(try circle[.reader].name)/")
        },
        RouteTrips("PATCH \(collection)member/{username}/", trips: 12, reads: 1, writes: 1) { server in
            let circle = try await server.circle()
            return Request(try circle[.owner], .patch, circle.path + "/member/\(try circle[.reader].name)/", ["accessLevel": 2])
        },
    ]

    private static let invitations = [
        RouteTrips("GET /api/v1/invitation/incoming/", trips: 3, reads: 1) { server in
            Request(try await server.invited().guest, .get, "/api/v1/invitation/incoming/")
        },
        RouteTrips("GET /api/v1/invitation/incoming/{invitation_uid}/", trips: 3, reads: 1) { server in
            let (_, guest, uid) = try await server.invited()
            return Request(guest, .get, "/api/v1/invitation/incoming/\(uid)/")
        },
        RouteTrips("DELETE /api/v1/invitation/incoming/{invitation_uid}/", trips: 8, reads: 1, writes: 1) { server in
            let (_, guest, uid) = try await server.invited()
            return Request(guest, .delete, "/api/v1/invitation/incoming/\(uid)/")
        },
        RouteTrips("POST /api/v1/invitation/incoming/{invitation_uid}/accept/", trips: 8, reads: 1, writes: 1) { server in
            let (_, guest, uid) = try await server.invited()
            return Request(guest, .post, "/api/v1/invitation/incoming/\(uid)/accept/", guest.acceptance)
        },
        RouteTrips("GET /api/v1/invitation/outgoing/", trips: 3, reads: 1) { server in
            Request(try await server.invited().owner, .get, "/api/v1/invitation/outgoing/")
        },
        RouteTrips("POST /api/v1/invitation/outgoing/", trips: 11, reads: 1, writes: 1) { server in
            let (owner, guest) = (try await server.somebody(), try await server.somebody())
            let body = owner.invitation(newUID(), to: guest, try await owner.makeCollection())
            return Request(owner, .post, "/api/v1/invitation/outgoing/", body)
        },
        RouteTrips("GET /api/v1/invitation/outgoing/fetch_user_profile/", trips: 4, reads: 1) { server in
            let (owner, guest) = (try await server.somebody(), try await server.somebody())
            return Request(owner, .get, "/api/v1/invitation/outgoing/fetch_user_profile/?username=\(guest.name)")
        },
        RouteTrips("DELETE /api/v1/invitation/outgoing/{invitation_uid}/", trips: 8, reads: 1, writes: 1) { server in
            let (owner, _, uid) = try await server.invited()
            return Request(owner, .delete, "/api/v1/invitation/outgoing/\(uid)/")
        },
    ]
}

extension TestServer {
    /// Somebody who was invited, by whom, and the invitation.
    fileprivate func invited() async throws -> (owner: Client, guest: Client, uid: String) {
        let (owner, guest) = (try await somebody(), try await somebody())
        return (owner, guest, try await owner.invite(guest, to: owner.makeCollection()))
    }
}
