internal import NIOCore

/// The elements of an array, in order.
package struct MessagePackArray: Sendable, Sequence {
    /// How many elements there are.
    package let count: Int
    let elements: ByteBuffer

    /// Few, whatever ``count`` is: `map` and `Array.init` make room for so many before they look at one.
    package var underestimatedCount: Int { Swift.min(count, 16) }

    /// Starts at the first element.
    package func makeIterator() -> Iterator {
        Iterator(remaining: count, rest: elements)
    }

    /// Finds the end of each element as it goes: a walk over all is linear in the bytes.
    package struct Iterator: IteratorProtocol, Sendable {
        var remaining: Int
        var rest: ByteBuffer

        /// The next element.
        package mutating func next() -> MessagePackValue? {
            guard remaining > 0 else { return nil }
            remaining -= 1
            return rest.takeValue()
        }
    }
}

/// The pairs of a map, in the order and number in which they were sent. A key may stand in it more than once.
package struct MessagePackMap: Sendable, Sequence {
    /// How many pairs there are, as sent.
    package let count: Int
    let pairs: ByteBuffer

    /// Few, whatever ``count`` is: `map` and `Array.init` make room for so many before they look at one.
    package var underestimatedCount: Int { Swift.min(count, 16) }

    /// The value of the last pair whose key is this str; a bin of the same bytes is another key.
    ///
    /// Keys are equal when their bytes are, as in Python: unlike Swift's `String`, "é" is not "e" with an accent after it.
    package subscript(key: String) -> MessagePackValue? {
        let bytes = pairs.readableBytesUInt8Span
        let wanted = key.utf8.span
        var found: Range<Int>?
        var offset = 0
        for _ in 0..<count {
            let head = Head.read(validated: bytes, at: &offset)
            let name = offset..<offset + head.payloadLength
            let valueStart = name.upperBound
            offset = valueStart
            Head.skip(validated: bytes, at: &offset)
            if case .string = head, bytes.extracting(name).hasSameBytes(as: wanted) {
                found = valueStart..<offset
            }
        }
        return found.map { MessagePackValue(validated: pairs.window(from: $0.lowerBound, to: $0.upperBound)) }
    }

    /// Starts at the first pair.
    package func makeIterator() -> Iterator {
        Iterator(remaining: count, rest: pairs)
    }

    /// Finds the end of each pair as it goes: a walk over all is linear in the bytes.
    package struct Iterator: IteratorProtocol, Sendable {
        var remaining: Int
        var rest: ByteBuffer

        /// The next pair; its key is a str or a bin.
        package mutating func next() -> (key: MessagePackValue, value: MessagePackValue)? {
            guard remaining > 0 else { return nil }
            remaining -= 1
            return (key: rest.takeValue(), value: rest.takeValue())
        }
    }
}

extension ByteBuffer {
    /// Takes one value off the front of bytes that were validated.
    fileprivate mutating func takeValue() -> MessagePackValue {
        var end = 0
        Head.skip(validated: readableBytesUInt8Span, at: &end)
        defer { moveReaderIndex(forwardBy: end) }
        return MessagePackValue(validated: window(from: 0, to: end))
    }
}

extension Span<UInt8> {
    /// Whether both hold the same bytes.
    func hasSameBytes(as other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        for index in indices where self[index] != other[index] { return false }
        return true
    }
}
