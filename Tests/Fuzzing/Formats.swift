import API
import Foundation
import MessagePack
import NIOCore

@testable import API

extension Subject {
    /// The forms in which bodies come.
    static let formats = [
        Subject("messagepack") { bytes in
            let value: MessagePackValue
            do throws(MessagePackError) { value = try MessagePackValue(validating: ByteBuffer(bytes: bytes)) } catch { return }
            try require(value.encoded == ByteBuffer(bytes: bytes), "a value has the bytes that it was read from")
            try walk(value)
            // An extension becomes an array, which may stand in the deepest container allowed.
            let canonical = canonical(value)
            let again = try MessagePackValue(validating: canonical, maximumDepth: MessagePackValue.maximumDepth + 1)
            try require(Self.canonical(again) == canonical, "the one form of a value is its own one form")
        },
        Subject("json") { bytes in
            let value: MessagePackValue
            do throws(PythonJSON.Failure) { value = try read(ByteBuffer(bytes: bytes)) } catch {
                guard case .syntax(_, let position) = error else { return }
                return try require((0...bytes.count).contains(position), "a mistake stands in the text")
            }
            try walk(value)
            let again = try read(ByteBuffer(string: json(value)))
            try require(canonical(again) == canonical(value), "JSON that says the same is read as the same")
        },
    ]

    private static func read(_ text: ByteBuffer) throws(PythonJSON.Failure) -> MessagePackValue {
        let packed = try PythonJSON.transcode(text)
        do { return try MessagePackValue(validating: packed) } catch { preconditionFailure("what JSON becomes is MessagePack: \(error)") }
    }

    private static func canonical(_ value: MessagePackValue) -> ByteBuffer {
        var writer = MessagePackWriter()
        writer.canonical(value)
        return writer.buffer
    }

    /// Looks at each value in it.
    private static func walk(_ value: MessagePackValue) throws(Broken) {
        switch value.kind {
        case .array(let array):
            var count = 0
            for element in array {
                count += 1
                try walk(element)
            }
            try require(count == array.count, "an array has as many elements as it says")
        case .map(let map):
            var count = 0
            for (key, value) in map {
                count += 1
                if case .string(let name) = key.kind { try require(map[name] != nil, "a key that stands in a map is found") }
                try walk(value)
            }
            try require(count == map.count, "a map has as many pairs as it says")
        case .null, .bool, .int, .uint, .double, .string, .bytes, .ext: break
        }
    }

    /// The value of a JSON text as another one, with each character of its texts escaped.
    private static func json(_ value: MessagePackValue) -> String {
        switch value.kind {
        case .null: "null"
        case .bool(let flag): "\(flag)"
        case .int(let number): "\(number)"
        case .uint(let number): "\(number)"
        case .double(let number) where number.isNaN: "NaN"
        case .double(let number) where number.isInfinite: number < 0 ? "-Infinity" : "Infinity"
        case .double(let number): "\(number)"
        case .string(let text): "\"" + text.utf16.map { String(format: "\\u%04x", $0) }.joined() + "\""
        case .array(let array): "[" + array.map { json($0) }.joined(separator: " ,") + "]"
        case .map(let map): "{\n" + map.map { json($0.key) + " : " + json($0.value) }.joined(separator: ",") + "}"
        case .bytes, .ext: preconditionFailure("JSON has no bytes")
        }
    }
}
