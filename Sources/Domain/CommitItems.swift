/// A chunk as a request names it: with its content, or by name because the server has it.
package struct OfferedChunk: Hashable, Sendable {
    package let uid: ChunkUID
    /// What the content would be stored as; nil when only the name came.
    package let content: StoredChunk?

    package init(uid: ChunkUID, content: StoredChunk?) {
        self.uid = uid
        self.content = content
    }
}

/// A revision as a request brings it.
package struct OfferedRevision: Hashable, Sendable {
    package let uid: RevisionUID
    package let meta: [UInt8]
    package let isDeleted: Bool
    package let chunks: [OfferedChunk]

    package init(uid: RevisionUID, meta: [UInt8], isDeleted: Bool, chunks: [OfferedChunk]) {
        self.uid = uid
        self.meta = meta
        self.isDeleted = isDeleted
        self.chunks = chunks
    }
}

/// An item as a request brings it.
package struct OfferedItem: Hashable, Sendable {
    package let uid: ItemUID
    package let version: Int
    package let encryptionKey: [UInt8]?
    /// The revision that the client believes current; nil for an item that it believes new.
    package let etag: RevisionUID?
    package let revision: OfferedRevision

    package init(uid: ItemUID, version: Int, encryptionKey: [UInt8]?, etag: RevisionUID?, revision: OfferedRevision) {
        self.uid = uid
        self.version = version
        self.encryptionKey = encryptionKey
        self.etag = etag
        self.revision = revision
    }
}

/// The wish to write items of a collection: `item/batch/` and `item/transaction/`.
package struct CommitItems: Sendable {
    /// An item that must stand at a revision for the whole to be carried out.
    package struct Dependency: Hashable, Sendable {
        package let item: ItemUID
        package let etag: RevisionUID

        package init(item: ItemUID, etag: RevisionUID) {
            self.item = item
            self.etag = etag
        }
    }

    /// The collection's stoken as the client believes it.
    package enum ExpectedStoken: Hashable, Sendable {
        case any
        case exactly(Position)
        /// A text that is no stoken of this server; no collection stands there.
        case unknown
    }

    package let collection: CollectionUID
    package let author: UserID
    package let items: [OfferedItem]
    package let dependencies: [Dependency]
    package let stoken: ExpectedStoken
    /// Whether each item's etag must be right: in a transaction, not in a batch.
    package let checksEtags: Bool
    package let needs: CollectionNeeds

    /// - Parameter needs: what ``needs(of:_:in:checksEtags:)`` says, where that was asked before: with many items it is work that
    ///   is not done on the thread of a database.
    package init(
        collection: CollectionUID, author: UserID, items: [OfferedItem], dependencies: [Dependency], stoken: ExpectedStoken,
        checksEtags: Bool, needs: CollectionNeeds? = nil
    ) {
        self.needs = needs ?? Self.needs(of: items, dependencies, in: collection, checksEtags: checksEtags)
        self.collection = collection
        self.author = author
        self.items = items
        self.dependencies = dependencies
        self.stoken = stoken
        self.checksEtags = checksEtags
    }
}

extension CommitItems {
    /// What must be known to decide about these items.
    package static func needs(
        of items: [OfferedItem], _ dependencies: [Dependency], in collection: CollectionUID, checksEtags: Bool
    ) -> CollectionNeeds {
        CollectionNeeds(
            collection, items: items.map(\.uid) + dependencies.map(\.item),
            chunks: tooManyChunks(in: items) != nil ? [] : Array(Set(items.flatMap { $0.revision.chunks.map(\.uid) })),
            claims: items.map { .revision($0.revision.uid) }, offered: checksEtags ? [] : items, quota: .owner)
    }

    /// More chunks than may be looked for: none is, then.
    private static func tooManyChunks(in items: [OfferedItem]) -> FieldError? {
        let count = items.reduce(0) { $0 + $1.revision.chunks.count }
        return FieldRules.tooLong(count, field: .revisionChunks, maximum: FieldLimits.chunksOfCommand)
    }
}

extension CommitItems: Command {
    /// Decides what committing items means for a collection: all of them, or none.
    ///
    /// The order in which faults are told is the recorded one (`item-transaction`): access, stoken, dependencies (of the
    /// state before), then the items one after the other, each seeing those before it. An item that stands at the revision
    /// that is sent is a success and no event, and so is, in a batch, a revision that the item has had before with the same
    /// content (QUIRKS.md 46): a client whose answer was lost sends it again, also when others have changed the item since. What
    /// the client believes of the collection's stoken must be true all the same (QUIRKS.md 18).
    ///
    /// - Throws: ``Refusal/itemsFailed(_:)`` with every stale etag and every chunk without content;
    ///   ``Refusal/invalidFields(_:)`` at the first revision uid that is in use and the first value that is not allowed;
    ///   ``Refusal/quotaExceeded(_:)`` where all else is well.
    package func decide(_ state: CollectionState) throws(Refusal) -> [Decided<CollectionState>] {
        try state.requireWriteAccess(author)
        if let error = Self.tooManyChunks(in: items) { throw .invalidFields([error]) }
        switch stoken {
        case .any: break
        case .exactly(let stoken): guard stoken == state.stoken else { throw .staleStoken }
        case .unknown: throw .staleStoken
        }
        let failed = dependencies.filter { state.etags[$0.item] != $0.etag }
        guard failed.isEmpty else {
            throw .dependenciesFailed(failed.map { FieldError(.item($0.item), .wrongEtag(current: state.etags[$0.item], given: $0.etag)) })
        }

        let before = state
        var state = state
        var events: [Decided<CollectionState>] = []
        var errors: [FieldError] = []
        for item in items where state.etags[item.uid] != item.revision.uid {
            if !checksEtags, state.hasHad(item) { continue }
            let current = state.etags[item.uid]
            if checksEtags, current != item.etag {
                errors.append(FieldError(.item(item.uid), .wrongEtag(current: current, given: item.etag)))
                continue
            }
            guard let revision = try state.accept(item.revision) else {
                errors.append(FieldError(.item(item.uid), .chunkWithoutContent))
                continue
            }
            let event = try state.event(for: item, revision)
            state.evolve(event.event, at: state.stoken)
            events.append(event)
        }
        guard errors.isEmpty else { throw .itemsFailed(errors) }
        return try before.withinQuota(events)
    }
}

extension CollectionState {
    /// Whether the revision is in the item's history already, as it is offered.
    fileprivate func hasHad(_ item: OfferedItem) -> Bool {
        guard let known = known[item.revision.uid] else { return false }
        return known.item == item.uid && known.isDeleted == item.revision.isDeleted && known.meta == item.revision.meta
            && known.chunks == item.revision.chunks.map(\.uid)
    }

    fileprivate func event(for item: OfferedItem, _ revision: Revision) throws(Refusal) -> Decided<Self> {
        if etags[item.uid] != nil {
            return decided(ItemRevised(collection: uid, item: item.uid, revision: revision))
        }
        let error =
            FieldRules.uid(item.uid, field: .uid) ?? FieldRules.version(item.version, field: .version)
            ?? FieldRules.tooLong(item.encryptionKey?.count ?? 0, field: .encryptionKey, maximum: FieldLimits.itemKeyBytes)
        if let error { throw .invalidFields([error]) }
        return decided(
            ItemCreated(
                collection: uid, item: item.uid, version: item.version, encryptionKey: item.encryptionKey, revision: revision))
    }

    /// The revision as it will be recorded, or nil when it names a chunk that is neither there nor sent.
    ///
    /// Chunks belong to their collection (QUIRKS.md 19). Content that is sent for a chunk that is there is ignored.
    func accept(_ offered: OfferedRevision) throws(Refusal) -> Revision? {
        if taken[.revision(offered.uid)] != nil { throw .invalidFields([FieldError(.revisionUID, .revisionExists)]) }
        if let error = FieldRules.uid(offered.uid, field: .revisionUID) ?? FieldRules.content(offered) { throw .invalidFields([error]) }
        var stored: [StoredChunk] = []
        // Beside those that are there: a copy of them for each revision would take time that grows with the square of what is sent.
        var new: Set<ChunkUID> = []
        for chunk in offered.chunks where !chunks.contains(chunk.uid) && !new.contains(chunk.uid) {
            guard let content = chunk.content else { return nil }
            if let error = FieldRules.uid(chunk.uid, field: .revisionChunks, maximum: FieldLimits.chunkUID) {
                throw .invalidFields([error])
            }
            stored.append(content)
            new.insert(chunk.uid)
        }
        return Revision(
            uid: offered.uid, meta: offered.meta, isDeleted: offered.isDeleted, chunks: offered.chunks.map(\.uid), stored: stored)
    }
}
