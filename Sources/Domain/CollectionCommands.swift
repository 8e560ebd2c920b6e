/// The wish to make a collection with its main item: `POST collection/`.
public struct CreateCollection: Sendable {
    public let author: UserID
    /// Its uid is the collection's.
    public let item: OfferedItem
    /// Nil where the request had none, which is refused.
    public let collectionType: [UInt8]?
    public let collectionKey: [UInt8]

    public init(author: UserID, item: OfferedItem, collectionType: [UInt8]?, collectionKey: [UInt8]) {
        self.author = author
        self.item = item
        self.collectionType = collectionType
        self.collectionKey = collectionKey
    }
}

/// Decides what making a collection means: it comes to be, then its owner joins as admin.
///
/// Two events, because the original gives the revision and the membership a stoken each. The main item's own key is
/// not kept, as recorded in `item-key`. The order in which faults are told is that of `collection-create-get`.
public func decide(_ command: CreateCollection, _ state: CollectionState) throws(Refusal) -> [Event] {
    guard command.item.etag == nil else { throw .etagOfNewCollection }
    guard state.owner == nil, state.taken[.collection(state.uid)] == nil else { throw .collectionExists }
    if let error = FieldRules.uid(state.uid, field: "uid") ?? FieldRules.version(command.item.version, field: "version") {
        throw .invalidFields([error])
    }
    if let error = FieldRules.tooLong(command.collectionKey.count, field: "collectionKey", maximum: FieldLimits.collectionKeyBytes) {
        throw .invalidFields([error])
    }
    guard let revision = try state.accept(command.item.revision) else { throw .chunkWithoutContent }
    guard let type = command.collectionType else { throw .collectionTypeMissing }
    return [
        .collectionCreated(
            .init(collection: state.uid, owner: command.author, version: command.item.version, revision: revision)),
        .memberJoined(
            .init(
                collection: state.uid, user: command.author, level: .admin, encryptionKey: command.collectionKey,
                collectionType: try state.usable(type, by: command.author), invitation: nil, inviters: [])),
    ]
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
public struct StoreChunk: Sendable {
    public let collection: CollectionUID
    public let author: UserID
    public let chunk: StoredChunk

    public init(collection: CollectionUID, author: UserID, chunk: StoredChunk) {
        self.collection = collection
        self.author = author
        self.chunk = chunk
    }
}

/// Decides what uploading a chunk means. A chunk never changes: one that is there is refused, whatever its content.
public func decide(_ command: StoreChunk, _ state: CollectionState) throws(Refusal) -> [Event] {
    try state.requireWriteAccess(command.author)
    guard !state.chunks.contains(command.chunk.uid) else { throw .chunkExists }
    if let error = FieldRules.uid(command.chunk.uid, field: "uid", maximum: FieldLimits.chunkUID) { throw .invalidFields([error]) }
    return [.chunkStored(.init(collection: command.collection, chunk: command.chunk))]
}
