internal import MessagePack
internal import NIOCore

/// A request's body, parsed by its media type, and not yet looked at.
enum Body: Sendable {
    /// Nothing, or what Python takes for false, which the original takes for nothing.
    case absent
    /// An empty list in MessagePack: nothing too, but for those who ask for lists.
    case emptyList
    case value(MessagePackValue)
    /// JSON with an error in it, which is told with the other faults.
    case malformed(ValidationFault)

    /// How many bytes are held for it.
    var heldBytes: Int { if case .value(let value) = self { value.encoded.readableBytes } else { 0 } }

    /// Parses a body as FastAPI does: MessagePack under exactly that type; JSON under a type that says so or none; under
    /// any other the bytes themselves are the value (`http-negotiation`).
    ///
    /// - Throws: ``APIError/unparsableBody``.
    init(_ bytes: ByteBuffer, contentType: String?) throws(APIError) {
        guard contentType == MediaType.messagePack || bytes.readableBytes > 0 else {
            self = .absent
            return
        }
        switch contentType {
        case MediaType.messagePack: self = try Self.parse(bytes)
        case nil, "": self = try Self.json(bytes)
        case .some(let type) where Self.isJSON(type): self = try Self.json(bytes)
        default:
            var writer = MessagePackWriter(capacity: bytes.readableBytes + 5)
            writer.bytes(bytes)
            self = try Self.parse(writer.buffer)
        }
    }

    private static func parse(_ bytes: ByteBuffer) throws(APIError) -> Body {
        do {
            let value = try MessagePackValue(validating: bytes)
            if case .array(let list) = value.kind, list.count == 0 { return .emptyList }
            return value.isFalse ? .absent : .value(value)
        } catch { throw .unparsableBody }
    }

    private static func json(_ bytes: ByteBuffer) throws(APIError) -> Body {
        do {
            let value = try MessagePackValue(validating: PythonJSON.transcode(bytes))
            // In JSON only null is nothing; in MessagePack all that Python takes for false. Both are recorded.
            if case .null = value.kind { return .absent }
            return .value(value)
        } catch PythonJSON.Failure.syntax(let message, let position) {
            return .malformed(.malformedJSON(message, at: position))
        } catch { throw .unparsableBody }
    }

    private static func isJSON(_ type: String) -> Bool {
        let parts = type.prefix { $0 != ";" }.lowercased().split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].drop(while: \.isWhitespace) == "application" else { return false }
        let subtype = parts[1].prefix { !$0.isWhitespace }
        return subtype == "json" || subtype.hasSuffix("+json")
    }

    /// The value, read by `read`.
    ///
    /// - Parameter validation: with what is wrong with the query, which is told first.
    /// - Throws: ``ValidationFailure`` with all that is wrong.
    func decode<T>(
        after validation: Validation = Validation(), _ read: (inout Validation, MessagePackValue, Validation.Location) -> T?
    ) throws(ValidationFailure) -> T {
        var validation = validation
        switch self {
        case .absent, .emptyList:
            validation.note("missing", [.name("body")], "Field required", nil)
            return try validation.finish(nil)
        case .malformed(let fault): throw ValidationFailure(faults: [fault])
        case .value(let value):
            let result = read(&validation, value, [.name("body")])
            return try validation.finish(result)
        }
    }
}

extension MessagePackValue {
    /// Whether Python takes the value for false.
    fileprivate var isFalse: Bool {
        switch kind {
        case .null, .bool(false), .int(0), .double(0), .string(""): true
        case .bytes(let bytes): bytes.readableBytes == 0
        case .array(let array): array.count == 0
        case .map(let map): map.count == 0
        default: false
        }
    }

    /// An empty map, for answers.
    static let emptyMap: MessagePackValue? = {
        var writer = MessagePackWriter()
        writer.map(count: 0)
        do { return try MessagePackValue(validating: writer.buffer) } catch { return nil }
    }()

    /// A text, for answers.
    static func text(_ text: String) -> MessagePackValue? {
        var writer = MessagePackWriter()
        writer.string(text)
        do { return try MessagePackValue(validating: writer.buffer) } catch { return nil }
    }
}

extension ValidationFault {
    fileprivate static func malformedJSON(_ message: String, at position: Int) -> ValidationFault {
        ValidationFault(
            type: "json_invalid", location: [.name("body"), .index(position)], message: "JSON decode error",
            input: .emptyMap, context: .json(message))
    }
}
