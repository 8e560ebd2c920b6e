/// A chunk of content that was stored beside the log.
public struct StoredChunk: Hashable, Sendable {
    public var uid: ChunkUID
    /// The length of the content, in bytes.
    public var bytes: Int
    /// BLAKE2b over the content, 16 bytes: with it the log proves the content that lies beside it.
    public var digest: [UInt8]

    public init(uid: ChunkUID, bytes: Int, digest: [UInt8]) {
        self.uid = uid
        self.bytes = bytes
        self.digest = digest
    }
}

/// A state of an item, as the client signed it.
public struct Revision: Hashable, Sendable {
    public var uid: RevisionUID
    /// Encrypted by the client.
    public var meta: [UInt8]
    public var isDeleted: Bool
    /// The content's chunks, in order; a chunk may stand there more than once.
    public var chunks: [ChunkUID]
    /// Those of them whose content came with this revision.
    public var stored: [StoredChunk]

    public init(uid: RevisionUID, meta: [UInt8], isDeleted: Bool, chunks: [ChunkUID], stored: [StoredChunk]) {
        self.uid = uid
        self.meta = meta
        self.isDeleted = isDeleted
        self.chunks = chunks
        self.stored = stored
    }
}

/// A collection was made, with its main item and that item's first revision. Its owner joins in the next event.
public struct CollectionCreated: Hashable, Sendable {
    public var collection: CollectionUID
    public var owner: UserID
    /// The encryption version of the main item.
    public var version: Int
    public var revision: Revision

    public init(collection: CollectionUID, owner: UserID, version: Int, revision: Revision) {
        self.collection = collection
        self.owner = owner
        self.version = version
        self.revision = revision
    }
}

extension CollectionCreated: CollectionEvent {
    public static var type: EventType { .collectionCreated }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .collectionCreated(self) }
    public var touches: [StreamID] { [] }
    public var claims: [ClaimMade] {
        [
            ClaimMade(claim: .collection(collection), holder: owner, isRepeatable: false),
            ClaimMade(claim: .revision(revision.uid), holder: owner, isRepeatable: false),
        ]
    }
    public var content: ContentChange {
        .written(.made(MadeRevision(item: collection.mainItem, revision: revision, new: .collection(owner: owner, version: version))))
    }
    public func remains(after removal: some Removal, at _: Position) -> Self {
        var event = self
        event.revision = removal.remains(of: revision, in: collection)
        return event
    }
}

/// An item came into a collection.
public struct ItemCreated: Hashable, Sendable {
    public var collection: CollectionUID
    public var item: ItemUID
    /// The encryption version that the client used, 0 to 32767.
    public var version: Int
    /// The item's own key, encrypted by the client; official clients send none.
    public var encryptionKey: [UInt8]?
    public var revision: Revision

    public init(collection: CollectionUID, item: ItemUID, version: Int, encryptionKey: [UInt8]?, revision: Revision) {
        self.collection = collection
        self.item = item
        self.version = version
        self.encryptionKey = encryptionKey
        self.revision = revision
    }
}

extension ItemCreated: CollectionEvent {
    public static var type: EventType { .itemCreated }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .itemCreated(self) }
    public var touches: [StreamID] { [] }
    public var claims: [ClaimMade] { [ClaimMade(claim: .revision(revision.uid), holder: nil, isRepeatable: false)] }
    public var content: ContentChange {
        .written(.made(MadeRevision(item: item, revision: revision, new: .item(version: version, encryptionKey: encryptionKey))))
    }
    public func remains(after removal: some Removal, at _: Position) -> Self {
        var event = self
        if removal.takes(collection) { event.encryptionKey = nil }
        event.revision = removal.remains(of: revision, in: collection)
        return event
    }
}

/// An item got a new current revision. A deletion is a revision too.
public struct ItemRevised: Hashable, Sendable {
    public var collection: CollectionUID
    public var item: ItemUID
    public var revision: Revision

    public init(collection: CollectionUID, item: ItemUID, revision: Revision) {
        self.collection = collection
        self.item = item
        self.revision = revision
    }
}

extension ItemRevised: CollectionEvent {
    public static var type: EventType { .itemRevised }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .itemRevised(self) }
    public var touches: [StreamID] { [] }
    public var claims: [ClaimMade] { [ClaimMade(claim: .revision(revision.uid), holder: nil, isRepeatable: false)] }
    public var content: ContentChange { .written(.made(MadeRevision(item: item, revision: revision, new: .nothing))) }
    public func remains(after removal: some Removal, at _: Position) -> Self {
        var event = self
        event.revision = removal.remains(of: revision, in: collection)
        return event
    }
}

/// An earlier revision of an item, which its client had signed, is current again under a new stoken. The server cannot sign
/// a revision of its own, so this is how it undoes a deletion.
public struct ItemRestored: Hashable, Sendable {
    public var collection: CollectionUID
    public var item: ItemUID
    /// One that the item has had before.
    public var revision: RevisionUID

    public init(collection: CollectionUID, item: ItemUID, revision: RevisionUID) {
        self.collection = collection
        self.item = item
        self.revision = revision
    }
}

extension ItemRestored: CollectionEvent {
    public static var type: EventType { .itemRestored }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .itemRestored(self) }
    public var touches: [StreamID] { [] }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .written(.restored(item, revision)) }
    public func remains(after _: some Removal, at _: Position) -> Self { self }
}

/// A chunk was uploaded by itself, before the revision that will name it.
public struct ChunkStored: Hashable, Sendable {
    public var collection: CollectionUID
    public var chunk: StoredChunk

    public init(collection: CollectionUID, chunk: StoredChunk) {
        self.collection = collection
        self.chunk = chunk
    }
}

extension ChunkStored: CollectionEvent {
    public static var type: EventType { .chunkStored }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .chunkStored(self) }
    public var touches: [StreamID] { [] }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .written(.stored(chunk)) }
    public func remains(after removal: some Removal, at _: Position) -> Self {
        removal.takes(collection) ? ChunkStored(collection: collection, chunk: chunk.withoutContent) : self
    }
}

/// Earlier revisions of items are not kept any longer. What the events that carried them said of their content has been
/// rewritten.
public struct RevisionsPruned: Hashable, Sendable {
    public var collection: CollectionUID
    public var revisions: [RevisionUID]
    /// The chunks that no other revision names.
    public var chunks: [ChunkUID]
    public var redaction: RedactionProof

    public init(collection: CollectionUID, revisions: [RevisionUID], chunks: [ChunkUID], redaction: RedactionProof) {
        self.collection = collection
        self.revisions = revisions
        self.chunks = chunks
        self.redaction = redaction
    }
}

extension RevisionsPruned: CollectionEvent {
    public static var type: EventType { .revisionsPruned }
    public static var proof: KeyPath<Self, RedactionProof>? { \.redaction }
    public var event: Event { .revisionsPruned(self) }
    public var touches: [StreamID] { [] }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .pruned(revisions) }
    public func remains(after _: some Removal, at _: Position) -> Self { self }
}
