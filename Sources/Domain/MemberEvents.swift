/// A user became a member: the owner at once, others by accepting an invitation.
public struct MemberJoined: Hashable, Sendable {
    public var collection: CollectionUID
    public var user: UserID
    public var level: AccessLevel
    /// The collection's key, encrypted for this user.
    public var encryptionKey: [UInt8]
    /// The type under which this user files the collection; encrypted, and owned by the user.
    public var collectionType: [UInt8]
    /// The invitation that was accepted; nil for the owner.
    public var invitation: InvitationUID?
    /// Who had invited the user to this collection: all those invitations are used up.
    public var inviters: [UserID]

    public init(
        collection: CollectionUID, user: UserID, level: AccessLevel, encryptionKey: [UInt8], collectionType: [UInt8],
        invitation: InvitationUID?, inviters: [UserID]
    ) {
        self.collection = collection
        self.user = user
        self.level = level
        self.encryptionKey = encryptionKey
        self.collectionType = collectionType
        self.invitation = invitation
        self.inviters = inviters
    }
}

extension MemberJoined: CollectionEvent {
    public static var type: EventType { .memberJoined }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .memberJoined(self) }
    public var touches: [StreamID] { ([user] + inviters).map { .user($0) } }
    public var claims: [ClaimMade] { [ClaimMade(claim: .collectionType(collectionType), holder: user, isRepeatable: true)] }
    public var content: ContentChange { .nothing }
    public func remains(after removal: some Removal, at _: Position) -> Self {
        var event = self
        if removal.takes(user) || removal.takes(collection) { event.encryptionKey = [] }
        // Another member's type is that member's.
        if removal.takes(user) { event.collectionType = Erasure.placeholder(user.rawValue) }
        return event
    }
}

/// A member's access level was changed.
public struct MemberLevelChanged: Hashable, Sendable {
    public var collection: CollectionUID
    public var user: UserID
    public var level: AccessLevel

    public init(collection: CollectionUID, user: UserID, level: AccessLevel) {
        self.collection = collection
        self.user = user
        self.level = level
    }
}

extension MemberLevelChanged: CollectionEvent {
    public static var type: EventType { .memberLevelChanged }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .memberLevelChanged(self) }
    public var touches: [StreamID] { [.user(user)] }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .nothing }
    public func remains(after _: some Removal, at _: Position) -> Self { self }
}

/// A member left (then the actor is the member) or was removed. The invitations that the member sent go with it.
public struct MemberRemoved: Hashable, Sendable {
    public var collection: CollectionUID
    public var user: UserID
    /// Whom the member had invited to this collection.
    public var invitees: [UserID]

    public init(collection: CollectionUID, user: UserID, invitees: [UserID]) {
        self.collection = collection
        self.user = user
        self.invitees = invitees
    }
}

extension MemberRemoved: CollectionEvent {
    public static var type: EventType { .memberRemoved }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .memberRemoved(self) }
    public var touches: [StreamID] { ([user] + invitees).map { .user($0) } }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .nothing }
    public func remains(after _: some Removal, at _: Position) -> Self { self }
}

/// A member invited a user.
public struct InvitationSent: Hashable, Sendable {
    public var collection: CollectionUID
    public var invitation: InvitationUID
    /// The version of the invitation's encryption, 0 to 32767.
    public var version: Int
    public var inviter: UserID
    public var invitee: UserID
    public var level: AccessLevel
    /// The collection's key, signed by the inviter and encrypted for the invitee.
    public var signedEncryptionKey: [UInt8]

    public init(
        collection: CollectionUID, invitation: InvitationUID, version: Int, inviter: UserID, invitee: UserID, level: AccessLevel,
        signedEncryptionKey: [UInt8]
    ) {
        self.collection = collection
        self.invitation = invitation
        self.version = version
        self.inviter = inviter
        self.invitee = invitee
        self.level = level
        self.signedEncryptionKey = signedEncryptionKey
    }
}

extension InvitationSent: CollectionEvent {
    public static var type: EventType { .invitationSent }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .invitationSent(self) }
    public var touches: [StreamID] { [.user(inviter), .user(invitee)] }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .nothing }
    public func remains(after removal: some Removal, at _: Position) -> Self {
        var event = self
        if removal.takes(invitee) || removal.takes(collection) { event.signedEncryptionKey = [] }
        return event
    }
}

/// An invitation is no more: the invitee rejected it, or the inviter cancelled it (the actor tells).
public struct InvitationWithdrawn: Hashable, Sendable {
    public var collection: CollectionUID
    public var invitation: InvitationUID
    public var inviter: UserID
    public var invitee: UserID

    public init(collection: CollectionUID, invitation: InvitationUID, inviter: UserID, invitee: UserID) {
        self.collection = collection
        self.invitation = invitation
        self.inviter = inviter
        self.invitee = invitee
    }
}

extension InvitationWithdrawn: CollectionEvent {
    public static var type: EventType { .invitationWithdrawn }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .invitationWithdrawn(self) }
    public var touches: [StreamID] { [.user(inviter), .user(invitee)] }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .nothing }
    public func remains(after _: some Removal, at _: Position) -> Self { self }
}
