/// Checks bytes without building anything. The containers around the current value lie on a stack of its own, never on the thread's.
struct Validator {
    /// How many more containers may be opened inside the current one.
    var depthLeft: Int
    private var current = Level(remaining: 1, isMap: false)
    private var outer: [Level] = []

    /// A container with the values that it still waits for. In a map a key is due whenever that number is even.
    private struct Level {
        var remaining: Int
        var isMap: Bool
        var awaitsKey: Bool { isMap && remaining.isMultiple(of: 2) }
    }

    init(depthLeft: Int) {
        self.depthLeft = depthLeft
    }

    /// Throws unless the bytes are exactly one value.
    mutating func check(_ bytes: Span<UInt8>) throws(MessagePackError) {
        var offset = 0
        while true {
            while current.remaining == 0 {
                guard let level = outer.popLast() else {
                    guard offset == bytes.count else { throw .trailingBytes }
                    return
                }
                current = level
                depthLeft += 1
            }
            let head = try Head.read(bytes, at: &offset)
            if current.awaitsKey {
                switch head {
                case .string, .bytes: break
                case .null, .bool, .int, .uint, .double, .ext, .array, .map: throw .invalidMapKey
                }
            }
            current.remaining -= 1
            try enter(head, bytes, at: &offset)
        }
    }

    private mutating func enter(_ head: Head, _ bytes: Span<UInt8>, at offset: inout Int) throws(MessagePackError) {
        let left = bytes.count - offset
        switch head {
        case .null, .bool, .int, .uint, .double: return
        case .array(let count): try open(Level(remaining: count, isMap: false), bytesLeft: left)
        case .map(let count): try open(Level(remaining: 2 * count, isMap: true), bytesLeft: left)
        case .string, .bytes, .ext:
            let length = head.payloadLength
            guard length <= left else { throw .truncated }
            let payload = bytes.extracting(offset..<offset + length)
            if case .string = head { try checkUTF8(payload) }
            if case .ext(let type, _) = head { try checkExtension(type, payload) }
            offset += length
        }
    }

    /// Every value has a byte at least, so a count above the bytes left is refused before anything is done for it.
    private mutating func open(_ level: Level, bytesLeft: Int) throws(MessagePackError) {
        guard level.remaining <= bytesLeft else { throw .truncated }
        guard depthLeft > 0 else { throw .tooDeep }
        depthLeft -= 1
        outer.append(current)
        current = level
    }

    private func checkUTF8(_ payload: Span<UInt8>) throws(MessagePackError) {
        do {
            _ = try UTF8Span(validating: payload)
        } catch {
            throw .invalidUTF8
        }
    }

    /// Python's `ExtType` takes 0 to 127 and its `Timestamp` fewer than a billion nanoseconds.
    private func checkExtension(_ type: Int8, _ payload: Span<UInt8>) throws(MessagePackError) {
        guard type < 0 else { return }
        guard type == -1 else { throw .invalidByte(UInt8(bitPattern: type)) }
        guard PackedTime(payload) != nil else { throw .invalidTimestamp }
    }
}

/// The content of an extension of type -1.
struct PackedTime {
    var seconds: Int64
    var nanoseconds: UInt32

    /// Returns `nil` unless there are 4, 8 or 12 bytes and less than a second of nanoseconds.
    init?(_ payload: Span<UInt8>) {
        let (high, low) = payload.indices.reduce(into: (UInt32(0), UInt64(0))) { number, index in
            number = (number.0 << 8 | UInt32(number.1 >> 56), number.1 << 8 | UInt64(payload[index]))
        }
        switch payload.count {
        case 4: (seconds, nanoseconds) = (Int64(low), 0)
        case 8: (seconds, nanoseconds) = (Int64(low & 0x3_ffff_ffff), UInt32(low >> 34))
        case 12: (seconds, nanoseconds) = (Int64(bitPattern: low), high)
        default: return nil
        }
        guard nanoseconds < 1_000_000_000 else { return nil }
    }
}
