internal import Domain
internal import Glibc
internal import HTTPTypes
internal import HummingbirdCore
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

// The heads of requests and answers, as they come from the wire and go to it.

extension Request {
    /// - Returns: nil for a method that is none.
    init?(_ head: HTTPRequestHead, _ body: RequestBody) {
        guard let method = HTTPRequest.Method(head.method) else { return nil }
        var fields = HTTPFields()
        fields.reserveCapacity(head.headers.count)
        var authority: String?
        for (name, value) in head.headers {
            if authority == nil, name.utf8.count == 4, name.lowercased() == "host" {
                authority = value
            } else if let name = HTTPField.Name(name) {
                fields.append(HTTPField(name: name, value: value))
            }
        }
        let path = Self.path(of: head.uri)
        self.init(head: HTTPRequest(method: method, scheme: "http", authority: authority, path: path, headerFields: fields), body: body)
    }

    /// The path and query of a target, which may be all of an address (RFC 9112 §3.2).
    private static func path(of uri: String) -> String {
        let slash = UInt8(ascii: "/")
        guard uri.utf8.first != slash, let scheme = ["http://", "https://"].first(where: { uri.lowercased().hasPrefix($0) }) else {
            return uri
        }
        let rest = uri.utf8.dropFirst(scheme.utf8.count).drop { $0 != slash && $0 != UInt8(ascii: "?") }
        return rest.first == slash ? String(Substring(rest)) : "/" + Substring(rest)
    }
}

extension HTTPRequest.Method {
    fileprivate init?(_ method: HTTPMethod) {
        switch method {
        case .GET: self = .get
        case .HEAD: self = .head
        case .POST: self = .post
        case .PUT: self = .put
        case .PATCH: self = .patch
        case .DELETE: self = .delete
        case .OPTIONS: self = .options
        default: self.init(method.rawValue)
        }
    }
}

extension HTTPResponseHead {
    init(_ status: HTTPResponse.Status, _ fields: HTTPFields) {
        var headers = HTTPHeaders(fields)
        if !fields.contains(.date) { headers.add(name: "Date", value: AnswerDate.shared.text) }
        self.init(
            version: .http1_1, status: HTTPResponseStatus(statusCode: status.code, reasonPhrase: status.reasonPhrase), headers: headers)
    }
}

extension HTTPHeaders {
    init(_ fields: HTTPFields) {
        self.init()
        reserveCapacity(fields.count + 1)
        for field in fields { add(name: field.name.rawName, value: field.value) }
    }
}

/// The date of answers, which is written once a second.
private final class AnswerDate: Sendable {
    static let shared = AnswerDate()

    private let last = Mutex<(second: Int, text: String)>((-1, ""))

    var text: String {
        let now = time(nil)
        return last.withLock { last in
            if last.second != now { last = (now, Timestamp(rawValue: Int64(now) * 1_000_000).httpText) }
            return last.text
        }
    }
}
