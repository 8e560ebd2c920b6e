import Domain
import HTTPTypes
import MessagePack
import NIOCore

@testable import API
@testable import Contents
@testable import Domain

extension Subject {
    /// What stands in requests.
    static let requests = [
        // The first byte says the media type.
        Subject("bodies") { bytes in
            let types = [MediaType.messagePack, MediaType.json, nil, "text/plain"]
            guard let first = bytes.first else { return }
            let body: Body
            let (type, content) = (types[Int(first) % types.count], ByteBuffer(bytes: bytes.dropFirst()))
            do throws(APIError) { body = try Body(content, contentType: type) } catch { return }
            try decode(body, SignUp.read)
            try decode(body, SignedResponse.read)
            try decode(body, NewCollection.read)
            try decode(body, ItemBatch.read)
            try decode(body, NewInvitation.read)
            try decode(body, Acceptance.read)
            do throws(APIError) { _ = try LoginResponse(Array(bytes.dropFirst())) } catch {}
        },
        Subject("targets") { bytes in
            let target = Target(bytes.text)
            let query = QueryString(target.query)
            for name in ["stoken", "limit", "prefetch", "iterator"] {
                guard let value = query[name] else { continue }
                let again = QueryString("\(name)=\(escaped(value))"[...])[name]
                try require(again?.isExactly(value) == true, "what is escaped is read as it was")
            }
            var validation = Validation()
            let limit = query.limit(&validation)
            _ = query.prefetch(&validation)
            _ = query.flag("withCollection", &validation)
            if let count = try? limit.get() { try require((1...1000).contains(count), "a page has 1 to 1,000 elements") }
            if target.path.hasPrefix("/") {
                let again = Target("/" + escaped(String(decoding: target.path.utf8.dropFirst(), as: UTF8.self)))
                try require(again.path.isExactly(target.path), "a path that is escaped is the same")
            }
            for method in [HTTPRequest.Method.get, .head, .post, .delete] {
                guard case .found(let route, let parameters) = routes.match(method, path: target.path) else { continue }
                let path = parameters.reduce(route.pattern) { $0.replacing("{\($1.key)}", with: $1.value) }
                try require(path.isExactly(target.path), "a route's pattern with its parameters is the path")
                try require(parameters.values.allSatisfy { !$0.isEmpty && !$0.has("/") }, "a parameter is a part of a path")
            }
        },
        Subject("hosts") { bytes in
            let text = bytes.text
            if let host = HostName(text) {
                try require(!text.prefix { $0 != "%" }.utf8.contains(0), "a host has no NUL")
                try require(HostName(host.name)?.name.isExactly(host.name) == true, "a host's one form is its own")
            }
            if let address = PublicAddress(text) {
                try require(PublicAddress(address.text)?.host == address.host, "what people are told names the same host")
            }
            if let address = Call.address(text[...]) {
                try require(!text.utf8.contains(0), "an address has no NUL")
                try require(Call.address(address[...]) == address, "an address's one form is its own")
            }
            do throws(AllowedHosts.NoHost) { _ = try AllowedHosts([text]) } catch {}
        },
        Subject("names") { bytes in
            let text = bytes.text
            let name = CanonicalName(text)
            _ = AccountName(text)
            _ = Username.isValid(text)
            let address = EmailAddress.canonical(text)
            if EmailAddress.isValid(address) { try require(!address.utf8.contains(0), "an address has no NUL") }
            try require(name.text.isExactly(LowerCase.of(name.text)), "a name is in lower case")
            try require(text.visible.unicodeScalars.allSatisfy(\.isVisible), "what is shown is seen")
            try require(text.visibleLine.unicodeScalars.allSatisfy { $0.isVisible || $0 == "\t" }, "what is shown on a line is seen")
        },
        Subject("chunk-paths") { bytes in
            let text = bytes.text
            if let path = ChunkPath(row: text) {
                try require(path.text.isExactly(text), "a path is kept as it is")
                try require(!path.text.parts(separatedBy: "/").contains { ["", ".", ".."].contains($0) }, "a path stays in its folder")
            }
            let made = ChunkPath.path(of: ChunkUID(text), in: CollectionUID(text), ownedBy: UserID(rawValue: 1))
            try require(ChunkPath(row: made) != nil, "a path that is made is one")
        },
    ]

    private static let routes = Routes(isFrontEnd: true, isGateway: true, isDebug: true, showsMetrics: true)

    private static func escaped(_ text: String) -> String {
        text.utf8.map { "%" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func decode<T>(
        _ body: Body, _ read: @escaping (inout Validation, MessagePackValue, Validation.Location) -> T?
    ) throws {
        do throws(ValidationFailure) { _ = try body.decode(read) } catch {
            try require((1...100).contains(error.faults.count), "what is wrong is told, and not too much of it")
            var writer = MessagePackWriter()
            writer.array(count: error.faults.count)
            for fault in error.faults { fault.write(to: &writer) }
            _ = try MessagePackValue(validating: writer.buffer, maximumDepth: 2 * MessagePackValue.maximumDepth)
        }
    }
}
