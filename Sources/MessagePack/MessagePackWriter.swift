package import NIOCore

/// Appends MessagePack values to a buffer, each in its shortest form, as Python's `msgpack.packb(value, use_bin_type=True)` does.
///
/// After ``array(count:)`` and ``map(count:)`` the caller writes as many elements or pairs; the writer does not count them.
package struct MessagePackWriter: Sendable {
    /// What was written so far.
    package var buffer: ByteBuffer

    /// Starts with an empty buffer.
    package init(capacity: Int = 0) {
        buffer = ByteBuffer()
        buffer.reserveCapacity(capacity)
    }

    /// Appends to a buffer.
    package init(buffer: ByteBuffer) {
        self.buffer = buffer
    }

    /// Writes nil.
    package mutating func null() {
        buffer.writeInteger(0xc0 as UInt8)
    }

    /// Writes true or false.
    package mutating func bool(_ value: Bool) {
        buffer.writeInteger(value ? 0xc3 : 0xc2 as UInt8)
    }

    /// Writes an integer between -2^63 and 2^64 - 1; one outside breaks a precondition.
    package mutating func int(_ value: some BinaryInteger) {
        if let value = UInt64(exactly: value) {
            unsigned(value)
        } else if let value = Int64(exactly: value) {
            negative(value)
        } else {
            preconditionFailure("MessagePack has no integers beyond 64 bits")
        }
    }

    /// Writes a float64, also where a float32 would do, as Python does.
    package mutating func double(_ value: Double) {
        head(0xcb, value.bitPattern)
    }

    /// Writes a str.
    package mutating func string(_ value: String) {
        stringHead(value.utf8.count)
        buffer.writeString(value)
    }

    /// Writes the readable bytes as a bin.
    package mutating func bytes(_ value: ByteBuffer) {
        bytesHead(value.readableBytes)
        buffer.writeImmutableBuffer(value)
    }

    /// Writes a bin.
    package mutating func bytes(_ value: some Collection<UInt8>) {
        bytesHead(value.count)
        buffer.writeBytes(value)
    }

    /// Writes the head of an array.
    package mutating func array(count: Int) {
        switch count {
        case ...0x0f: head(0x90 | UInt8(count))
        case ...0xffff: head(0xdc, UInt16(count))
        default: head(0xdd, UInt32(count))
        }
    }

    /// Writes the head of a map of `count` pairs.
    package mutating func map(count: Int) {
        switch count {
        case ...0x0f: head(0x80 | UInt8(count))
        case ...0xffff: head(0xde, UInt16(count))
        default: head(0xdf, UInt32(count))
        }
    }

    /// Writes an extension.
    package mutating func ext(_ type: Int8, _ data: ByteBuffer) {
        extensionHead(type, length: data.readableBytes)
        buffer.writeImmutableBuffer(data)
    }
}

extension MessagePackWriter {
    private mutating func unsigned(_ value: UInt64) {
        switch value {
        case ...0x7f: head(UInt8(value))
        case ...0xff: head(0xcc, UInt8(value))
        case ...0xffff: head(0xcd, UInt16(value))
        case ...0xffff_ffff: head(0xce, UInt32(value))
        default: head(0xcf, value)
        }
    }

    private mutating func negative(_ value: Int64) {
        switch value {
        case (-0x20)...: head(UInt8(bitPattern: Int8(value)))
        case (-0x80)...: head(0xd0, Int8(value))
        case (-0x8000)...: head(0xd1, Int16(value))
        case (-0x8000_0000)...: head(0xd2, Int32(value))
        default: head(0xd3, value)
        }
    }

    mutating func stringHead(_ length: Int) {
        switch length {
        case ...0x1f: head(0xa0 | UInt8(length))
        case ...0xff: head(0xd9, UInt8(length))
        case ...0xffff: head(0xda, UInt16(length))
        default: head(0xdb, UInt32(length))
        }
    }

    /// Writes the head of a bin, whose bytes follow.
    package mutating func bytesHead(_ length: Int) {
        switch length {
        case ...0xff: head(0xc4, UInt8(length))
        case ...0xffff: head(0xc5, UInt16(length))
        default: head(0xc6, UInt32(length))
        }
    }

    mutating func extensionHead(_ type: Int8, length: Int) {
        switch length {
        case 1, 2, 4, 8, 16: head(0xd4 + UInt8(length.trailingZeroBitCount))
        case ...0xff: head(0xc7, UInt8(length))
        case ...0xffff: head(0xc8, UInt16(length))
        default: head(0xc9, UInt32(length))
        }
        buffer.writeInteger(type)
    }

    private mutating func head(_ byte: UInt8) {
        buffer.writeInteger(byte)
    }

    private mutating func head(_ byte: UInt8, _ argument: some FixedWidthInteger) {
        buffer.writeMultipleIntegers(byte, argument)
    }
}
