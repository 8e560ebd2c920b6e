import MessagePack
import NIOCore
import TestSupport

extension FixedGenerator {
    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }

    mutating func pick<T>(_ choices: T...) -> T {
        choices[Int.random(in: choices.indices, using: &self)]
    }
}

extension ByteBuffer {
    init(hex: some StringProtocol) {
        let digits = hex.compactMap(\.hexDigitValue)
        self.init(bytes: stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) })
    }

    var hex: String {
        readableBytesView.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

extension MessagePackWriter {
    static func canonical(_ value: MessagePackValue) -> ByteBuffer {
        var writer = MessagePackWriter()
        writer.canonical(value)
        return writer.buffer
    }
}

/// A value as a tree of its own, to compare with what is read. Doubles are bits, so that NaN equals itself.
indirect enum Tree: Equatable {
    case null, bool(Bool), int(Int64), uint(UInt64), double(bits: UInt64), string(String), bytes([UInt8]), ext(Int8, [UInt8])
    case array([Tree])
    case map([Pair])

    struct Pair: Equatable {
        var key: Tree
        var value: Tree
    }

    /// Walks a value whole.
    init(_ value: MessagePackValue) {
        switch value.kind {
        case .null: self = .null
        case .bool(let bool): self = .bool(bool)
        case .int(let int): self = .int(int)
        case .uint(let uint): self = .uint(uint)
        case .double(let double): self = .double(bits: double.bitPattern)
        case .string(let string): self = .string(string)
        case .bytes(let bytes): self = .bytes(Array(bytes.readableBytesView))
        case .ext(let type, let data): self = .ext(type, Array(data.readableBytesView))
        case .array(let array): self = .array(array.map { Tree($0) })
        case .map(let map): self = .map(map.map { Pair(key: Tree($0.key), value: Tree($0.value)) })
        }
    }

    func write(to writer: inout MessagePackWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let bool): writer.bool(bool)
        case .int(let int): writer.int(int)
        case .uint(let uint): writer.int(uint)
        case .double(let bits): writer.double(Double(bitPattern: bits))
        case .string(let string): writer.string(string)
        case .bytes(let bytes): writer.bytes(bytes)
        case .ext(let type, let data): writer.ext(type, ByteBuffer(bytes: data))
        case .array(let array):
            writer.array(count: array.count)
            for element in array { element.write(to: &writer) }
        case .map(let pairs):
            writer.map(count: pairs.count)
            for pair in pairs {
                pair.key.write(to: &writer)
                pair.value.write(to: &writer)
            }
        }
    }

    /// A random tree in which no key stands twice.
    static func random(depth: Int = 0, using generator: inout FixedGenerator) -> Tree {
        switch Int.random(in: 0..<(depth < 5 ? 11 : 8), using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .int(Int64(truncatingIfNeeded: generator.next()) >> Int64.random(in: 0..<64, using: &generator))
        case 3: return .uint(generator.next() | 1 << 63)
        case 4: return .double(bits: generator.next())
        case 5: return .string(randomString(using: &generator))
        case 6: return .bytes(generator.bytes(generator.pick(0, 1, 20, 255, 256, 300)))
        case 7:
            let data = generator.bytes(generator.pick(0, 1, 2, 3, 4, 8, 12, 16, 17, 256))
            return .ext(Int8.random(in: 0...127, using: &generator), data)
        case 8, 9: return .array((0..<generator.pick(0, 1, 3, 15, 16)).map { _ in random(depth: depth + 1, using: &generator) })
        default:
            let pairs = (0..<generator.pick(0, 1, 3, 15, 16)).map { index in
                let name = "\(index)" + randomString(using: &generator)
                let key = generator.pick(Tree.string(name), .bytes(Array(name.utf8)))
                return Pair(key: key, value: random(depth: depth + 1, using: &generator))
            }
            return .map(pairs)
        }
    }

    private static func randomString(using generator: inout FixedGenerator) -> String {
        String((0..<generator.pick(0, 1, 5, 31, 32, 260)).map { _ in generator.pick("a", "é", "😀", "\0", "\u{301}") as Character })
    }
}
