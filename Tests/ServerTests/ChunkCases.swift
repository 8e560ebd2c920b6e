import Domain
import HTTPTypes
import Testing

private let upload = "PUT /api/v1/collection/{collection_uid}/item/{item_uid}/chunk/{chunk_uid}/"
private let download = "GET /api/v1/collection/{collection_uid}/item/{item_uid}/chunk/{chunk_uid}/download/"

extension RouteCase {
    static let chunks = [
        RouteCase(upload, "takes a content of those who may write, once") { server in
            let circle = try await server.circle()
            func path(_ uid: String) -> String { circle.path + "/item/any/chunk/\(uid)/" }
            #expect(try await circle.answers { try await $0.call(.put, path(newUID()), body: [1, 2]) } == .writers("201"))
            let (uid, owner) = (newUID(), try circle[.owner])
            #expect(try await owner.call(.put, path(uid), body: [1]).body == [])
            #expect(try await "\(owner.call(.put, path(uid), body: [1]))" == "409 chunk_exists")
            #expect(try await owner.call(.put, path("a%20b"), body: [1]).fields == ["uid invalid"])
            let long = [UInt8](repeating: 1, count: (1 << 20) + 1)
            #expect(try await "\(owner.call(.put, path(newUID()), body: long))" == "413 too_large")
        },
        RouteCase(upload, "takes what the owner has room for") { server in
            let circle = try await server.circle()
            let writer = try circle[.writer]
            // The main item has a byte.
            try await server.limit(circle[.owner], to: Quota(bytes: 3))
            let answer = try await writer.call(.put, circle.path + "/item/any/chunk/\(newUID())/", body: [1, 2, 3])
            #expect("\(answer)" == "403 quota_exceeded")
            #expect(answer.value["detail"]?.text?.contains("1 of 3 bytes are in use, and this would be 3 more") == true)
            #expect(try await writer.call(.put, circle.path + "/item/any/chunk/\(newUID())/", body: [1, 2]).status == 201)
        },
        RouteCase(download, "gives members what was stored in their collection") { server in
            let circle = try await server.circle()
            let (uid, owner) = (newUID(), try circle[.owner])
            let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
            #expect(try await owner.call(.put, circle.path + "/item/any/chunk/\(uid)/", body: content).status == 201)
            let path = "/item/other/chunk/\(uid)/download/"
            #expect(try await circle.answers { try await $0.get(circle.path + path) } == .members("200"))
            let answer = try await owner.get(circle.path + path)
            #expect(answer.body == content)
            #expect(answer.type == "application/octet-stream")
            let other = try await owner.makeCollection()
            #expect(try await "\(owner.get("/api/v1/collection/\(other)" + path))" == "404 does_not_exist")
            #expect(try await "\(owner.get(circle.path + "/item/x/chunk/\(newUID())/download/"))" == "404 does_not_exist")
        },
    ]
}
