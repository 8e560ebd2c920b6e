/// The first bytes of a value, decoded: what it is, and how much follows.
enum Head {
    case null
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    case double(Double)
    case string(length: Int)
    case bytes(length: Int)
    case ext(Int8, length: Int)
    case array(count: Int)
    case map(count: Int)

    /// The bytes of content that follow the head; none for numbers, which are in the head, and containers, which hold values.
    var payloadLength: Int {
        switch self {
        case .string(let length), .bytes(let length), .ext(_, let length): length
        case .null, .bool, .int, .uint, .double, .array, .map: 0
        }
    }

    /// Reads a head and moves `offset` behind it. What follows the head is not looked at.
    static func read(_ bytes: Span<UInt8>, at offset: inout Int) throws(MessagePackError) -> Head {
        guard offset < bytes.count else { throw .truncated }
        let first = bytes[offset]
        offset += 1
        switch first {
        case 0x00...0x7f: return .int(Int64(first))
        case 0x80...0x8f: return .map(count: Int(first & 0x0f))
        case 0x90...0x9f: return .array(count: Int(first & 0x0f))
        case 0xa0...0xbf: return .string(length: Int(first & 0x1f))
        case 0xc0: return .null
        case 0xc2, 0xc3: return .bool(first == 0xc3)
        case 0xc4...0xc6: return try .bytes(length: bytes.length(1 << Int(first - 0xc4), at: &offset))
        case 0xc7...0xc9: return try ext(length: bytes.length(1 << Int(first - 0xc7), at: &offset), bytes, at: &offset)
        case 0xca: return try .double(Double(Float(bitPattern: UInt32(truncatingIfNeeded: bytes.bigEndian(4, at: &offset)))))
        case 0xcb: return try .double(Double(bitPattern: bytes.bigEndian(8, at: &offset)))
        case 0xcc...0xcf: return try unsigned(bytes.bigEndian(1 << Int(first - 0xcc), at: &offset))
        case 0xd0: return try .int(Int64(Int8(truncatingIfNeeded: bytes.bigEndian(1, at: &offset))))
        case 0xd1: return try .int(Int64(Int16(truncatingIfNeeded: bytes.bigEndian(2, at: &offset))))
        case 0xd2: return try .int(Int64(Int32(truncatingIfNeeded: bytes.bigEndian(4, at: &offset))))
        case 0xd3: return try .int(Int64(bitPattern: bytes.bigEndian(8, at: &offset)))
        case 0xd4...0xd8: return try ext(length: 1 << Int(first - 0xd4), bytes, at: &offset)
        case 0xd9...0xdb: return try .string(length: bytes.length(1 << Int(first - 0xd9), at: &offset))
        case 0xdc, 0xdd: return try .array(count: bytes.length(first == 0xdc ? 2 : 4, at: &offset))
        case 0xde, 0xdf: return try .map(count: bytes.length(first == 0xde ? 2 : 4, at: &offset))
        case 0xe0...0xff: return .int(Int64(Int8(bitPattern: first)))
        default: throw .invalidByte(first)
        }
    }

    private static func ext(length: Int, _ bytes: Span<UInt8>, at offset: inout Int) throws(MessagePackError) -> Head {
        try .ext(Int8(truncatingIfNeeded: bytes.bigEndian(1, at: &offset)), length: length)
    }

    private static func unsigned(_ value: UInt64) -> Head {
        Int64(exactly: value).map { .int($0) } ?? .uint(value)
    }

    /// ``read(_:at:)`` for bytes that were validated, where nothing can be missing.
    static func read(validated bytes: Span<UInt8>, at offset: inout Int) -> Head {
        do {
            return try read(bytes, at: &offset)
        } catch {
            preconditionFailure("validated bytes hold whole values only, but: \(error)")
        }
    }

    /// Moves `offset` behind the value that begins there. Counts instead of recursing, so depth costs nothing.
    static func skip(validated bytes: Span<UInt8>, at offset: inout Int) {
        var pending = 1
        while pending > 0 {
            let head = read(validated: bytes, at: &offset)
            offset += head.payloadLength
            pending -= 1
            switch head {
            case .array(let count): pending += count
            case .map(let count): pending += 2 * count
            case .null, .bool, .int, .uint, .double, .string, .bytes, .ext: break
            }
        }
    }
}

extension Span<UInt8> {
    /// Reads a number of `width` bytes and moves `offset` behind it.
    func bigEndian(_ width: Int, at offset: inout Int) throws(MessagePackError) -> UInt64 {
        guard width <= count - offset else { throw .truncated }
        var value: UInt64 = 0
        for index in offset..<offset + width {
            value = value << 8 | UInt64(self[index])
        }
        offset += width
        return value
    }

    /// ``bigEndian(_:at:)`` for lengths and counts, which have four bytes at most.
    func length(_ width: Int, at offset: inout Int) throws(MessagePackError) -> Int {
        try Int(truncatingIfNeeded: bigEndian(width, at: &offset))
    }
}
