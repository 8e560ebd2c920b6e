import MessagePack
import NIOCore
import Testing

/// Made by Python's msgpack 1.2.4: `packb(unpackb(x, raw=False))`, with named tuples dumped to lists as pydantic does.
@Suite("Bytes agree with Python's msgpack")
struct GoldenBytesTests {
    @Test("an accepted value is written again as Python would", arguments: goldenBytes.split(separator: "\n").map(String.init))
    func accepted(line: String) throws {
        let parts = line.split(separator: " ")
        let value = try MessagePackValue(validating: ByteBuffer(hex: parts[0]))
        #expect(MessagePackWriter.canonical(value).hex == parts[1])
        #expect(value.encoded.hex == parts[0])
    }

    @Test("what Python refuses is refused, and says why", arguments: refusedBytes)
    func refused(_ refused: Refused) {
        #expect(throws: refused.error) { try MessagePackValue(validating: ByteBuffer(hex: refused.hex)) }
    }

    @Test("the head of a value has the width that Python gives it", arguments: goldenWidths)
    func widths(_ width: Width) throws {
        var writer = MessagePackWriter()
        let payload = [UInt8](repeating: UInt8(ascii: "a"), count: width.count)
        switch width.format {
        case .string: writer.string(String(repeating: "a", count: width.count))
        case .bytes: writer.bytes(payload)
        case .ext: writer.ext(5, ByteBuffer(bytes: payload))
        case .array:
            writer.array(count: width.count)
            for _ in 0..<width.count { writer.null() }
        case .map:
            writer.map(count: width.count)
            for index in 0..<width.count {
                writer.string("\(100_000 + index)")
                writer.null()
            }
        }
        let head = ByteBuffer(hex: width.head)
        #expect(writer.buffer.getSlice(at: 0, length: head.readableBytes) == head)

        let value = try MessagePackValue(validating: writer.buffer)
        switch value.kind {
        case .string(let string): #expect(width.format == .string && string.utf8.count == width.count)
        case .bytes(let bytes): #expect(width.format == .bytes && Array(bytes.readableBytesView) == payload)
        case .ext(let type, let data): #expect(width.format == .ext && type == 5 && Array(data.readableBytesView) == payload)
        case .array(let array): #expect(width.format == .array && array.count == width.count && Array(array).count == width.count)
        case .map(let map): #expect(width.format == .map && map.count == width.count && Array(map).count == width.count)
        case .null, .bool, .int, .uint, .double: Issue.record("not what was written")
        }
        if width.format != .ext { #expect(MessagePackWriter.canonical(value) == writer.buffer) }
    }

    @Test("bytes are the same from a buffer and from a collection")
    func bytesFromBuffer() {
        var (one, other) = (MessagePackWriter(), MessagePackWriter(buffer: ByteBuffer()))
        one.bytes(ByteBuffer(bytes: [1, 2, 3]))
        other.bytes([1, 2, 3])
        #expect(one.buffer == other.buffer)
    }
}

struct Refused: Sendable {
    var hex: String
    var error: MessagePackError

    init(_ hex: String, _ error: MessagePackError) {
        self.hex = hex
        self.error = error
    }
}

struct Width: Sendable {
    enum Format { case string, bytes, array, map, ext }
    var format: Format
    var count: Int
    var head: String

    init(_ format: Format, _ count: Int, head: String) {
        self.format = format
        self.count = count
        self.head = head
    }
}
