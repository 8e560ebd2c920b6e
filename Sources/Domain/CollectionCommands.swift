/// The wish to make a collection with its main item: `POST collection/`.
package struct CreateCollection: Sendable {
    package let author: UserID
    /// Its uid is the collection's.
    package let item: OfferedItem
    /// Nil where the request had none, which is refused.
    package let collectionType: [UInt8]?
    package let collectionKey: [UInt8]

    package init(author: UserID, item: OfferedItem, collectionType: [UInt8]?, collectionKey: [UInt8]) {
        self.author = author
        self.item = item
        self.collectionType = collectionType
        self.collectionKey = collectionKey
    }
}

extension CreateCollection: Command {
    /// The collection that it would be.
    package var collection: CollectionUID { CollectionUID(item.uid.rawValue) }

    package var needs: CollectionNeeds {
        var claims: [Claim] = [.collection(collection), .revision(item.revision.uid)]
        // One that is too long is refused, whoever has it.
        if let collectionType, collectionType.count <= FieldLimits.collectionTypeBytes { claims.append(.collectionType(collectionType)) }
        return CollectionNeeds(collection, claims: claims, quota: .maker(author))
    }

    /// Decides what making a collection means: it comes to be, then its owner joins as admin.
    ///
    /// Two events, because the original gives the revision and the membership a stoken each. The main item's own key is
    /// not kept, as recorded in `item-key`. The order in which faults are told is that of `collection-create-get`.
    package func decide(_ state: CollectionState) throws(Refusal) -> [Decided<CollectionState>] {
        guard item.etag == nil else { throw .etagOfNewCollection }
        guard state.owner == nil, state.taken[.collection(state.uid)] == nil else { throw .collectionExists }
        if let error = FieldRules.uid(state.uid, field: .uid) ?? FieldRules.version(item.version, field: .version) {
            throw .invalidFields([error])
        }
        if let error = FieldRules.tooLong(collectionKey.count, field: .collectionKey, maximum: FieldLimits.collectionKeyBytes) {
            throw .invalidFields([error])
        }
        guard let revision = try state.accept(item.revision) else { throw .chunkWithoutContent }
        guard let type = collectionType else { throw .collectionTypeMissing }
        return try state.withinQuota([
            state.decided(CollectionCreated(collection: collection, owner: author, version: item.version, revision: revision)),
            state.decided(
                MemberJoined(
                    collection: collection, user: author, level: .admin, encryptionKey: collectionKey,
                    collectionType: try state.usable(type, by: author), invitation: nil, inviters: [])),
        ])
    }
}

extension CollectionState {
    /// A type's uid belongs to the user who used it first (QUIRKS.md 21).
    func usable(_ type: [UInt8], by user: UserID) throws(Refusal) -> [UInt8] {
        if let owner = taken[.collectionType(type)], owner != user { throw .collectionTypeTaken }
        if let error = FieldRules.collectionType(type) { throw .invalidFields([error]) }
        return type
    }
}

/// The wish to upload a chunk by itself: `PUT …/chunk/UID/`.
package struct StoreChunk: Sendable {
    package let collection: CollectionUID
    package let author: UserID
    package let chunk: StoredChunk

    package init(collection: CollectionUID, author: UserID, chunk: StoredChunk) {
        self.collection = collection
        self.author = author
        self.chunk = chunk
    }
}

extension StoreChunk: Command {
    package var needs: CollectionNeeds { CollectionNeeds(collection, chunks: [chunk.uid], quota: .owner) }

    /// Decides what uploading a chunk means. A chunk never changes: one that is there is refused, whatever its content.
    package func decide(_ state: CollectionState) throws(Refusal) -> [Decided<CollectionState>] {
        try state.requireWriteAccess(author)
        guard !state.chunks.contains(chunk.uid) else { throw .chunkExists }
        if let error = FieldRules.uid(chunk.uid, field: .uid, maximum: FieldLimits.chunkUID) { throw .invalidFields([error]) }
        return try state.withinQuota([state.decided(ChunkStored(collection: collection, chunk: chunk))])
    }
}
