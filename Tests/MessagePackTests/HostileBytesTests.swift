import MessagePack
import NIOCore
import TestSupport
import Testing

@Suite("Hostile bytes")
struct HostileBytesTests {
    @Test("mutated values are refused or can be walked whole; nothing traps", arguments: 0..<40 as Range<UInt64>)
    func mutations(seed: UInt64) throws {
        var generator = FixedGenerator(state: 1_000 + seed)
        var writer = MessagePackWriter()
        Tree.random(using: &generator).write(to: &writer)
        let original = Array(writer.buffer.readableBytesView.prefix(2_000))
        for _ in 0..<100 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &generator) { mutate(&bytes, using: &generator) }
            try walkIfValid(bytes)
        }
    }

    @Test("random bytes are refused or can be walked whole; nothing traps", arguments: 0..<20 as Range<UInt64>)
    func randomBytes(seed: UInt64) throws {
        var generator = FixedGenerator(state: 2_000 + seed)
        for _ in 0..<500 {
            try walkIfValid(generator.bytes(Int.random(in: 0...24, using: &generator)))
        }
    }

    @Test("every truncation of a valid value is refused")
    func truncations() throws {
        let pairs = "a16101 a162ca3fc00000 a163d9026869 a16493c0c2c3 a165c40101 a166d6ff00000001 a16781a17890"
        let whole = Array(ByteBuffer(hex: "87" + pairs).readableBytesView)
        _ = try MessagePackValue(validating: ByteBuffer(bytes: whole))
        for length in whole.indices {
            #expect(throws: MessagePackError.truncated) { try MessagePackValue(validating: ByteBuffer(bytes: whole.prefix(length))) }
        }
    }

    @Test("nesting is taken up to the bound and refused beyond, for arrays, maps and empty ones", arguments: ["91", "81a161"])
    func nesting(container: String) throws {
        func nested(_ depth: Int, _ innermost: String) -> ByteBuffer {
            ByteBuffer(hex: String(repeating: container, count: depth) + innermost)
        }
        let deepest = try MessagePackValue(validating: nested(100, "c0"))
        #expect(MessagePackWriter.canonical(deepest) == nested(100, "c0"))
        #expect(throws: MessagePackError.tooDeep) { try MessagePackValue(validating: nested(101, "c0")) }
        #expect(throws: MessagePackError.tooDeep) { try MessagePackValue(validating: nested(100, "90")) }
        #expect(throws: MessagePackError.tooDeep) { try MessagePackValue(validating: nested(100, "80")) }
        #expect(throws: MessagePackError.tooDeep) { try MessagePackValue(validating: nested(1, "c0"), maximumDepth: 0) }
        #expect(throws: MessagePackError.tooDeep) { try MessagePackValue(validating: nested(1_000_000, "c0")) }
        let bound = try MessagePackValue(validating: nested(512, "c0"), maximumDepth: 512)
        #expect(MessagePackWriter.canonical(bound) == nested(512, "c0"))
        #expect(Tree(bound) == Tree(bound))
    }

    @Test("containers side by side do not add up to depth")
    func breadth() throws {
        _ = try MessagePackValue(validating: ByteBuffer(hex: "dc0400" + String(repeating: "9181a16190", count: 0x400)))
    }

    @Test("many maps with doubled keys are mended in linear time", .timeLimit(.minutes(3)))
    func manyMendedMaps() throws {
        var writer = MessagePackWriter()
        writer.array(count: 60_000)
        for _ in 0..<60_000 { writer.buffer.writeBytes([0x82, 0xa1, 0x61, 0x01, 0xa1, 0x61, 0x02]) }
        let mended = try MessagePackWriter.canonical(MessagePackValue(validating: writer.buffer))
        #expect(mended.readableBytes == 3 + 60_000 * 4)
    }

    private func walkIfValid(_ bytes: [UInt8]) throws {
        let value: MessagePackValue
        do throws(MessagePackError) {
            value = try MessagePackValue(validating: ByteBuffer(bytes: bytes))
        } catch {
            return
        }
        #expect(Array(value.encoded.readableBytesView) == bytes)
        let tree = Tree(value)
        if case .map(let map) = value.kind, case .map(let pairs) = tree {
            for case .string(let key) in pairs.map(\.key) { #expect(map[key] != nil) }
        }
        // An extension becomes an array, which may stand in the deepest container allowed.
        let canonical = MessagePackWriter.canonical(value)
        let again = try MessagePackValue(validating: canonical, maximumDepth: MessagePackValue.maximumDepth + 1)
        #expect(MessagePackWriter.canonical(again) == canonical)
    }

    private func mutate(_ bytes: inout [UInt8], using generator: inout FixedGenerator) {
        let index = Int.random(in: 0...bytes.count, using: &generator)
        switch Int.random(in: 0..<5, using: &generator) {
        case 0: bytes.removeSubrange(index...)
        case 1: bytes.insert(contentsOf: generator.bytes(generator.pick(1, 2, 5)), at: index)
        case 2:
            let hugeLength = [generator.pick(0xdf, 0xdd, 0xdb, 0xc6, 0xc9), 0xff, 0xff, 0xff, generator.pick(0, 0xff)] as [UInt8]
            bytes.insert(contentsOf: hugeLength, at: index)
        case _ where index == bytes.count: break
        case 3: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        default: bytes[index] = generator.pick(0x81, 0x91, 0xa1, 0xc1, 0xc4, 0xc7, 0xd4, 0xd6, 0xd9, 0xde, 0xff)
        }
    }
}
