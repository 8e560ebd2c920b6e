/// A claim that an event makes.
public struct ClaimMade: Hashable, Sendable {
    public let claim: Claim
    /// Who holds it; nil where the event itself creates the user.
    public let holder: UserID?
    /// Whether its holder may make it again, as with a type that a user uses for several collections.
    public let isRepeatable: Bool

    public init(claim: Claim, holder: UserID?, isRepeatable: Bool) {
        self.claim = claim
        self.holder = holder
        self.isRepeatable = isRepeatable
    }
}

extension Event {
    /// The keys that must be new in the whole log for this event to be appended.
    public var claims: [ClaimMade] {
        switch self {
        case .userCreated(let event): [ClaimMade(claim: .username(event.username), holder: nil, isRepeatable: false)]
        case .collectionCreated(let event):
            [
                ClaimMade(claim: .collection(event.collection), holder: event.owner, isRepeatable: false),
                ClaimMade(claim: .revision(event.revision.uid), holder: event.owner, isRepeatable: false),
            ]
        case .itemCreated(let event): [ClaimMade(claim: .revision(event.revision.uid), holder: nil, isRepeatable: false)]
        case .itemRevised(let event): [ClaimMade(claim: .revision(event.revision.uid), holder: nil, isRepeatable: false)]
        case .memberJoined(let event):
            [ClaimMade(claim: .collectionType(event.collectionType), holder: event.user, isRepeatable: true)]
        case .recordsAdopted(let event): event.records.compactMap(\.claim)
        case .userInitialized, .passwordChanged, .userActivityChanged, .userReset, .userErased, .itemRestored, .chunkStored,
            .revisionsPruned, .memberLevelChanged, .memberRemoved, .invitationSent, .invitationWithdrawn:
            []
        }
    }
}
