import MessagePack
import NIOCore

/// JSON request bodies, read as the reference server reads them and turned into MessagePack, so that there is one decoder for bodies.
///
/// Accepts what Python 3.10's `json.loads(bytes)` accepts and its result can be packed again: NaN and Infinity, doubled keys (the reader
/// lets the last one win), a byte order mark, and what else RFC 8259 forbids. A failure bears the message and position of Python's.
/// Pure; two passes over the text, one for UTF-8 and one for the rest.
enum PythonJSON {
    /// Why a body is not taken.
    enum Failure: Error, Equatable {
        /// Python's `JSONDecodeError`. The position counts code points, without a byte order mark.
        case syntax(message: String, position: Int)
        /// Not UTF-8, too deep, or JSON that MessagePack cannot hold: integers beyond 64 bits, surrogates without their half.
        case undecodable
    }

    /// Turns a JSON text into one MessagePack value.
    ///
    /// Arrays and maps get the 32-bit form of their head whatever their size, as the size is known only at the end.
    /// Strings and numbers have the shortest form.
    /// Both pairs of a doubled key are kept, so one that cannot be packed is refused even where Python would have forgotten it.
    ///
    /// - Parameter maximumDepth: how many arrays and objects may stand inside each other.
    static func transcode(_ body: ByteBuffer, maximumDepth: Int = MessagePackValue.maximumDepth) throws(Failure) -> ByteBuffer {
        var text = body
        if body.readableBytesView.starts(with: [0xef, 0xbb, 0xbf]) {
            text.moveReaderIndex(forwardBy: 3)
        } else if looksLikeWideCharacters(body) {
            throw .undecodable
        }
        do {
            _ = try UTF8Span(validating: text.readableBytesUInt8Span)
        } catch {
            throw .undecodable
        }
        var scanner = JSONScanner(text, depthLeft: maximumDepth)
        return try scanner.document()
    }

    /// Whether Python would take the text for UTF-16 or UTF-32, by where it has NUL bytes (`json.detect_encoding`).
    private static func looksLikeWideCharacters(_ body: ByteBuffer) -> Bool {
        let start = body.readableBytesView.prefix(2)
        return body.readableBytes != 1 && body.readableBytes != 3 && start.contains(0)
    }
}

/// Walks the text as CPython's `_json.c` does, function by function, for the order of the checks decides which message a client sees.
private struct JSONScanner {
    private let text: ByteBuffer
    private let end: Int
    private var offset = 0
    private var depthLeft: Int
    private var output: MessagePackWriter
    /// The bytes of the current string, kept to be used again.
    private var unescaped: [UInt8] = []
    /// Python finds these only when it packs the result, so a syntax error further on comes first.
    private var cannotBePacked = false

    init(_ text: ByteBuffer, depthLeft: Int) {
        self.text = text
        end = text.readableBytes
        self.depthLeft = depthLeft
        output = MessagePackWriter(capacity: end)
    }

    mutating func document() throws(PythonJSON.Failure) -> ByteBuffer {
        skipWhitespace()
        try value()
        skipWhitespace()
        guard offset == end else { throw syntax("Extra data", at: offset) }
        guard !cannotBePacked else { throw .undecodable }
        return output.buffer
    }

    private mutating func value() throws(PythonJSON.Failure) {
        switch current {
        case UInt8(ascii: "\""): try string()
        case UInt8(ascii: "{"): try object()
        case UInt8(ascii: "["): try array()
        case UInt8(ascii: "n") where take("null"): output.null()
        case UInt8(ascii: "t") where take("true"): output.bool(true)
        case UInt8(ascii: "f") where take("false"): output.bool(false)
        case UInt8(ascii: "N") where take("NaN"): output.double(.nan)
        case UInt8(ascii: "I") where take("Infinity"): output.double(.infinity)
        case UInt8(ascii: "-") where take("-Infinity"): output.double(-.infinity)
        default: try number()
        }
    }

    private mutating func object() throws(PythonJSON.Failure) {
        let head = try open(0xdf)
        var count = 0
        if current != UInt8(ascii: "}") {
            repeat {
                if count > 0 { try delimiter(",") }
                guard current == UInt8(ascii: "\"") else { throw syntax("Expecting property name enclosed in double quotes", at: offset) }
                try string()
                skipWhitespace()
                try delimiter(":")
                try value()
                skipWhitespace()
                count += 1
            } while current != UInt8(ascii: "}")
        }
        close(head, count: count)
    }

    private mutating func array() throws(PythonJSON.Failure) {
        let head = try open(0xdd)
        var count = 0
        if current != UInt8(ascii: "]") {
            repeat {
                if count > 0 { try delimiter(",") }
                try value()
                skipWhitespace()
                count += 1
            } while current != UInt8(ascii: "]")
        }
        close(head, count: count)
    }

    /// Leaves room for the count and returns where.
    private mutating func open(_ format: UInt8) throws(PythonJSON.Failure) -> Int {
        guard depthLeft > 0 else { throw .undecodable }
        depthLeft -= 1
        offset += 1
        skipWhitespace()
        output.buffer.writeMultipleIntegers(format, UInt32(0))
        return output.buffer.writerIndex - 4
    }

    private mutating func close(_ head: Int, count: Int) {
        offset += 1
        depthLeft += 1
        output.buffer.setInteger(UInt32(truncatingIfNeeded: count), at: head)
    }

    private mutating func delimiter(_ character: Unicode.Scalar) throws(PythonJSON.Failure) {
        guard current == UInt8(ascii: character) else { throw syntax("Expecting '\(character)' delimiter", at: offset) }
        offset += 1
        skipWhitespace()
    }
}

// Numbers.
extension JSONScanner {
    /// Python refuses to convert more digits than this, at once and with another error.
    private static let digitsLimit = 4300

    /// Takes as much as is a number: of `01` the zero, of `1.x` and `1e` the one, and leaves the rest to whoever comes next.
    private mutating func number() throws(PythonJSON.Failure) {
        let start = offset
        let digits = byte(start) == UInt8(ascii: "-") ? start + 1 : start
        guard isDigit(byte(digits)) else { throw syntax("Expecting value", at: start) }
        let integerEnd = byte(digits) == UInt8(ascii: "0") ? digits + 1 : digitsEnd(digits)
        offset = integerEnd
        if byte(offset) == UInt8(ascii: "."), isDigit(byte(offset + 1)) { offset = digitsEnd(offset + 1) }
        if byte(offset) == UInt8(ascii: "e") || byte(offset) == UInt8(ascii: "E") {
            let hasSign = byte(offset + 1) == UInt8(ascii: "-") || byte(offset + 1) == UInt8(ascii: "+")
            let exponent = offset + (hasSign ? 2 : 1)
            if isDigit(byte(exponent)) { offset = digitsEnd(exponent) }
        }
        if offset == integerEnd {
            guard offset - digits <= Self.digitsLimit else { throw .undecodable }
            integer(start..<offset)
        } else {
            guard let value = Double(ascii(start..<offset)) else { preconditionFailure("a JSON number is a number to Swift") }
            output.double(value)
        }
    }

    private mutating func integer(_ range: Range<Int>) {
        let digits = ascii(range)
        if let value = Int64(digits) {
            output.int(value)
        } else if let value = UInt64(digits) {
            output.int(value)
        } else {
            cannotBePacked = true
        }
    }

    private func digitsEnd(_ start: Int) -> Int {
        var index = start
        while isDigit(byte(index)) { index += 1 }
        return index
    }

    private func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private func ascii(_ range: Range<Int>) -> String {
        String(decoding: range.map(byte), as: UTF8.self)
    }
}

// Strings.
extension JSONScanner {
    private mutating func string() throws(PythonJSON.Failure) {
        let start = offset
        offset += 1
        unescaped.removeAll(keepingCapacity: true)
        while offset < end {
            switch current {
            case UInt8(ascii: "\""):
                offset += 1
                output.string(String(decoding: unescaped, as: UTF8.self))
                return
            case UInt8(ascii: "\\"):
                guard offset + 1 < end else { throw syntax("Unterminated string starting at", at: start) }
                try escape()
            case 0...0x1f: throw syntax("Invalid control character at", at: offset)
            default: takeCharacters()
            }
        }
        throw syntax("Unterminated string starting at", at: start)
    }

    private mutating func takeCharacters() {
        let next = nextSpecialByte()
        unescaped.append(contentsOf: text.readableBytesView.dropFirst(offset).prefix(next - offset))
        offset = next
    }

    /// Where the next byte is that the rules of strings speak of.
    private func nextSpecialByte() -> Int {
        let bytes = text.readableBytesUInt8Span
        var index = offset
        while index < end, bytes[index] > 0x1f, bytes[index] != UInt8(ascii: "\""), bytes[index] != UInt8(ascii: "\\") { index += 1 }
        return index
    }

    private mutating func escape() throws(PythonJSON.Failure) {
        let character: UInt8 =
            switch byte(offset + 1) {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): byte(offset + 1)
            case UInt8(ascii: "b"): 0x08
            case UInt8(ascii: "f"): 0x0c
            case UInt8(ascii: "n"): 0x0a
            case UInt8(ascii: "r"): 0x0d
            case UInt8(ascii: "t"): 0x09
            case UInt8(ascii: "u"): 0
            default: throw syntax("Invalid \\escape", at: offset)
            }
        if character == 0 {
            try unicodeEscape()
        } else {
            unescaped.append(character)
            offset += 2
        }
    }

    /// A high surrogate joins with a low one that follows at once; any other surrogate stays alone, which UTF-8 cannot say.
    private mutating func unicodeEscape() throws(PythonJSON.Failure) {
        guard let unit = codeUnit(at: offset) else { throw syntax("Invalid \\uXXXX escape", at: offset + 1) }
        offset += 6
        var code = UInt32(unit)
        if UTF16.isLeadSurrogate(unit), let low = codeUnit(at: offset), UTF16.isTrailSurrogate(low) {
            offset += 6
            code = 0x10000 + (code & 0x3ff) << 10 + UInt32(low & 0x3ff)
        }
        guard let scalar = Unicode.Scalar(code) else {
            cannotBePacked = true
            return
        }
        unescaped.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }

    /// The four hexadecimal digits of the escape that begins at `start`, if they are; Python wants a character behind them, too.
    private func codeUnit(at start: Int) -> UInt16? {
        guard start + 6 < end, byte(start) == UInt8(ascii: "\\"), byte(start + 1) == UInt8(ascii: "u") else { return nil }
        var unit: UInt16 = 0
        for index in start + 2..<start + 6 {
            guard let digit = Character(Unicode.Scalar(byte(index))).hexDigitValue else { return nil }
            unit = unit << 4 | UInt16(digit)
        }
        return unit
    }
}

extension JSONScanner {
    /// The byte at the offset, or 0 at the end: no rule mentions NUL, so it needs no other sign.
    private var current: UInt8 { byte(offset) }

    private func byte(_ index: Int) -> UInt8 {
        index < end ? text.readableBytesUInt8Span[index] : 0
    }

    private mutating func take(_ word: StaticString) -> Bool {
        let length = word.utf8CodeUnitCount
        guard offset + length <= end, ascii(offset..<offset + length) == word.description else { return false }
        offset += length
        return true
    }

    private mutating func skipWhitespace() {
        while current == 0x20 || current == 0x09 || current == 0x0a || current == 0x0d { offset += 1 }
    }

    private func syntax(_ message: String, at offset: Int) -> PythonJSON.Failure {
        let position = text.readableBytesView.prefix(offset).count { $0 & 0xc0 != 0x80 }
        return .syntax(message: message, position: position)
    }
}
