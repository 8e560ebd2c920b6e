import Domain
import Testing

private let create = "POST /api/v1/collection/"
private let list = "GET /api/v1/collection/"
private let listMulti = "POST /api/v1/collection/list_multi/"
private let get = "GET /api/v1/collection/{collection_uid}/"

extension RouteCase {
    static let collections = [
        RouteCase(create, "makes a collection, of which the maker is the admin") { server in
            let client = try await server.somebody()
            let uid = newUID()
            let answer = try await client.post("/api/v1/collection/", client.creation(uid))
            #expect((answer.status, answer.body.count) == (201, 0))
            #expect(try await client.get("/api/v1/collection/\(uid)/").value["accessLevel"] == 1)
        },
        RouteCase(create, "refuses uids and types that others have, and what is not new") { server in
            let (client, other) = (try await server.somebody(), try await server.somebody())
            let taken = try await other.makeCollection()
            func answer(_ body: Value, _ changes: [String: Value?] = [:]) async throws -> String {
                try await "\(client.post("/api/v1/collection/", body.with(changes)))"
            }
            #expect(try await answer(client.creation(taken)) == "409 unique_uid")
            #expect(try await answer(client.creation(newUID()), ["collectionType": other.type]) == "400 bad_collection_type")
            #expect(try await answer(client.creation(newUID()), ["collectionType": .some(nil)]) == "400 bad_collection_type")
            #expect(try await answer(client.creation(newUID()), ["item": client.item(newUID(), etag: "x")]) == "400 bad_etag")
            let unsent: Value = [[.text(newUID()), nil]]
            #expect(try await answer(client.creation(newUID(), chunks: unsent)) == "400 chunk_no_content")
            #expect(try await client.get("/api/v1/collection/").value["data"] == [])
        },
        RouteCase(create, "refuses more than a user may have") { server in
            let client = try await server.somebody()
            _ = try await client.makeCollection()
            try await server.limit(client, to: Quota(collections: 2))
            _ = try await client.makeCollection()
            #expect(try await "\(client.post("/api/v1/collection/", client.creation(newUID())))" == "403 quota_exceeded")
        },
        RouteCase(create, "tells what is wrong with a collection") { server in
            let client = try await server.somebody()
            let body = client.creation(newUID())
            func answer(_ value: Value) async throws -> Answer { try await client.post("/api/v1/collection/", value) }
            #expect(try await answer(client.creation("a/b")).fields == ["uid invalid"])
            #expect(try await answer(client.creation(String(repeating: "x", count: 44))).fields == ["uid max_length"])
            let used = newUID()
            #expect(try await answer(body.with(["item": client.item(newUID(), revision: used)])).status == 201)
            #expect(try await answer(body.with(["item": client.item(newUID(), revision: used)])).fields == ["content.uid unique"])
            #expect(try await "\(answer(body.with(["collectionKey": nil])))" == "422 missing body.collectionKey")
            #expect(try await "\(answer([:]))" == "422 missing body")
            let long = Value.bytes([UInt8](repeating: 1, count: (1 << 20) + 1))
            #expect(try await "\(answer(client.creation(newUID(), chunks: [[.text(newUID()), long]])))" == "413 too_large")
        },
        RouteCase(get, "shows a collection to its members, to each with what is the member's own") { server in
            let circle = try await server.circle()
            #expect(try await circle.answers { try await $0.get(circle.path + "/") } == .members("200"))
            for (role, level) in [(Role.owner, 1), (.reader, 0), (.writer, 2)] as [(Role, Int64)] {
                let client = try circle[role]
                let value = try await client.get(circle.path + "/").value
                #expect(value.keys == ["collectionType", "collectionKey", "accessLevel", "stoken", "item"])
                #expect((value["collectionType"], value["accessLevel"]) == (client.type, .int(level)))
                #expect(value["collectionKey"] == .bytes(role == .owner ? [5] : [8]))
                #expect(value["item"]?["uid"] == .text(circle.uid))
                #expect(value["item"]?["content"]?.keys == ["uid", "meta", "deleted", "chunks"])
            }
            #expect(try await "\(circle[.owner].get("/api/v1/collection/\(newUID())/"))" == "404 does_not_exist")
            #expect(try await "\(circle[.owner].get(circle.path + "/?prefetch=all"))" == "422 literal_error query.prefetch")
        },
        RouteCase(get, "bears contents, or their names alone") { server in
            let client = try await server.somebody()
            let (uid, chunk) = (newUID(), newUID())
            let creation = client.creation(uid, chunks: [[.text(chunk), .bytes([1, 2])]])
            #expect(try await client.post("/api/v1/collection/", creation).status == 201)
            let contents: [String: Value] = ["auto": [[.text(chunk), .bytes([1, 2])]], "medium": [[.text(chunk), nil]]]
            for (prefetch, chunks) in contents {
                let answer = try await client.get("/api/v1/collection/\(uid)/?prefetch=\(prefetch)")
                #expect(answer.value["item"]?["content"]?["chunks"] == chunks)
            }
        },
    ]

    static let lists = [
        RouteCase(list, "bears all collections of the user, and with a stoken what has changed") { server in
            let (client, other) = (try await server.somebody(), try await server.somebody())
            #expect(try await client.get("/api/v1/collection/").value == ["data": [], "stoken": nil, "done": true])
            let (one, two) = (try await client.makeCollection(), try await client.makeCollection())
            _ = try await other.makeCollection()
            func uids(_ answer: Answer) -> [String?] { answer.value["data"]?.list?.map { $0["item"]?["uid"]?.text } ?? [] }
            let page = try await client.get("/api/v1/collection/?limit=1")
            #expect(uids(page) == [one])
            #expect(page.value["done"] == false)
            let stoken = try #require(page.value["stoken"]?.text)
            let rest = try await client.get("/api/v1/collection/?stoken=\(stoken)")
            #expect((uids(rest), rest.value["done"]) == ([two], true))
            let end = try #require(rest.value["stoken"]?.text)
            #expect(try await client.get("/api/v1/collection/?stoken=\(end)").value == ["data": [], "stoken": .text(end), "done": true])
        },
        RouteCase(list, "tells a removed member so, with a stoken and until there is something new") { server in
            let (owner, member) = (try await server.somebody(), try await server.somebody())
            let uid = try await owner.makeCollection()
            try await owner.letIn(member, uid)
            let stoken = try #require(try await member.get("/api/v1/collection/").value["stoken"]?.text)
            #expect(try await owner.delete("/api/v1/collection/\(uid)/member/\(member.name)/").status == 204)
            for _ in 0..<2 {
                let answer = try await member.get("/api/v1/collection/?stoken=\(stoken)")
                #expect(answer.value["removedMemberships"] == [["uid": .text(uid)]])
                #expect(answer.value["data"] == [])
            }
            #expect(try await member.get("/api/v1/collection/").value == ["data": [], "stoken": nil, "done": true])
        },
        RouteCase(list, "refuses bad stokens, limits and words") { server in
            let client = try await server.somebody()
            func answer(_ query: String) async throws -> String { try await "\(client.get("/api/v1/collection/?\(query)"))" }
            #expect(try await answer("stoken=unknown") == "400 bad_stoken")
            #expect(try await answer("stoken=") == "200")
            #expect(try await answer("limit=0") == "422 greater_than_equal query.limit")
            #expect(try await answer("limit=x&prefetch=y") == "422 int_parsing query.limit, literal_error query.prefetch")
        },
        RouteCase(listMulti, "bears the collections of some types") { server in
            let client = try await server.somebody()
            let uid = try await client.makeCollection()
            let other = client.creation(newUID()).with(["collectionType": .bytes(Array(newUID().utf8))])
            #expect(try await client.post("/api/v1/collection/", other).status == 201)
            func ask(_ body: Value, _ query: String = "") async throws -> Answer {
                try await client.post("/api/v1/collection/list_multi/" + query, body)
            }
            let answer = try await ask(["collectionTypes": [client.type, "other"]])
            #expect(answer.value["data"]?.list?.map { $0["item"]?["uid"] } == [.text(uid)])
            #expect(answer.value.keys == ["data", "stoken", "done"])
            #expect(try await ask(["collectionTypes": []]).value["data"]?.list?.count == 0)
            func many(_ count: Int) -> Value { .list((0..<count).map { Value.text("other \($0)") } + [client.type]) }
            #expect(try await ask(["collectionTypes": many(2000)]).value["data"]?.list?.count == 1)
            #expect(try await ask(["collectionTypes": many(10_000)]).status == 422)
            let long = Value.list(Array(repeating: .bytes(Array(repeating: 7, count: 2000)), count: 9000))
            #expect(try await "\(ask(["collectionTypes": long]))" == "413 too_large")
            #expect(try await "\(ask(["collectionTypes": 7]))" == "422 list_type body.collectionTypes")
            #expect(try await "\(ask([:], "?limit=x"))" == "422 int_parsing query.limit, missing body")
            #expect(try await "\(ask(["collectionTypes": [client.type]], "?stoken=unknown"))" == "400 bad_stoken")
        },
    ]
}
