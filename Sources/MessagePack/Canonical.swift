internal import NIOCore

extension MessagePackWriter {
    /// Writes a value again the way Python's msgpack would after `unpackb(raw=False)` and `packb(use_bin_type=True)`.
    ///
    /// All forms are the shortest, float32 is widened to float64, and a key that stands twice in a map stands once, at the place of the
    /// first with the value of the last. A timestamp stays an extension of type -1; any other extension becomes the array
    /// `[type, bytes]`, for pydantic dumps the named tuple so.
    package mutating func canonical(_ value: MessagePackValue) {
        var offset = 0
        canonical(value.encoded.readableBytesUInt8Span, at: &offset)
    }

    /// Writes the value that begins at `offset` and moves behind it: one pass over the bytes, however deep they are.
    private mutating func canonical(_ bytes: Span<UInt8>, at offset: inout Int) {
        let head = Head.read(validated: bytes, at: &offset)
        let payload = bytes.extracting(offset..<offset + head.payloadLength)
        offset += payload.count
        switch head {
        case .null: null()
        case .bool(let value): bool(value)
        case .int(let value): int(value)
        case .uint(let value): int(value)
        case .double(let value): double(value)
        case .string(let length):
            stringHead(length)
            buffer.writeBytes(payload)
        case .bytes(let length):
            bytesHead(length)
            buffer.writeBytes(payload)
        case .ext(let type, let length): canonicalExtension(type, length, payload)
        case .array(let count):
            array(count: count)
            for _ in 0..<count { canonical(bytes, at: &offset) }
        case .map(let count): canonicalMap(count, bytes, at: &offset)
        }
    }

    private mutating func canonicalExtension(_ type: Int8, _ length: Int, _ payload: Span<UInt8>) {
        if type == -1, let time = PackedTime(payload) {
            timestamp(time)
        } else {
            array(count: 2)
            int(type)
            bytesHead(length)
            buffer.writeBytes(payload)
        }
    }

    /// The three widths of a timestamp hold 32 bits of seconds, 34 bits with nanoseconds, and all the rest.
    private mutating func timestamp(_ time: PackedTime) {
        if time.seconds >> 34 != 0 {
            extensionHead(-1, length: 12)
            buffer.writeMultipleIntegers(time.nanoseconds, time.seconds)
        } else if time.nanoseconds == 0, let seconds = UInt32(exactly: time.seconds) {
            extensionHead(-1, length: 4)
            buffer.writeInteger(seconds)
        } else {
            extensionHead(-1, length: 8)
            buffer.writeInteger(UInt64(time.nanoseconds) << 34 | UInt64(time.seconds))
        }
    }

    /// Writes all pairs first, since keys are seldom sent twice, and mends the output when one was.
    private mutating func canonicalMap(_ count: Int, _ bytes: Span<UInt8>, at offset: inout Int) {
        let start = buffer.writerIndex
        map(count: count)
        var pairs: [WrittenPair] = []
        for _ in 0..<count {
            let key = buffer.writerIndex - start
            canonical(bytes, at: &offset)
            let value = buffer.writerIndex - start
            canonical(bytes, at: &offset)
            pairs.append(WrittenPair(key: key..<value, value: value..<buffer.writerIndex - start))
        }
        let own = (start - buffer.readerIndex)..<buffer.readableBytes
        guard let unique = WrittenPair.unique(pairs, in: buffer.readableBytesUInt8Span.extracting(own)) else { return }
        // Only this map is copied, not the buffer: else many small maps with doubled keys would cost the square of the message.
        var written = ByteBuffer()
        written.writeBytes(buffer.readableBytesUInt8Span.extracting(own))
        buffer.moveWriterIndex(to: start)
        map(count: unique.count)
        for pair in unique {
            buffer.writeImmutableBuffer(written.window(from: pair.key.lowerBound, to: pair.key.upperBound))
            buffer.writeImmutableBuffer(written.window(from: pair.value.lowerBound, to: pair.value.upperBound))
        }
    }
}

/// Where a pair of a map was written, counted from the head of the map.
private struct WrittenPair {
    var key: Range<Int>
    var value: Range<Int>

    /// The pairs as a Python dict would hold them, or `nil` when no key stands twice.
    ///
    /// Keys are equal when their shortest forms are. Sorted rather than hashed or compared each with each: a hostile map of a million
    /// keys costs n log n at worst.
    static func unique(_ pairs: [WrittenPair], in written: Span<UInt8>) -> [WrittenPair]? {
        guard pairs.count > 1 else { return nil }
        let order = pairs.indices.sorted { left, right in
            switch written.compare(pairs[left].key, pairs[right].key) {
            case 0: left < right
            case let difference: difference < 0
            }
        }
        var merged: [WrittenPair?] = pairs
        var first = order[0]
        for index in order.dropFirst() {
            if written.compare(pairs[first].key, pairs[index].key) == 0 {
                merged[first]?.value = pairs[index].value
                merged[index] = nil
            } else {
                first = index
            }
        }
        let unique = merged.compactMap { $0 }
        return unique.count == pairs.count ? nil : unique
    }
}

extension Span<UInt8> {
    /// Some total order of stretches of bytes: negative, zero or positive.
    fileprivate func compare(_ left: Range<Int>, _ right: Range<Int>) -> Int {
        guard left.count == right.count else { return left.count - right.count }
        for (left, right) in zip(left, right) where self[left] != self[right] {
            return Int(self[left]) - Int(self[right])
        }
        return 0
    }
}

extension ByteBuffer {
    /// Unsafe in name only: `Span.bytes` is so marked for elements with padding, and bytes have none.
    fileprivate mutating func writeBytes(_ bytes: Span<UInt8>) {
        unsafe writeBytes(bytes.bytes)
    }
}
