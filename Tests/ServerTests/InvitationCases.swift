import Domain
import Testing

private let send = "POST /api/v1/invitation/outgoing/"
private let outgoing = "GET /api/v1/invitation/outgoing/"
private let cancel = "DELETE /api/v1/invitation/outgoing/{invitation_uid}/"
private let profile = "GET /api/v1/invitation/outgoing/fetch_user_profile/"
private let incoming = "GET /api/v1/invitation/incoming/"
private let get = "GET /api/v1/invitation/incoming/{invitation_uid}/"
private let reject = "DELETE /api/v1/invitation/incoming/{invitation_uid}/"
private let accept = "POST /api/v1/invitation/incoming/{invitation_uid}/accept/"

private let keys: Set<String> = [
    "uid", "version", "accessLevel", "username", "collection", "signedEncryptionKey", "fromUsername", "fromPubkey",
]

extension RouteCase {
    static let invitations = [
        RouteCase(send, "invites, at an admin's word, once") { server in
            let circle = try await server.circle()
            let path = "/api/v1/invitation/outgoing/"
            var guests: [Role: Client] = [:]
            for role in Role.allCases { guests[role] = try await server.somebody() }
            var expected = [Role: String].admins("201")
            // As recorded, who is no member learns that there is a collection.
            expected[.stranger] = "403 admin_access_required"
            #expect(
                try await circle.answers { client, role in
                    try await client.post(path, client.invitation(newUID(), to: #require(guests[role]), circle.uid))
                } == expected)
            let (owner, guest) = (try circle[.owner], try #require(guests[.owner]))
            #expect(try await "\(owner.post(path, owner.invitation(newUID(), to: guest, circle.uid)))" == "400 invitation_exists")
            #expect(try await "\(owner.post(path, owner.invitation(newUID(), to: owner, circle.uid)))" == "400 no_self_invite")
        },
        RouteCase(send, "tells what is wrong with an invitation") { server in
            let (owner, guest) = (try await server.somebody(), try await server.somebody())
            let body = owner.invitation(newUID(), to: guest, try await owner.makeCollection())
            func answer(_ changes: [String: Value?]) async throws -> Answer {
                try await owner.post("/api/v1/invitation/outgoing/", body.with(changes))
            }
            #expect(try await "\(answer(["username": "nobody"]))" == "404 does_not_exist")
            #expect(try await "\(answer(["collection": .text(newUID())]))" == "404 does_not_exist")
            #expect(try await answer(["version": 32768]).fields == ["version max_value"])
            #expect(try await answer(["uid": .text(String(repeating: "x", count: 44))]).fields == ["uid max_length"])
            #expect(try await "\(answer(["accessLevel": 9]))" == "422 enum body.accessLevel")
            #expect(try await "\(answer(["signedEncryptionKey": nil]))" == "422 missing body.signedEncryptionKey")
            #expect(try await guest.get("/api/v1/invitation/incoming/").value["data"] == [])
        },
        RouteCase(outgoing, "lists what the user has sent") { server in
            let (owner, guest, other) = (try await server.somebody(), try await server.somebody(), try await server.somebody())
            let uid = try await owner.makeCollection()
            let (one, two) = (try await owner.invite(guest, to: uid), try await owner.invite(other, to: uid))
            let path = "/api/v1/invitation/outgoing/"
            let page = try await owner.get(path + "?limit=1")
            #expect(page.value["data"]?[0]?["uid"] == .text(one))
            #expect(page.value["data"]?[0]?.keys == keys)
            #expect((page.value["iterator"], page.value["done"]) == (.text(one), false))
            #expect(try await owner.get(path + "?iterator=\(one)").value["data"]?.list?.map { $0["uid"] } == [.text(two)])
            #expect(try await guest.get(path).value == ["data": [], "iterator": nil, "done": true])
            #expect(try await "\(owner.get(path + "?limit=x"))" == "422 int_parsing query.limit")
        },
        RouteCase(cancel, "takes an invitation back, and is for who has sent it") { server in
            let (owner, guest) = (try await server.somebody(), try await server.somebody())
            let uid = try await owner.invite(guest, to: owner.makeCollection())
            let path = "/api/v1/invitation/outgoing/\(uid)/"
            #expect(try await "\(guest.delete(path))" == "404 does_not_exist")
            #expect(try await owner.delete(path).status == 204)
            #expect(try await "\(owner.delete(path))" == "404 does_not_exist")
            #expect(try await guest.get("/api/v1/invitation/incoming/").value["data"] == [])
        },
        RouteCase(profile, "tells a user's public key to users, by name or email") { server in
            let (client, other) = (try await server.somebody(), try await server.somebody())
            let path = "/api/v1/invitation/outgoing/fetch_user_profile/"
            for name in [other.name, "\(other.name)%40example.com"] {
                #expect(try await client.get(path + "?username=\(name)").value == ["pubkey": .bytes([2])])
            }
            #expect(try await "\(client.get(path + "?username=nobody"))" == "404 does_not_exist")
            #expect(try await "\(client.get(path))" == "422 missing query.username")
            let fresh = "u" + newUID().lowercased()
            try await server.make(fresh)
            #expect(try await client.get(path + "?username=\(fresh)").value["detail"] == "UserInfo matching query does not exist.")
        },
        RouteCase(incoming, "lists what the user was sent") { server in
            let (owner, guest) = (try await server.somebody(), try await server.somebody())
            let collection = try await owner.makeCollection()
            let uid = try await owner.invite(guest, to: collection, .readOnly)
            let path = "/api/v1/invitation/incoming/"
            #expect(
                try await guest.get(path).value == [
                    "data": [
                        [
                            "uid": .text(uid), "version": 1, "accessLevel": 0, "username": .text(guest.name),
                            "collection": .text(collection),
                            "signedEncryptionKey": .bytes([6]), "fromUsername": .text(owner.name), "fromPubkey": .bytes([2]),
                        ]
                    ], "iterator": .text(uid), "done": true,
                ])
            #expect(try await owner.get(path).value["data"] == [])
            #expect(try await "\(guest.get(path + "?limit=0"))" == "422 greater_than_equal query.limit")
        },
        RouteCase(get, "shows an invitation to the invitee alone") { server in
            let (owner, guest) = (try await server.somebody(), try await server.somebody())
            let uid = try await owner.invite(guest, to: owner.makeCollection())
            #expect(try await guest.get("/api/v1/invitation/incoming/\(uid)/").value.keys == keys)
            #expect(try await "\(owner.get("/api/v1/invitation/incoming/\(uid)/"))" == "404 does_not_exist")
            #expect(try await "\(guest.get("/api/v1/invitation/incoming/\(newUID())/"))" == "404 does_not_exist")
        },
        RouteCase(reject, "turns an invitation down, and is for the invitee") { server in
            let (owner, guest) = (try await server.somebody(), try await server.somebody())
            let collection = try await owner.makeCollection()
            let path = "/api/v1/invitation/incoming/\(try await owner.invite(guest, to: collection))/"
            #expect(try await "\(owner.delete(path))" == "404 does_not_exist")
            #expect(try await guest.delete(path).status == 204)
            #expect(try await "\(guest.post(path + "accept/", guest.acceptance))" == "404 does_not_exist")
            #expect(try await "\(guest.get("/api/v1/collection/\(collection)/"))" == "404 does_not_exist")
        },
        RouteCase(accept, "makes the invitee a member, with the level and the keys of the two") { server in
            let (owner, guest) = (try await server.somebody(), try await server.somebody())
            let collection = try await owner.makeCollection()
            let path = "/api/v1/invitation/incoming/\(try await owner.invite(guest, to: collection, .readOnly))/accept/"
            #expect(try await "\(owner.post(path, owner.acceptance))" == "404 does_not_exist")
            #expect(try await "\(guest.post(path, guest.acceptance.with(["collectionType": owner.type])))" == "400 bad_collection_type")
            #expect(try await "\(guest.post(path, ["encryptionKey": .bytes([1])]))" == "422 missing body.collectionType")
            let answer = try await guest.post(path, guest.acceptance)
            #expect((answer.status, answer.body.count) == (201, 0))
            let value = try await guest.get("/api/v1/collection/\(collection)/").value
            #expect((value["accessLevel"], value["collectionKey"], value["collectionType"]) == (0, .bytes([8]), guest.type))
            #expect(try await "\(guest.post(path, guest.acceptance))" == "404 does_not_exist")
        },
        RouteCase(accept, "refuses who is a member by then") { server in
            let circle = try await server.circle()
            let guest = try await server.somebody()
            let late = try await circle[.admin].invite(guest, to: circle.uid, .admin)
            try await circle[.owner].letIn(guest, circle.uid, .readOnly)
            // The other invitations went with the one that was accepted.
            #expect(try await "\(guest.post("/api/v1/invitation/incoming/\(late)/accept/", guest.acceptance))" == "404 does_not_exist")
            let answer = try await circle[.admin].post(
                "/api/v1/invitation/outgoing/", circle[.admin].invitation(late, to: guest, circle.uid, .admin))
            guard answer.status == 201 else { return #expect("\(answer)" == "409 already_member") }
            #expect(try await "\(guest.post("/api/v1/invitation/incoming/\(late)/accept/", guest.acceptance))" == "409 already_member")
            #expect(try await guest.get(circle.path + "/").value["accessLevel"] == 0)
        },
    ]
}
