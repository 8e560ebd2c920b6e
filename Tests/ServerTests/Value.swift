import MessagePack
import NIOCore

/// A value on the wire, to be written down in a test and compared.
indirect enum Value: Hashable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case text(String)
    case bytes([UInt8])
    case list([Value])
    case map([String: Value])

    init(_ value: MessagePackValue) {
        switch value.kind {
        case .null: self = .null
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .int(number)
        case .string(let text): self = .text(text)
        case .bytes(let bytes): self = .bytes(Array(bytes.readableBytesView))
        case .array(let list): self = .list(list.map { Value($0) })
        case .map(let map):
            var pairs: [String: Value] = [:]
            for (key, value) in map { if case .string(let key) = key.kind { pairs[key] = Value(value) } }
            self = .map(pairs)
        case .uint, .double, .ext: self = .text("\(value.kind)")
        }
    }

    /// As MessagePack.
    var encoded: ByteBuffer {
        var writer = MessagePackWriter()
        write(to: &writer)
        return writer.buffer
    }

    private func write(to writer: inout MessagePackWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let flag): writer.bool(flag)
        case .int(let number): writer.int(number)
        case .text(let text): writer.string(text)
        case .bytes(let bytes): writer.bytes(bytes)
        case .list(let list):
            writer.array(count: list.count)
            for value in list { value.write(to: &writer) }
        case .map(let map):
            writer.map(count: map.count)
            for (key, value) in map {
                writer.string(key)
                value.write(to: &writer)
            }
        }
    }

    subscript(key: String) -> Value? { if case .map(let map) = self { map[key] } else { nil } }
    subscript(index: Int) -> Value? { if case .list(let list) = self, list.indices.contains(index) { list[index] } else { nil } }

    var text: String? { if case .text(let text) = self { text } else { nil } }
    var bytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }
    var list: [Value]? { if case .list(let list) = self { list } else { nil } }
    /// The keys of a map.
    var keys: Set<String> { if case .map(let map) = self { Set(map.keys) } else { [] } }

    /// The same with other values for some keys of a map; `nil` takes a key away.
    func with(_ changes: [String: Value?]) -> Value {
        guard case .map(var map) = self else { return self }
        for (key, value) in changes { map[key] = value }
        return .map(map)
    }
}

extension Value: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByStringLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    init(nilLiteral: ()) { self = .null }
    init(booleanLiteral value: Bool) { self = .bool(value) }
    init(integerLiteral value: Int64) { self = .int(value) }
    init(stringLiteral value: String) { self = .text(value) }
    init(arrayLiteral elements: Value...) { self = .list(elements) }
    init(dictionaryLiteral elements: (String, Value)...) { self = .map(Dictionary(elements) { $1 }) }
}
