/// The types of events, by the names that they have in the log: the one list of them. Names are never given another meaning.
public enum EventType: String, CaseIterable, Sendable {
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

extension Event {
    /// The type of the event.
    public var type: EventType {
        switch self {
        case .userCreated: .userCreated
        case .userInitialized: .userInitialized
        case .passwordChanged: .passwordChanged
        case .userActivityChanged: .userActivityChanged
        case .userReset: .userReset
        case .userErased: .userErased
        case .collectionCreated: .collectionCreated
        case .itemCreated: .itemCreated
        case .itemRevised: .itemRevised
        case .itemRestored: .itemRestored
        case .chunkStored: .chunkStored
        case .revisionsPruned: .revisionsPruned
        case .memberJoined: .memberJoined
        case .memberLevelChanged: .memberLevelChanged
        case .memberRemoved: .memberRemoved
        case .invitationSent: .invitationSent
        case .invitationWithdrawn: .invitationWithdrawn
        case .recordsAdopted: .recordsAdopted
        }
    }
}
