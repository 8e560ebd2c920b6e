internal import CHiredis
internal import NIOCore

/// Redis' protocol, version 2, as hiredis writes and reads it.
enum RedisProtocol {
    /// A command as it goes over the wire.
    static func format(_ words: [RedisArgument]) -> ByteBuffer {
        let contents = words.map(\.content)
        // All lie in one buffer, so that one pointer is good for all of them.
        var joined: [UInt8] = []
        joined.reserveCapacity(contents.reduce(1) { $0 + $1.count })
        for content in contents { joined += content }
        joined.append(0)
        var target: UnsafeMutablePointer<CChar>?
        defer { unsafe redisFreeCommand(target) }
        let count = unsafe joined.withUnsafeBytes { joined in
            var next = unsafe joined.baseAddress?.assumingMemoryBound(to: CChar.self)
            var pointers: [UnsafePointer<CChar>?] = unsafe []
            for content in contents {
                unsafe pointers.append(next)
                unsafe next = next?.advanced(by: content.count)
            }
            return unsafe redisFormatCommandArgv(&target, Int32(contents.count), &pointers, contents.map(\.count))
        }
        guard count > 0, let target = unsafe target else { preconditionFailure("a command that fits into memory can be formatted") }
        return unsafe ByteBuffer(bytes: UnsafeRawBufferPointer(start: target, count: Int(count)))
    }
}

/// hiredis' reader: takes bytes as they come, gives answers as they are complete.
///
/// Safe: the reader is made and freed here and used nowhere else; an answer is copied before it is freed.
@safe struct ReplyReader: ~Copyable {
    /// What is no answer of Redis, or one that is longer than anything that is ever asked for.
    struct Malformed: Error {}

    /// An answer that is not complete after so many bytes ends the connection.
    private static let limitBytes = 128 << 20

    private let reader: UnsafeMutablePointer<redisReader>

    init() {
        guard let reader = unsafe redisReaderCreate() else { preconditionFailure("a reader fits into memory") }
        unsafe self.reader = reader
    }

    deinit { unsafe redisReaderFree(reader) }

    func feed(_ bytes: ByteBuffer) throws(Malformed) {
        let status = unsafe bytes.withUnsafeReadableBytes { bytes in
            unsafe redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        guard status == REDIS_OK, unsafe reader.pointee.len - reader.pointee.pos <= Self.limitBytes else { throw Malformed() }
    }

    /// The next answer that is complete.
    func next() throws(Malformed) -> RedisValue? {
        var reply: UnsafeMutableRawPointer?
        guard unsafe redisReaderGetReply(reader, &reply) == REDIS_OK else { throw Malformed() }
        guard let reply = unsafe reply else { return nil }
        defer { unsafe freeReplyObject(reply) }
        return unsafe Self.value(reply.assumingMemoryBound(to: redisReply.self).pointee)
    }

    private static func value(_ reply: redisReply) -> RedisValue {
        switch unsafe reply.type {
        case REDIS_REPLY_INTEGER: return unsafe .integer(reply.integer)
        case REDIS_REPLY_STATUS: return unsafe .status(String(decoding: bytes(reply), as: UTF8.self))
        case REDIS_REPLY_STRING: return unsafe .bytes(bytes(reply))
        case REDIS_REPLY_ERROR: return unsafe .error(String(decoding: bytes(reply), as: UTF8.self))
        case REDIS_REPLY_ARRAY:
            let elements = unsafe UnsafeBufferPointer(start: reply.element, count: reply.elements)
            return unsafe .array(elements.map { element in unsafe element.map { unsafe value($0.pointee) } ?? .null })
        default: return .null
        }
    }

    private static func bytes(_ reply: redisReply) -> [UInt8] {
        unsafe Array(UnsafeRawBufferPointer(start: reply.str, count: reply.len))
    }
}
