/// A chunk of content that was stored beside the log.
package struct StoredChunk: Hashable, Sendable {
    package var uid: ChunkUID
    /// The length of the content, in bytes.
    package var bytes: Int
    /// BLAKE2b over the content, 16 bytes: with it the log proves the content that lies beside it.
    package var digest: [UInt8]

    package init(uid: ChunkUID, bytes: Int, digest: [UInt8]) {
        self.uid = uid
        self.bytes = bytes
        self.digest = digest
    }
}

/// A state of an item, as the client signed it.
package struct Revision: Hashable, Sendable {
    package var uid: RevisionUID
    /// Encrypted by the client.
    package var meta: [UInt8]
    package var isDeleted: Bool
    /// The content's chunks, in order; a chunk may stand there more than once.
    package var chunks: [ChunkUID]
    /// Those of them whose content came with this revision.
    package var stored: [StoredChunk]

    package init(uid: RevisionUID, meta: [UInt8], isDeleted: Bool, chunks: [ChunkUID], stored: [StoredChunk]) {
        self.uid = uid
        self.meta = meta
        self.isDeleted = isDeleted
        self.chunks = chunks
        self.stored = stored
    }
}

/// A collection was made, with its main item and that item's first revision. Its owner joins in the next event.
package struct CollectionCreated: Hashable, Sendable {
    package var collection: CollectionUID
    package var owner: UserID
    /// The encryption version of the main item.
    package var version: Int
    package var revision: Revision

    package init(collection: CollectionUID, owner: UserID, version: Int, revision: Revision) {
        self.collection = collection
        self.owner = owner
        self.version = version
        self.revision = revision
    }
}

extension CollectionCreated: CollectionEvent {
    package static var type: EventType { .collectionCreated }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .collectionCreated(self) }
    package var touches: [StreamID] { [] }
    package var claims: [ClaimMade] {
        [
            ClaimMade(claim: .collection(collection), holder: owner, isRepeatable: false),
            ClaimMade(claim: .revision(revision.uid), holder: owner, isRepeatable: false),
        ]
    }
    package var content: ContentChange {
        .written(.made(MadeRevision(item: collection.mainItem, revision: revision, new: .collection(owner: owner, version: version))))
    }
    package func remains(after removal: some Removal, at _: Position) -> Self {
        var event = self
        event.revision = removal.remains(of: revision, in: collection)
        return event
    }
}

/// An item came into a collection.
package struct ItemCreated: Hashable, Sendable {
    package var collection: CollectionUID
    package var item: ItemUID
    /// The encryption version that the client used, 0 to 32767.
    package var version: Int
    /// The item's own key, encrypted by the client; official clients send none.
    package var encryptionKey: [UInt8]?
    package var revision: Revision

    package init(collection: CollectionUID, item: ItemUID, version: Int, encryptionKey: [UInt8]?, revision: Revision) {
        self.collection = collection
        self.item = item
        self.version = version
        self.encryptionKey = encryptionKey
        self.revision = revision
    }
}

extension ItemCreated: CollectionEvent {
    package static var type: EventType { .itemCreated }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .itemCreated(self) }
    package var touches: [StreamID] { [] }
    package var claims: [ClaimMade] { [ClaimMade(claim: .revision(revision.uid), holder: nil, isRepeatable: false)] }
    package var content: ContentChange {
        .written(.made(MadeRevision(item: item, revision: revision, new: .item(version: version, encryptionKey: encryptionKey))))
    }
    package func remains(after removal: some Removal, at _: Position) -> Self {
        var event = self
        if removal.takes(collection) { event.encryptionKey = nil }
        event.revision = removal.remains(of: revision, in: collection)
        return event
    }
}

/// An item got a new current revision. A deletion is a revision too.
package struct ItemRevised: Hashable, Sendable {
    package var collection: CollectionUID
    package var item: ItemUID
    package var revision: Revision

    package init(collection: CollectionUID, item: ItemUID, revision: Revision) {
        self.collection = collection
        self.item = item
        self.revision = revision
    }
}

extension ItemRevised: CollectionEvent {
    package static var type: EventType { .itemRevised }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .itemRevised(self) }
    package var touches: [StreamID] { [] }
    package var claims: [ClaimMade] { [ClaimMade(claim: .revision(revision.uid), holder: nil, isRepeatable: false)] }
    package var content: ContentChange { .written(.made(MadeRevision(item: item, revision: revision, new: .nothing))) }
    package func remains(after removal: some Removal, at _: Position) -> Self {
        var event = self
        event.revision = removal.remains(of: revision, in: collection)
        return event
    }
}

/// An earlier revision of an item, which its client had signed, is current again under a new stoken. The server cannot sign
/// a revision of its own, so this is how it undoes a deletion.
package struct ItemRestored: Hashable, Sendable {
    package var collection: CollectionUID
    package var item: ItemUID
    /// One that the item has had before.
    package var revision: RevisionUID

    package init(collection: CollectionUID, item: ItemUID, revision: RevisionUID) {
        self.collection = collection
        self.item = item
        self.revision = revision
    }
}

extension ItemRestored: CollectionEvent {
    package static var type: EventType { .itemRestored }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .itemRestored(self) }
    package var touches: [StreamID] { [] }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .written(.restored(item, revision)) }
    package func remains(after _: some Removal, at _: Position) -> Self { self }
}

/// A chunk was uploaded by itself, before the revision that will name it.
package struct ChunkStored: Hashable, Sendable {
    package var collection: CollectionUID
    package var chunk: StoredChunk

    package init(collection: CollectionUID, chunk: StoredChunk) {
        self.collection = collection
        self.chunk = chunk
    }
}

extension ChunkStored: CollectionEvent {
    package static var type: EventType { .chunkStored }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .chunkStored(self) }
    package var touches: [StreamID] { [] }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .written(.stored(chunk)) }
    package func remains(after removal: some Removal, at _: Position) -> Self {
        removal.takes(collection) ? ChunkStored(collection: collection, chunk: chunk.withoutContent) : self
    }
}

/// Earlier revisions of items are not kept any longer. What the events that carried them said of their content has been
/// rewritten.
package struct RevisionsPruned: Hashable, Sendable {
    package var collection: CollectionUID
    package var revisions: [RevisionUID]
    /// The chunks that no other revision names.
    package var chunks: [ChunkUID]
    package var redaction: RedactionProof

    package init(collection: CollectionUID, revisions: [RevisionUID], chunks: [ChunkUID], redaction: RedactionProof) {
        self.collection = collection
        self.revisions = revisions
        self.chunks = chunks
        self.redaction = redaction
    }
}

extension RevisionsPruned: CollectionEvent {
    package static var type: EventType { .revisionsPruned }
    package static var proof: KeyPath<Self, RedactionProof>? { \.redaction }
    package var event: Event { .revisionsPruned(self) }
    package var touches: [StreamID] { [] }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .pruned(revisions) }
    package func remains(after _: some Removal, at _: Position) -> Self { self }
}
