import HTTPTypes
import Hummingbird
import Logging
import MessagePack
import NIOCore
import NIOEmbedded
import Sodium
import Testing

@testable import API
@testable import Server

/// What a request was answered.
struct Answer: Sendable, CustomStringConvertible {
    let status: Int
    let headers: HTTPFields
    let body: [UInt8]

    var type: String? { headers[.contentType] }

    /// The body as MessagePack; null where it is none.
    var value: Value {
        guard type == "application/msgpack", let value = try? MessagePackValue(validating: ByteBuffer(bytes: body)) else { return nil }
        return Value(value)
    }

    /// The code or, where there is none, the detail of an error.
    var fault: String {
        if let code = value["code"]?.text { return code }
        guard let faults = value["detail"]?.list else { return String(decoding: body, as: UTF8.self) }
        return faults.map { fault in
            let place = fault["loc"]?.list?.map { part in part.text ?? "\(part)" }.joined(separator: ".") ?? ""
            return "\(fault["type"]?.text ?? "") \(place)"
        }.joined(separator: ", ")
    }

    /// The fields with their codes that a refusal tells of: `content.uid unique`.
    var fields: [String] { value["errors"]?.list?.map { "\($0["field"]?.text ?? "") \($0["code"]?.text ?? "")" } ?? [] }

    /// In short: `200`, `404 does_not_exist`, `422 missing body.username`.
    var description: String { status < 400 ? "\(status)" : "\(status) \(fault)" }
}

/// A client of a server, on a connection of its own that is none of the network.
struct Client: Sendable {
    let server: TestServer
    let responder: Responder
    let name: String
    var token: String?
    /// What is sent beside what is usual, or instead.
    var headers: HTTPFields = [:]
    /// Where what is done for the client is logged.
    var logger: Logger

    private let channel: NIOAsyncTestingChannel

    /// - Parameters:
    ///   - wiring: of what answers, where that is not the server that all tests share.
    ///   - audience: as whom the client is answered.
    init(
        _ server: TestServer, name: String = "nobody", on wiring: Wiring? = nil, as audience: Responder.Audience = .clients
    ) async throws {
        self.server = server
        logger = server.logger
        self.name = name
        let wiring = wiring ?? server.wiring
        responder = Responder(api: wiring.api(wiring.admission), for: audience)
        channel = try await server.connect(to: wiring)
    }

    /// Asks, and reads the whole of the answer.
    func call(_ method: HTTPRequest.Method, _ path: String, _ value: Value? = nil, body: [UInt8]? = nil) async throws -> Answer {
        let response = try await respond(method, path, value, body: body)
        let collected = Collected()
        try await response.body.write(Collector(collected))
        return Answer(status: response.status.code, headers: response.headers, body: await collected.bytes)
    }

    /// Asks; the body of the answer has not been asked for yet.
    func respond(_ method: HTTPRequest.Method, _ path: String, _ value: Value? = nil, body: [UInt8]? = nil) async throws -> Response {
        let bytes = value?.encoded ?? body.map { ByteBuffer(bytes: $0) } ?? ByteBuffer()
        var request = HTTPRequest(method: method, scheme: "http", authority: TestServer.authority, path: path)
        request.headerFields[.accept] = "application/msgpack"
        if value != nil || body != nil {
            request.headerFields[.contentType] = "application/msgpack"
            request.headerFields[.contentLength] = "\(bytes.readableBytes)"
        }
        if let token { request.headerFields[.authorization] = "Token \(token)" }
        for field in headers { request.headerFields[field.name] = field.value }
        return try await responder.respond(
            to: Request(head: request, body: .init(buffer: bytes)),
            context: ConnectionContext(source: ApplicationRequestContextSource(channel: channel, logger: logger)))
    }

    func get(_ path: String) async throws -> Answer { try await call(.get, path) }
    func post(_ path: String, _ value: Value? = nil) async throws -> Answer { try await call(.post, path, value) }
    func delete(_ path: String) async throws -> Answer { try await call(.delete, path) }

    /// The connection ends.
    func hangUp() async throws { try await channel.close() }

    /// The same connection, without a token or with another one.
    func bearing(_ token: String?) -> Client {
        var client = self
        client.token = token
        return client
    }

    func sending(_ name: HTTPField.Name, _ value: String) -> Client {
        var client = self
        client.headers[name] = value
        return client
    }
}

/// The bytes of an answer.
private actor Collected {
    private(set) var bytes: [UInt8] = []
    func add(_ buffer: ByteBuffer) { bytes += buffer.readableBytesView }
}

private struct Collector: ResponseBodyWriter {
    private let collected: Collected
    init(_ collected: Collected) { self.collected = collected }
    mutating func write(_ buffer: ByteBuffer) async throws { await collected.add(buffer) }
    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
