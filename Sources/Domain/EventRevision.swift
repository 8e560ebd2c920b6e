/// A revision that an event makes, and of which item.
public struct MadeRevision: Hashable, Sendable {
    public let item: ItemUID
    public let revision: Revision
}

extension Event {
    /// The revision that the event makes. Nil for those that make none: a restored one was made before, and what was adopted
    /// is told record by record.
    public var made: MadeRevision? {
        switch self {
        case .collectionCreated(let event): MadeRevision(item: ItemUID(event.collection.rawValue), revision: event.revision)
        case .itemCreated(let event): MadeRevision(item: event.item, revision: event.revision)
        case .itemRevised(let event): MadeRevision(item: event.item, revision: event.revision)
        case .userCreated, .userInitialized, .passwordChanged, .userActivityChanged, .userReset, .userErased, .itemRestored, .chunkStored,
            .revisionsPruned, .memberJoined, .memberLevelChanged, .memberRemoved, .invitationSent, .invitationWithdrawn, .recordsAdopted:
            nil
        }
    }

    /// The event with another revision in place of the one that it makes; the same event where it makes none.
    func replacing(_ revision: Revision) -> Event {
        switch self {
        case .collectionCreated(var event):
            event.revision = revision
            return .collectionCreated(event)
        case .itemCreated(var event):
            event.revision = revision
            return .itemCreated(event)
        case .itemRevised(var event):
            event.revision = revision
            return .itemRevised(event)
        case .userCreated, .userInitialized, .passwordChanged, .userActivityChanged, .userReset, .userErased, .itemRestored, .chunkStored,
            .revisionsPruned, .memberJoined, .memberLevelChanged, .memberRemoved, .invitationSent, .invitationWithdrawn, .recordsAdopted:
            return self
        }
    }

    /// The chunks of which the event's revision is made.
    public var namedChunks: [ChunkUID] { made?.revision.chunks ?? [] }

    /// The chunks whose contents are stored with the event.
    public var storedChunks: [StoredChunk] {
        switch self {
        case .collectionCreated, .itemCreated, .itemRevised: made?.revision.stored ?? []
        case .chunkStored(let event): [event.chunk]
        case .recordsAdopted(let event): event.records.compactMap(\.storedChunk)
        case .userCreated, .userInitialized, .passwordChanged, .userActivityChanged, .userReset, .userErased, .itemRestored,
            .revisionsPruned, .memberJoined, .memberLevelChanged, .memberRemoved, .invitationSent, .invitationWithdrawn:
            []
        }
    }

    /// The redaction that the event records.
    public var redaction: RedactionProof? {
        switch self {
        case .userErased(let event): event.redaction
        case .revisionsPruned(let event): event.redaction
        case .userCreated, .userInitialized, .passwordChanged, .userActivityChanged, .userReset, .collectionCreated, .itemCreated,
            .itemRevised, .itemRestored, .chunkStored, .memberJoined, .memberLevelChanged, .memberRemoved, .invitationSent,
            .invitationWithdrawn, .recordsAdopted:
            nil
        }
    }
}

extension EventType {
    /// The types whose events record redactions.
    public static let recordingRedactions = allCases.filter(\.recordsRedaction)

    /// Whether events of the type record redactions.
    private var recordsRedaction: Bool {
        switch self {
        case .userErased, .revisionsPruned: true
        case .userCreated, .userInitialized, .passwordChanged, .userActivityChanged, .userReset, .collectionCreated, .itemCreated,
            .itemRevised, .itemRestored, .chunkStored, .memberJoined, .memberLevelChanged, .memberRemoved, .invitationSent,
            .invitationWithdrawn, .recordsAdopted:
            false
        }
    }
}
