internal import Contents
internal import Domain
internal import MessagePack

/// Reads the items of a request, and sets the contents of their chunks aside: the rules do not need them.
struct OfferReader {
    /// The contents by chunk; of a chunk that comes twice the first counts.
    private(set) var contents: [ChunkUID: [UInt8]] = [:]
    /// The longest content that was met.
    private(set) var longestBytes = 0

    mutating func item(
        _ validation: inout Validation, _ value: MessagePackValue, _ location: Validation.Location
    ) -> OfferedItem? {
        guard let fields = validation.fields(value, location) else { return nil }
        let uid = fields.text("uid", &validation)
        let version = fields.integer("version", &validation)
        let encryptionKey = fields.optional("encryptionKey", &validation) { $0.bytes($1, $2) }
        let revision = fields.required("content", &validation) { validation, value, location in
            self.revision(&validation, value, location)
        }
        let etag = fields.optional("etag", &validation) { $0.text($1, $2) }
        guard let uid, let version, let encryptionKey, let revision, let etag else { return nil }
        return OfferedItem(
            uid: ItemUID(uid), version: version, encryptionKey: encryptionKey, etag: etag.map { RevisionUID($0) }, revision: revision)
    }

    private mutating func revision(
        _ validation: inout Validation, _ value: MessagePackValue, _ location: Validation.Location
    ) -> OfferedRevision? {
        guard let fields = validation.fields(value, location) else { return nil }
        let uid = fields.text("uid", &validation)
        let meta = fields.bytes("meta", &validation)
        let isDeleted = fields.flag("deleted", &validation)
        let chunks = fields.required("chunks", &validation) { validation, value, location in
            validation.list(value, location) { chunk(&$0, $1, $2) }
        }
        guard let uid, let meta, let isDeleted, let chunks else { return nil }
        return OfferedRevision(uid: RevisionUID(uid), meta: meta, isDeleted: isDeleted, chunks: chunks)
    }

    /// A pair of the chunk's uid and its content, or null.
    private mutating func chunk(
        _ validation: inout Validation, _ value: MessagePackValue, _ location: Validation.Location
    ) -> OfferedChunk? {
        guard case .array(let pair) = value.kind else {
            validation.note("tuple_type", location, "Input should be a valid tuple", value)
            return nil
        }
        guard pair.count <= 2 else {
            validation.note(
                "too_long", location, "Tuple should have at most 2 items after validation, not \(pair.count)", value,
                .tuple(actual: pair.count))
            return nil
        }
        let parts = Array(pair)
        let uid = parts.first.flatMap { validation.text($0, location + [.index(0)]) }
        for index in parts.count..<2 { validation.note("missing", location + [.index(index)], "Field required", value) }
        guard parts.count == 2, let second = parts.last else { return nil }
        if case .null = second.kind { return uid.map { OfferedChunk(uid: ChunkUID($0), content: nil) } }
        guard let content = validation.bytes(second, location + [.index(1)]), let uid else { return nil }
        return OfferedChunk(uid: ChunkUID(uid), content: store(content, as: ChunkUID(uid)))
    }

    private mutating func store(_ content: [UInt8], as uid: ChunkUID) -> StoredChunk {
        longestBytes = max(longestBytes, content.count)
        if contents[uid] == nil { contents[uid] = content }
        return StoredChunk(uid: uid, content: content)
    }
}
