import Domain
import HTTPTypes
import Testing

private let list = "GET /api/v1/collection/{collection_uid}/member/"
private let change = "PATCH /api/v1/collection/{collection_uid}/member/{username}/"
private let remove = "DELETE /api/v1/collection/{collection_uid}/member/{username}/"
private let leave = "POST /api/v1/collection/{collection_uid}/member/leave/"
private let audit = "GET /api/v1/collection/{collection_uid}/audit/"

extension RouteCase {
    static let members = [
        RouteCase(list, "names the members and what they may do, to admins") { server in
            let circle = try await server.circle()
            #expect(try await circle.answers { try await $0.get(circle.path + "/member/") } == .admins("200"))
            let owner = try circle[.owner]
            let answer = try await owner.get(circle.path + "/member/")
            let levels: [(Role, Int64)] = [(.owner, 1), (.reader, 0), (.writer, 2), (.admin, 1)]
            #expect(
                answer.value["data"] == .list(try levels.map { ["username": .text(try circle[$0].name), "accessLevel": .int($1)] }))
            #expect(answer.value["done"] == true)
            let page = try await owner.get(circle.path + "/member/?limit=3")
            #expect(page.value["done"] == false)
            let iterator = try #require(page.value["iterator"]?.text)
            #expect(try await owner.get(circle.path + "/member/?iterator=\(iterator)").value["data"]?.list?.count == 1)
            #expect(try await "\(owner.get(circle.path + "/member/?iterator=unknown"))" == "400 bad_stoken")
            #expect(try await "\(owner.get(circle.path + "/member/?limit=0"))" == "422 greater_than_equal query.limit")
        },
        RouteCase(change, "gives a member another level, at an admin's word") { server in
            let circle = try await server.circle()
            let reader = try circle[.reader]
            let path = circle.path + "/member/\(reader.name)/"
            #expect(
                try await circle.answers { client, role in
                    // Each after the other, so that who is asked about stays a member.
                    try await client.call(.patch, path, ["accessLevel": 0])
                } == .admins("204"))
            let owner = try circle[.owner]
            #expect(try await owner.call(.patch, path, ["accessLevel": 2]).body == [])
            #expect(try await reader.get(circle.path + "/").value["accessLevel"] == 2)
            let missing = circle.path + "/member/\(try circle[.stranger].name)/"
            #expect(try await "\(owner.call(.patch, missing, ["accessLevel": 7]))" == "404 does_not_exist")
            #expect(try await "\(owner.call(.patch, path, ["accessLevel": 3]))" == "422 enum body.accessLevel")
            #expect(try await "\(owner.call(.patch, path, [:]))" == "422 missing body")
            #expect(try await reader.get(circle.path + "/").value["accessLevel"] == 2)
        },
        RouteCase(change, "lets the last admin take a lower level") { server in
            let owner = try await server.somebody()
            let uid = try await owner.makeCollection()
            #expect(try await owner.call(.patch, "/api/v1/collection/\(uid)/member/\(owner.name)/", ["accessLevel": 0]).status == 204)
            #expect(try await "\(owner.get("/api/v1/collection/\(uid)/member/"))" == "403 admin_access_required")
        },
        RouteCase(remove, "keeps a member out from then on, at an admin's word") { server in
            let circle = try await server.circle()
            for role in [Role.unknown, .stranger, .reader, .writer] {
                let answer = try await circle[role].delete(circle.path + "/member/\(circle[.owner].name)/")
                #expect("\(answer)" == [Role: String].admins("204")[role])
            }
            let (owner, writer) = (try circle[.owner], try circle[.writer])
            #expect(try await circle[.admin].delete(circle.path + "/member/\(writer.name)/").body == [])
            #expect(try await "\(writer.get(circle.path + "/"))" == "404 does_not_exist")
            #expect(try await "\(writer.post(circle.path + "/item/batch/", ["items": [writer.item(newUID())]]))" == "404 does_not_exist")
            #expect(try await "\(owner.delete(circle.path + "/member/\(writer.name)/"))" == "404 does_not_exist")
            #expect(try await owner.get(circle.path + "/member/").value["data"]?.list?.count == 3)
        },
        RouteCase(leave, "lets every member go, and tells strangers nothing") { server in
            let circle = try await server.circle()
            #expect(try await circle.answers { try await $0.post(circle.path + "/member/leave/") } == .members("204"))
            #expect(
                try await circle.answers { try await $0.get(circle.path + "/") }
                    == [Role: String].members("404 does_not_exist"))
        },
        RouteCase(audit, "tells admins who did what, and of others neither device nor address") { server in
            let circle = try await server.circle()
            let (owner, writer, item) = (try circle[.owner], try circle[.writer], newUID())
            try await writer.commit(writer.item(item), to: circle.uid)
            let path = circle.path + "/audit/"
            #expect(try await circle.answers { try await $0.get(path) } == .admins("200"))
            let answer = try await owner.get(path + "?limit=1000")
            let last = answer.value["data"]?.list?.last
            #expect(
                last?.keys == [
                    "action", "time", "username", "session", "device", "address", "item", "revision", "chunk", "invitation", "member",
                    "accessLevel",
                ])
            #expect((last?["username"], last?["item"]) == (.text(writer.name), .text(item)))
            #expect((last?["device"], last?["address"]) == (.some(nil), .some(nil)))
            let iterator = try #require(answer.value["iterator"]?.text)
            #expect(try await owner.get(path + "?iterator=\(iterator)").value["data"] == [])
            #expect(try await "\(owner.get(path + "?iterator=unknown"))" == "400 bad_stoken")
            #expect(try await "\(owner.get(path + "?since=5&until=4"))" == "422 greater_than_equal query.until")
            #expect(try await "\(owner.get(path + "?since=x"))" == "422 int_parsing query.since")
        },
    ]
}
