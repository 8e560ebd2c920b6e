internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import MessagePack
internal import NIOCore

/// Responses in the forms of the protocol.
enum Answer {
    /// Data is MessagePack, whatever the client accepts (QUIRKS.md 37).
    static func messagePack(_ status: HTTPResponse.Status = .ok, _ write: (inout MessagePackWriter) -> Void) -> Response {
        var writer = MessagePackWriter(capacity: 512)
        write(&writer)
        return data(status: status, writer.buffer)
    }

    /// What was written as MessagePack before.
    static func data(status: HTTPResponse.Status = .ok, _ buffer: ByteBuffer, type: String = MediaType.messagePack) -> Response {
        Response(status: status, headers: [.contentType: type], body: .init(byteBuffer: buffer))
    }

    /// Nothing to say: empty for those who accept MessagePack, JSON's null for others, but always empty with a 204.
    static func nothing(_ status: HTTPResponse.Status, to call: Call) -> Response {
        if call.acceptsMessagePack { return data(status: status, ByteBuffer()) }
        let body = status == .noContent ? ByteBuffer() : ByteBuffer(string: "null")
        return Response(status: status, headers: [.contentType: MediaType.json], body: .init(byteBuffer: body))
    }

    /// The connection becomes a WebSocket: there is no body, and of none a length.
    static var upgrade: Response { Response(status: .switchingProtocols, body: .init { _ in }) }

    static func text(_ status: HTTPResponse.Status, _ text: String, type: String = MediaType.text) -> Response {
        Response(status: status, headers: [.contentType: type], body: .init(byteBuffer: ByteBuffer(string: text)))
    }

    static func error(_ error: APIError) -> Response {
        var response: Response
        switch error.shape {
        case .json: response = text(error.status, "{\"detail\":\"\(error.detail)\"}", type: MediaType.json)
        case .text: response = text(error.status, error.detail)
        case .plain, .withErrors:
            response = messagePack(error.status) { writer in
                writer.map(count: error.shape == .plain ? 2 : 3)
                writer.string("code")
                writer.string(error.code)
                writer.string("detail")
                writer.string(error.detail)
                guard error.shape == .withErrors else { return }
                writer.string("errors")
                writer.null()
            }
        }
        response.headers.append(contentsOf: error.headers)
        return response
    }

    static func refusal(_ refusal: Refusal) -> Response {
        let form = refusal.wireForm
        return messagePack(form.status) { writer in
            writer.map(count: form.shape == .plain ? 2 : 3)
            writer.string("code")
            writer.string(form.code)
            writer.string("detail")
            writer.string(form.detail)
            guard form.shape != .plain else { return }
            writer.string("errors")
            guard let errors = refusal.fieldErrors else { return writer.null() }
            writer.array(count: errors.count)
            for error in errors {
                writer.map(count: 3)
                writer.string("field")
                writer.string(error.path)
                writer.string("code")
                writer.string(error.code)
                writer.string("detail")
                writer.string(error.detail)
            }
        }
    }

    /// The 422 of a request whose values are not what they should be, in pydantic's form.
    static func invalid(_ faults: [ValidationFault]) -> Response {
        messagePack(.unprocessableContent) { writer in
            writer.map(count: 1)
            writer.string("detail")
            writer.array(count: faults.count)
            for fault in faults { fault.write(to: &writer) }
        }
    }
}

extension MessagePackWriter {
    /// A key with a text, or with null.
    mutating func pair(_ key: String, _ text: String?) {
        string(key)
        if let text { string(text) } else { null() }
    }

    /// A key with bytes, or with null.
    mutating func pair(_ key: String, _ data: [UInt8]?) {
        string(key)
        if let data { bytes(data) } else { null() }
    }

    /// A key with a number.
    mutating func pair(_ key: String, _ number: Int64) {
        string(key)
        int(number)
    }

    /// A key with a truth value.
    mutating func pair(_ key: String, _ flag: Bool) {
        string(key)
        bool(flag)
    }

    /// A key before its value.
    mutating func key(_ key: String) { string(key) }
}
