/// What an event does to the content of collections. Whoever keeps account of content goes by this, and not by types of events.
package enum ContentChange: Hashable, Sendable {
    /// Nothing.
    case nothing
    /// Something came into the collection of the event's stream.
    case written(ContentWritten)
    /// Earlier revisions are not kept any longer.
    case pruned([RevisionUID])
    /// Those of the collections went for good that the user owns, or all where that does not matter.
    case lost([CollectionUID], ownedBy: UserID?)
    /// Records came, told one by one.
    case adopted(RecordsAdopted)
}

/// What came into a collection.
package enum ContentWritten: Hashable, Sendable {
    /// A revision, which is its item's current one since.
    case made(MadeRevision)
    /// An earlier revision of the item is current again.
    case restored(ItemUID, RevisionUID)
    /// A chunk by itself.
    case stored(StoredChunk)
}

/// A revision that an event makes, and of which item.
package struct MadeRevision: Hashable, Sendable {
    package let item: ItemUID
    package let revision: Revision
    /// What came with it.
    package let new: New

    /// What a revision is the first one of.
    package enum New: Hashable, Sendable {
        /// Of nothing: the item is there.
        case nothing
        case item(version: Int, encryptionKey: [UInt8]?)
        /// A collection, whose main item it is.
        case collection(owner: UserID, version: Int)
    }
}

extension Event {
    /// What came into a collection with it; nil where that is nothing, or told record by record.
    package var written: ContentWritten? {
        switch content {
        case .written(let written): written
        case .nothing, .pruned, .lost, .adopted: nil
        }
    }

    /// The revision that the event makes. Nil for those that make none: a restored one was made before, and what was adopted
    /// is told record by record.
    package var made: MadeRevision? {
        switch written {
        case .made(let made): made
        case .restored, .stored, nil: nil
        }
    }

    /// The chunks of which the event's revision is made.
    package var namedChunks: [ChunkUID] { made?.revision.chunks ?? [] }

    /// The chunks whose contents are stored with the event.
    package var storedChunks: [StoredChunk] {
        switch content {
        case .written(.made(let made)): made.revision.stored
        case .written(.stored(let chunk)): [chunk]
        case .adopted(let adopted): adopted.records.compactMap(\.storedChunk)
        case .nothing, .written(.restored), .pruned, .lost: []
        }
    }
}
