internal import NIOCore

/// Reads one answer of HTTP/1.1 as it comes (RFC 9112): as much as the doctor's own requests need. After a `101` the body is whatever comes.
struct AnswerParser {
    /// More than any answer that is asked for.
    private static let (longestHead, longestBody) = (64 << 10, 64 << 20)

    private enum Framing {
        case length(Int)
        case chunks
        /// Until the connection ends.
        case rest
    }

    private var rest = ByteBuffer()
    private var framing = Framing.rest
    private var chunkLeft: Int?
    private(set) var status: Int?
    private(set) var fields: [(name: String, value: String)] = []
    private(set) var body = ByteBuffer()
    private(set) var isWhole = false

    struct Broken: Error, CustomStringConvertible { let description: String }

    mutating func take(_ bytes: ByteBuffer) throws {
        rest.writeImmutableBuffer(bytes)
        while status == nil {
            guard try readHead() else { return }
        }
        try readBody()
        guard body.readableBytes <= Self.longestBody else { throw Broken(description: "the answer has no end") }
    }

    /// The connection has ended.
    mutating func end() { if case .rest = framing, status != nil { isWhole = true } }

    /// Takes what has come of the body.
    mutating func takeBody() -> ByteBuffer {
        defer { body.clear() }
        return body
    }

    func values(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    private mutating func readHead() throws -> Bool {
        let view = rest.readableBytesView
        guard let end = view.firstRange(of: Array("\r\n\r\n".utf8)) else {
            guard view.count < Self.longestHead else { throw Broken(description: "the head of the answer has no end") }
            return false
        }
        let lines = String(decoding: view[..<end.lowerBound], as: UTF8.self).components("\r\n")
        rest.moveReaderIndex(to: end.upperBound)
        let words = lines[0].split(separator: " ")
        guard words.count > 1, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            throw Broken(description: "what answers speaks no HTTP/1.1")
        }
        // `100 Continue` and the like.
        if status < 200, status != 101 { return true }
        fields = lines.dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            return (line[..<colon].lowercased(), line[line.index(after: colon)...].trimmed())
        }
        self.status = status
        if values("transfer-encoding").last?.lowercased().hasSuffix("chunked") == true {
            framing = .chunks
        } else if let length = values("content-length").first.flatMap({ Int($0) }) {
            framing = .length(length)
        } else if status == 204 || status == 304 {
            framing = .length(0)
        }
        return true
    }

    private mutating func readBody() throws {
        switch framing {
        case .rest: move(rest.readableBytes)
        case .length(let length):
            move(min(rest.readableBytes, length - body.readableBytes))
            isWhole = body.readableBytes >= length
        case .chunks: while !isWhole, try readChunk() {}
        }
    }

    private mutating func move(_ count: Int) {
        guard let bytes = rest.readSlice(length: count) else { return }
        body.writeImmutableBuffer(bytes)
    }

    /// - Returns: whether something was read.
    private mutating func readChunk() throws -> Bool {
        if let left = chunkLeft, left > 0 {
            let count = min(left, rest.readableBytes)
            move(count)
            chunkLeft = left - count
            return count > 0
        }
        let view = rest.readableBytesView
        guard let end = view.firstRange(of: Array("\r\n".utf8)) else { return false }
        let line = String(decoding: view[..<end.lowerBound], as: UTF8.self)
        rest.moveReaderIndex(to: end.upperBound)
        // The end of the chunk before, or a line of a trailer.
        guard chunkLeft == nil else {
            chunkLeft = nil
            return true
        }
        guard let length = Int(line.prefix { $0.isHexDigit }, radix: 16) else {
            throw Broken(description: "the answer is cut into no chunks")
        }
        if length == 0 { isWhole = true } else { chunkLeft = length }
        return true
    }
}

extension String {
    fileprivate func components(_ separator: String) -> [String] {
        split(separator: separator, omittingEmptySubsequences: false).map(String.init)
    }
}

extension Substring {
    fileprivate func trimmed() -> String {
        var text = self
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
