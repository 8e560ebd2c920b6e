import MessagePack
import NIOCore
import TestSupport
import Testing

@Suite("Walking a value")
struct WalkingTests {
    @Test("random values that are written are read the same, and are canonical already", arguments: 0..<200 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var generator = FixedGenerator(state: seed)
        let tree = Tree.random(using: &generator)
        var writer = MessagePackWriter()
        tree.write(to: &writer)
        let value = try MessagePackValue(validating: writer.buffer)
        #expect(Tree(value) == tree)
        let again = try MessagePackValue(validating: MessagePackWriter.canonical(value))
        #expect(Tree(again) == tree.withoutExtensions)
    }

    @Test("a lookup gives the last pair of a key, never a bin, and compares bytes")
    func lookup() throws {
        // {"a": 1, b"a": 2, "é" (composed): 3, "e" + accent: 4, str8 "a": [5], b"a": 6}
        let map = try #require(try asMap(hex: "86 a16101 c4016102 a2c3a903 a365cc8104 d901619105 c4016106"))
        #expect(map["a"]?.encoded.hex == "9105")
        #expect(map["\u{e9}"]?.encoded.hex == "03")
        #expect(map["e\u{301}"]?.encoded.hex == "04")
        #expect(map["b"] == nil)
        #expect(map[""] == nil)
        #expect(map.count == 6)
    }

    @Test("only integers beyond Int64 are unsigned, whatever width they were sent in")
    func integers() throws {
        #expect(try tree(hex: "cf7fffffffffffffff") == .int(.max))
        #expect(try tree(hex: "cf8000000000000000") == .uint(1 << 63))
        #expect(try tree(hex: "d38000000000000000") == .int(.min))
        #expect(try tree(hex: "cf0000000000000001") == .int(1))
        #expect(try tree(hex: "d0ff") == .int(-1))
        #expect(try tree(hex: "d1fffe") == .int(-2))
        #expect(try tree(hex: "d2fffffffd") == .int(-3))
        #expect(try tree(hex: "e0") == .int(-32))
    }

    @Test("a float32 is widened")
    func float() throws {
        #expect(try tree(hex: "ca3fc00000") == .double(bits: 1.5.bitPattern))
    }

    @Test("a timestamp is an extension of type -1")
    func timestamp() throws {
        #expect(try tree(hex: "d6ff00000001") == .ext(-1, [0, 0, 0, 1]))
    }

    @Test("only the readable bytes count, and the windows on them are exact")
    func readableBytes() throws {
        var buffer = ByteBuffer(hex: "ffff 93 a161 9102 c40103 ffff")
        buffer.moveReaderIndex(forwardBy: 2)
        buffer.moveWriterIndex(to: buffer.writerIndex - 2)
        let value = try MessagePackValue(validating: buffer)
        guard case .array(let array) = value.kind else { return #expect(Bool(false)) }
        #expect(array.map { $0.encoded.hex } == ["a161", "9102", "c40103"])
        #expect(Tree(value) == .array([.string("a"), .array([.int(2)]), .bytes([3])]))
        #expect(MessagePackWriter.canonical(value) == buffer)
    }

    @Test("values beyond the first 16 MiB are windows too, not copies")
    func farWindows() throws {
        var writer = MessagePackWriter()
        writer.array(count: 2)
        writer.bytes(ByteBuffer(repeating: 1, count: 17 << 20))
        writer.bytes(ByteBuffer(repeating: 2, count: 3))
        let value = try MessagePackValue(validating: writer.buffer)
        guard case .array(let array) = value.kind, case .bytes(let last)? = Array(array).last?.kind else { return #expect(Bool(false)) }
        #expect(last == ByteBuffer(bytes: [2, 2, 2]))
        #expect(last.readerIndex > 16 << 20)
    }

    @Test("a canonical map with doubled keys is mended in place behind what was written and read before")
    func canonicalBehindOther() throws {
        let value = try MessagePackValue(validating: ByteBuffer(hex: "92 83a16101a16202a16103 82a16182a16201a16202a16104"))
        var buffer = ByteBuffer(hex: "ffff")
        buffer.moveReaderIndex(forwardBy: 1)
        var writer = MessagePackWriter(buffer: buffer)
        writer.canonical(value)
        #expect(writer.buffer.hex == "ff" + "92" + "82a16103a16202" + "81a16104")
    }

    @Test("a map whose keys all stand twice shrinks to a shorter head")
    func manyDoubledKeys() throws {
        var writer = MessagePackWriter()
        writer.map(count: 20)
        for index in 0..<20 {
            writer.string("k\(index % 10)")
            writer.int(index)
        }
        let value = try MessagePackValue(validating: MessagePackWriter.canonical(MessagePackValue(validating: writer.buffer)))
        #expect(Tree(value) == .map((0..<10).map { .init(key: .string("k\($0)"), value: .int($0 + 10)) }))
        #expect(value.encoded.getInteger(at: 0) == 0x8a as UInt8)
    }

    private func tree(hex: String) throws -> Tree {
        try Tree(MessagePackValue(validating: ByteBuffer(hex: hex)))
    }

    private func asMap(hex: String) throws -> MessagePackMap? {
        guard case .map(let map) = try MessagePackValue(validating: ByteBuffer(hex: hex)).kind else { return nil }
        return map
    }
}

extension Tree {
    /// As pydantic dumps it.
    fileprivate var withoutExtensions: Tree {
        switch self {
        case .ext(let type, let data): .array([.int(Int64(type)), .bytes(data)])
        case .array(let array): .array(array.map(\.withoutExtensions))
        case .map(let pairs): .map(pairs.map { Pair(key: $0.key, value: $0.value.withoutExtensions) })
        case .null, .bool, .int, .uint, .double, .string, .bytes: self
        }
    }
}
