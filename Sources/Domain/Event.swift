/// Everything that can happen. A closed set: the compiler names each place that must decide when a case is added.
///
/// Each case has a type of its own, which says all its facts (``EventFacts``), a stable name and a version in the log
/// (`EventLog/EventCodec`), and a golden file for each version ever written.
package enum Event: Hashable, Sendable {
    case userCreated(UserCreated)
    case userInitialized(UserInitialized)
    case passwordChanged(PasswordChanged)
    case userActivityChanged(UserActivityChanged)
    case userReset(UserReset)
    case userErased(UserErased)

    case collectionCreated(CollectionCreated)
    case itemCreated(ItemCreated)
    case itemRevised(ItemRevised)
    case itemRestored(ItemRestored)
    case chunkStored(ChunkStored)
    case revisionsPruned(RevisionsPruned)

    case memberJoined(MemberJoined)
    case memberLevelChanged(MemberLevelChanged)
    case memberRemoved(MemberRemoved)
    case invitationSent(InvitationSent)
    case invitationWithdrawn(InvitationWithdrawn)

    case recordsAdopted(RecordsAdopted)
}

/// The types of events, by the names that they have in the log: the one list of them. Names are never given another meaning.
package enum EventType: String, CaseIterable, Sendable {
    case userCreated = "UserCreated"
    case userInitialized = "UserInitialized"
    case passwordChanged = "PasswordChanged"
    case userActivityChanged = "UserActivityChanged"
    case userReset = "UserReset"
    case userErased = "UserErased"
    case collectionCreated = "CollectionCreated"
    case itemCreated = "ItemCreated"
    case itemRevised = "ItemRevised"
    case itemRestored = "ItemRestored"
    case chunkStored = "ChunkStored"
    case revisionsPruned = "RevisionsPruned"
    case memberJoined = "MemberJoined"
    case memberLevelChanged = "MemberLevelChanged"
    case memberRemoved = "MemberRemoved"
    case invitationSent = "InvitationSent"
    case invitationWithdrawn = "InvitationWithdrawn"
    case recordsAdopted = "RecordsAdopted"
}

extension EventType {
    /// The type in Swift of such events.
    var facts: any EventFacts.Type {
        switch self {
        case .userCreated: UserCreated.self
        case .userInitialized: UserInitialized.self
        case .passwordChanged: PasswordChanged.self
        case .userActivityChanged: UserActivityChanged.self
        case .userReset: UserReset.self
        case .userErased: UserErased.self
        case .collectionCreated: CollectionCreated.self
        case .itemCreated: ItemCreated.self
        case .itemRevised: ItemRevised.self
        case .itemRestored: ItemRestored.self
        case .chunkStored: ChunkStored.self
        case .revisionsPruned: RevisionsPruned.self
        case .memberJoined: MemberJoined.self
        case .memberLevelChanged: MemberLevelChanged.self
        case .memberRemoved: MemberRemoved.self
        case .invitationSent: InvitationSent.self
        case .invitationWithdrawn: InvitationWithdrawn.self
        case .recordsAdopted: RecordsAdopted.self
        }
    }

    /// The types whose events record redactions.
    package static let recordingRedactions = allCases.filter { $0.facts.recordsRedaction }
}

extension Event {
    /// What the event says of itself.
    var facts: any EventFacts {
        switch self {
        case .userCreated(let event): event
        case .userInitialized(let event): event
        case .passwordChanged(let event): event
        case .userActivityChanged(let event): event
        case .userReset(let event): event
        case .userErased(let event): event
        case .collectionCreated(let event): event
        case .itemCreated(let event): event
        case .itemRevised(let event): event
        case .itemRestored(let event): event
        case .chunkStored(let event): event
        case .revisionsPruned(let event): event
        case .memberJoined(let event): event
        case .memberLevelChanged(let event): event
        case .memberRemoved(let event): event
        case .invitationSent(let event): event
        case .invitationWithdrawn(let event): event
        case .recordsAdopted(let event): event
        }
    }

    /// The type of the event.
    package var type: EventType { Swift.type(of: facts).type }
    /// The stream that the event belongs to.
    package var stream: StreamID { facts.stream }
    /// The other streams that the event changes; their heads move with it.
    package var touches: [StreamID] { facts.touches }
    /// The keys that must be new in the whole log for this event to be appended.
    package var claims: [ClaimMade] { facts.claims }
    /// What the event does to the content of collections.
    package var content: ContentChange { facts.content }
    /// The redaction that the event records.
    package var redaction: RedactionProof? { facts.redaction }
}
