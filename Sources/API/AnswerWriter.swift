internal import MessagePack
internal import NIOCore
internal import ReadModel

/// A part of an answer, in the order in which the parts go out.
enum AnswerPart: Sendable {
    case bytes(ByteBuffer)
    /// Read when the client takes it.
    case stored(StoredBytes)
    /// The chunks of a revision that are not listed with it, each read when the client takes it. How long they are is not known.
    case mentions(of: RevisionContent, Prefetch)
}

/// Writes an answer in MessagePack, in which long contents are left where they lie.
struct AnswerWriter: Sendable {
    var writer: MessagePackWriter
    private var parts: [AnswerPart] = []

    init(capacity: Int = 1024) { writer = MessagePackWriter(capacity: capacity) }

    /// All parts. What is at hand alone is one part.
    consuming func finish() -> [AnswerPart] {
        cut()
        return parts
    }

    mutating func content(_ content: Content?) {
        switch content {
        case nil: writer.null()
        case .bytes(let bytes): writer.bytes(bytes)
        case .stored(let stored):
            writer.bytesHead(stored.count)
            cut()
            parts.append(.stored(stored))
        }
    }

    mutating func pair(_ key: String, _ content: Content?) {
        writer.key(key)
        self.content(content)
    }

    /// An item with its current revision.
    mutating func item(_ item: ItemContent, _ prefetch: Prefetch) {
        writer.map(count: 4)
        writer.pair("uid", item.uid)
        writer.pair("version", item.version)
        pair("encryptionKey", item.encryptionKey)
        writer.key("content")
        revision(item.revision, prefetch)
    }

    /// A revision with its chunks.
    mutating func revision(_ revision: RevisionContent, _ prefetch: Prefetch) {
        writer.map(count: 4)
        writer.pair("uid", revision.uid)
        pair("meta", revision.meta)
        writer.pair("deleted", revision.isDeleted)
        writer.key("chunks")
        writer.array(count: revision.chunks.count + revision.unlistedChunks)
        for chunk in revision.chunks { self.chunk(chunk) }
        guard revision.unlistedChunks > 0 else { return }
        cut()
        parts.append(.mentions(of: revision, prefetch))
    }

    mutating func chunk(_ chunk: ChunkContent) {
        writer.array(count: 2)
        writer.string(chunk.uid)
        content(chunk.content)
    }

    /// A list of items. Its stoken is that of the last change in it.
    mutating func itemList(_ items: [ItemContent], _ stoken: String?, isDone: Bool, _ prefetch: Prefetch) {
        writer.map(count: 3)
        writer.key("data")
        writer.array(count: items.count)
        for item in items { self.item(item, prefetch) }
        writer.pair("stoken", stoken)
        writer.pair("done", isDone)
    }

    private mutating func cut() {
        guard writer.buffer.readableBytes > 0 else { return }
        parts.append(.bytes(writer.buffer))
        writer = MessagePackWriter(capacity: 256)
    }
}

extension [AnswerPart] {
    /// The only part, where it is at hand.
    var buffer: ByteBuffer? {
        guard count == 1, case .bytes(let buffer)? = first else { return isEmpty ? ByteBuffer() : nil }
        return buffer
    }

    /// How long all of them are; nil where that is not known.
    var length: Int? {
        var length = 0
        for part in self {
            switch part {
            case .bytes(let buffer): length += buffer.readableBytes
            case .stored(let stored): length += stored.count
            case .mentions: return nil
            }
        }
        return length
    }
}
