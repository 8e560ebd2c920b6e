/// MessagePack over `ByteBuffer`.
///
/// Pattern: bytes from outside are validated once and whole, by ``MessagePackValue/init(validating:maximumDepth:)``; from then on they are
/// walked where they lie. A value, array or map is a window on the same storage, so nothing is copied but the strings one asks for.
///
/// Invariants: a window holds whole, valid values, so walking neither throws nor traps. No work or memory goes beyond the bytes at hand,
/// whatever lengths they claim. The rules are those of Python's `msgpack.unpackb(data, raw=False)`, the decoder of the reference server.
///
/// Concurrency: values only; all of them are `Sendable`.
package import NIOCore

/// Why bytes are not a MessagePack value.
package enum MessagePackError: Error, Equatable, Sendable {
    /// The value claims more than the bytes that are left.
    case truncated
    /// Bytes stand after the value.
    case trailingBytes
    /// 0xc1, which opens no value; or an extension type below -1, which is reserved and has no meaning yet.
    case invalidByte(UInt8)
    /// More arrays and maps inside each other than the bound allows.
    case tooDeep
    /// A str is not UTF-8.
    case invalidUTF8
    /// A map key is neither str nor bin.
    case invalidMapKey
    /// An extension of type -1 has not 4, 8 or 12 bytes, or a second or more of nanoseconds.
    case invalidTimestamp
}

/// A zero-copy view of one MessagePack value in a `ByteBuffer`: validated once, whole, then walked.
package struct MessagePackValue: Sendable {
    /// How many arrays and maps may stand inside each other unless the caller says otherwise.
    package static let maximumDepth = 100

    /// The highest bound that a caller may set: ``MessagePackWriter/canonical(_:)`` recurses, and must not run out of stack.
    static let deepestBound = 512

    /// The encoded bytes of this value, as they were sent. Shares the storage of the whole message.
    package let encoded: ByteBuffer

    /// Checks that the readable bytes are exactly one value.
    ///
    /// - Parameter maximumDepth: how many arrays and maps may stand inside each other, at most 512.
    package init(validating buffer: ByteBuffer, maximumDepth: Int = Self.maximumDepth) throws(MessagePackError) {
        precondition((0...Self.deepestBound).contains(maximumDepth), "the depth bound is between 0 and \(Self.deepestBound)")
        var validator = Validator(depthLeft: maximumDepth)
        try validator.check(buffer.readableBytesUInt8Span)
        encoded = buffer
    }

    /// Only for windows on bytes that were validated.
    init(validated: ByteBuffer) {
        encoded = validated
    }

    /// What a value is. Only the head is decoded; strings are copied, all else is a window.
    package enum Kind: Sendable {
        /// nil
        case null
        /// true or false
        case bool(Bool)
        /// Any integer up to `Int64.max`, in whatever width it was sent.
        case int(Int64)
        /// Only values above `Int64.max`.
        case uint(UInt64)
        /// A float64, or a float32 widened.
        case double(Double)
        /// str
        case string(String)
        /// bin, without its head
        case bytes(ByteBuffer)
        /// array
        case array(MessagePackArray)
        /// map
        case map(MessagePackMap)
        /// An extension: its type (-1 is a timestamp) and its data.
        case ext(Int8, ByteBuffer)
    }

    /// What this value is.
    package var kind: Kind {
        var offset = 0
        let head = Head.read(validated: encoded.readableBytesUInt8Span, at: &offset)
        switch head {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .int(let value): return .int(value)
        case .uint(let value): return .uint(value)
        case .double(let value): return .double(value)
        case .string: return .string(String(buffer: encoded.window(from: offset)))
        case .bytes: return .bytes(encoded.window(from: offset))
        case .ext(let type, _): return .ext(type, encoded.window(from: offset))
        case .array(let count): return .array(MessagePackArray(count: count, elements: encoded.window(from: offset)))
        case .map(let count): return .map(MessagePackMap(count: count, pairs: encoded.window(from: offset)))
        }
    }
}

extension ByteBuffer {
    /// The same storage seen from `start` to `end`, both counted from the reader index. `getSlice` would copy what begins beyond 16 MiB.
    func window(from start: Int, to end: Int? = nil) -> ByteBuffer {
        var window = self
        if let end { window.moveWriterIndex(to: readerIndex + end) }
        window.moveReaderIndex(forwardBy: start)
        return window
    }
}
