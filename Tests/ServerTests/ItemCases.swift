import Domain
import Testing

private let collection = "/api/v1/collection/{collection_uid}/"
private let list = "GET \(collection)item/"
private let get = "GET \(collection)item/{item_uid}/"
private let revisions = "GET \(collection)item/{item_uid}/revision/"
private let updates = "POST \(collection)item/fetch_updates/"

/// The uids of the items in an answer.
private func uids(_ answer: Answer) -> [String?] { answer.value["data"]?.list?.map { $0["uid"]?.text } ?? [] }

extension RouteCase {
    static let items = [
        RouteCase(list, "bears the items in the order of their changes, and with a stoken what has changed") { server in
            let client = try await server.somebody()
            let uid = try await client.makeCollection()
            let path = "/api/v1/collection/\(uid)/item/"
            let (one, two) = (newUID(), newUID())
            try await client.commit(client.item(one), client.item(two), to: uid)
            let page = try await client.get(path + "?limit=1")
            #expect((uids(page), page.value["done"]) == ([one], false))
            #expect(page.value["data"]?[0]?.keys == ["uid", "version", "encryptionKey", "content"])
            let stoken = try #require(page.value["stoken"]?.text)
            let rest = try await client.get(path + "?stoken=\(stoken)")
            #expect((uids(rest), rest.value["done"]) == ([two], true))
            let end = try #require(rest.value["stoken"]?.text)
            #expect(try await client.get(path + "?stoken=\(end)").value == ["data": [], "stoken": .text(end), "done": true])
            try await client.commit(client.item(one), to: uid)
            #expect(try await uids(client.get(path + "?stoken=\(end)")) == [one])
            #expect(try await Set(uids(client.get(path + "?withCollection=true"))) == [uid, one, two])
        },
        RouteCase(list, "is for members, and refuses bad stokens and numbers") { server in
            let circle = try await server.circle()
            #expect(try await circle.answers { try await $0.get(circle.path + "/item/") } == .members("200"))
            let owner = try circle[.owner]
            func answer(_ query: String) async throws -> String { try await "\(owner.get(circle.path + "/item/?\(query)"))" }
            #expect(try await answer("stoken=unknown") == "400 bad_stoken")
            #expect(try await answer("limit=-1") == "422 greater_than_equal query.limit")
            #expect(try await answer("withCollection=perhaps") == "422 bool_parsing query.withCollection")
        },
        RouteCase(get, "shows an item to members") { server in
            let circle = try await server.circle()
            let (uid, revision, owner) = (newUID(), newUID(), try circle[.owner])
            try await owner.commit(owner.item(uid, revision: revision), to: circle.uid)
            #expect(try await circle.answers { try await $0.get(circle.path + "/item/\(uid)/") } == .members("200"))
            let value = try await owner.get(circle.path + "/item/\(uid)/").value
            #expect((value["uid"], value["version"], value["encryptionKey"]) == (.text(uid), 1, .some(nil)))
            #expect(value["content"] == ["uid": .text(revision), "meta": .bytes([7]), "deleted": false, "chunks": []])
            #expect(try await "\(owner.get(circle.path + "/item/\(newUID())/"))" == "404 does_not_exist")
            #expect(try await "\(owner.get(circle.path + "/item/\(uid)/?prefetch=no"))" == "422 literal_error query.prefetch")
        },
        RouteCase(revisions, "bears the revisions of an item, the newest first, to members") { server in
            let circle = try await server.circle()
            let (uid, owner) = (newUID(), try circle[.owner])
            let names = [newUID(), newUID(), newUID()]
            for name in names { try await owner.commit(owner.item(uid, revision: name), to: circle.uid) }
            let path = circle.path + "/item/\(uid)/revision/"
            #expect(try await circle.answers { try await $0.get(path) } == .members("200"))
            let page = try await owner.get(path + "?limit=2")
            #expect(uids(page) == [names[2], names[1]])
            #expect((page.value["iterator"], page.value["done"]) == (.text(names[1]), false))
            let rest = try await owner.get(path + "?iterator=\(names[1])")
            #expect((uids(rest), rest.value["done"]) == ([names[0]], true))
            #expect(try await "\(owner.get(circle.path + "/item/\(newUID())/revision/"))" == "404 does_not_exist")
            #expect(try await "\(owner.get(path + "?limit=0"))" == "422 greater_than_equal query.limit")
        },
        RouteCase(updates, "bears those of the asked items that are not as the client has them") { server in
            let circle = try await server.circle()
            let owner = try circle[.owner]
            let (one, two, revision) = (newUID(), newUID(), newUID())
            try await owner.commit(owner.item(one, revision: revision), owner.item(two), to: circle.uid)
            let path = circle.path + "/item/fetch_updates/"
            let asked: Value = [["uid": .text(one), "etag": .text(revision)], ["uid": .text(two), "etag": "old"], ["uid": "unknown"]]
            #expect(try await circle.answers { try await $0.post(path, asked) } == .members("200"))
            #expect(try await uids(owner.post(path, asked)) == [two])
            #expect(try await owner.post(path, []).value["data"] == [])
            #expect(try await "\(owner.post(path + "?stoken=unknown", asked))" == "400 bad_stoken")
            let many = Value.list((0..<201).map { ["uid": .text("i\($0)")] })
            #expect(try await "\(owner.post(path, many))" == "400 too_many_items")
            #expect(try await "\(owner.post(path, ["uid": "x"]))" == "422 list_type body")
            #expect(try await "\(owner.post(path, [["etag": "x"]]))" == "422 missing body.int(0).uid")
        },
    ]

    static let commits = ["batch", "transaction"].flatMap { kind in
        let route = "POST \(collection)item/\(kind)/"
        return [
            RouteCase(route, "takes items of those who may write, and answers nothing") { server in
                let circle = try await server.circle()
                let path = circle.path + "/item/\(kind)/"
                #expect(try await circle.answers { try await $0.post(path, ["items": [$0.item(newUID())]]) } == .writers("200"))
                let owner = try circle[.owner]
                #expect(try await uids(owner.get(circle.path + "/item/")).count == 3)
                #expect(try await owner.post(path, ["items": [owner.item(newUID())], "deps": nil]).body == [])
            },
            RouteCase(route, "takes what the owner has room for, and says how much of what there is") { server in
                let circle = try await server.circle()
                let (owner, writer) = (try circle[.owner], try circle[.writer])
                let path = circle.path + "/item/\(kind)/"
                try await server.limit(owner, to: Quota(items: 1))
                #expect(try await writer.post(path, ["items": [writer.item(newUID())]]).status == 200)
                for client in [writer, owner] {
                    let answer = try await client.post(path, ["items": [client.item(newUID())]])
                    #expect("\(answer)" == "403 quota_exceeded" && answer.value.keys == ["code", "detail"])
                    #expect(answer.value["detail"]?.text?.contains("1 of 1 items are in use, and this would be 1 more") == true)
                }
                #expect(try await uids(owner.get(circle.path + "/item/")).count == 1)
                try await server.limit(owner, to: nil)
                #expect(try await writer.post(path, ["items": [writer.item(newUID())]]).status == 200)
            },
            RouteCase(route, "takes all items or none") { server in
                let client = try await server.somebody()
                let uid = try await client.makeCollection()
                let path = "/api/v1/collection/\(uid)/item/\(kind)/"
                let unsent: Value = [[.text(newUID()), nil]]
                let (one, two) = (newUID(), newUID())
                let answer = try await client.post(path, ["items": [client.item(one), client.item(two, chunks: unsent)]])
                #expect("\(answer)" == "409 item_failed")
                #expect(answer.fields == ["\(two) chunk_no_content"])
                #expect(try await uids(client.get("/api/v1/collection/\(uid)/item/")) == [])
            },
            RouteCase(route, "refuses a stoken or a dependency that has moved on") { server in
                let client = try await server.somebody()
                let uid = try await client.makeCollection()
                let path = "/api/v1/collection/\(uid)/item/\(kind)/"
                let (item, revision) = (newUID(), newUID())
                let stoken = try await client.stoken(of: uid)
                try await client.commit(client.item(item, revision: revision), to: uid)
                let body: Value = ["items": [client.item(newUID())]]
                #expect(try await "\(client.post(path + "?stoken=\(stoken)", body))" == "409 stale_stoken")
                #expect(try await "\(client.post(path + "?stoken=unknown", body))" == "409 stale_stoken")
                let now = try await client.stoken(of: uid)
                #expect(try await client.post(path + "?stoken=\(now)", body).status == 200)
                let deps: Value = [["uid": .text(item), "etag": "old"]]
                let answer = try await client.post(path, ["items": [client.item(newUID())], "deps": deps])
                #expect("\(answer)" == "409 dep_failed")
                #expect(answer.fields == ["\(item) wrong_etag"])
                let fresh: Value = [["uid": .text(item), "etag": .text(revision)]]
                #expect(try await client.post(path, ["items": [client.item(newUID())], "deps": fresh]).status == 200)
            },
            RouteCase(route, "looks at etags as it says") { server in
                let client = try await server.somebody()
                let uid = try await client.makeCollection()
                let path = "/api/v1/collection/\(uid)/item/\(kind)/"
                let (item, first) = (newUID(), newUID())
                try await client.commit(client.item(item, revision: first), to: uid)
                let stale = try await client.post(path, ["items": [client.item(item, etag: "old")]])
                #expect("\(stale)" == (kind == "batch" ? "200" : "409 item_failed"))
                if kind == "transaction" {
                    #expect(stale.fields == ["\(item) wrong_etag"])
                    #expect(try await client.post(path, ["items": [client.item(item, etag: .text(first))]]).status == 200)
                }
            },
            RouteCase(route, "takes the same again for the same, and refuses uids that others have") { server in
                let client = try await server.somebody()
                let (uid, other) = (try await client.makeCollection(), try await client.makeCollection())
                let item = client.item(newUID())
                let path = "/api/v1/collection/\(uid)/item/\(kind)/"
                for _ in 0..<2 { #expect(try await client.post(path, ["items": [item]]).status == 200) }
                let revision = try #require(item["content"]?["uid"]?.text)
                let answer = try await client.post(
                    "/api/v1/collection/\(other)/item/\(kind)/", ["items": [client.item(newUID(), revision: revision)]])
                #expect("\(answer)" == "400 field_errors")
                #expect(answer.fields == ["content.uid unique"])
            },
            RouteCase(route, "tells what is wrong with its items") { server in
                let circle = try await server.circle()
                let (path, owner) = (circle.path + "/item/\(kind)/", try circle[.owner])
                func answer(_ body: Value) async throws -> String { try await "\(owner.post(path, body))" }
                #expect(try await answer(["items": 7]) == "422 list_type body.items")
                #expect(try await answer([:]) == "422 missing body")
                #expect(try await answer(["items": [owner.item("a/b")]]) == "400 field_errors")
                #expect(try await answer(["items": .list((0..<101).map { owner.item("i\($0)") })]) == "400 too_many_items")
                let long = Value.bytes([UInt8](repeating: 1, count: (1 << 20) + 1))
                #expect(try await answer(["items": [owner.item(newUID(), chunks: [[.text(newUID()), long]])]]) == "413 too_large")
                // Who may not write is told so first.
                #expect(try await "\(circle[.reader].post(path, ["items": 7]))" == "403 no_write_access")
            },
        ]
    }
}
