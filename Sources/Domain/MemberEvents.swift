/// A user became a member: the owner at once, others by accepting an invitation.
package struct MemberJoined: Hashable, Sendable {
    package var collection: CollectionUID
    package var user: UserID
    package var level: AccessLevel
    /// The collection's key, encrypted for this user.
    package var encryptionKey: [UInt8]
    /// The type under which this user files the collection; encrypted, and owned by the user.
    package var collectionType: [UInt8]
    /// The invitation that was accepted; nil for the owner.
    package var invitation: InvitationUID?
    /// Who had invited the user to this collection: all those invitations are used up.
    package var inviters: [UserID]

    package init(
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
    package static var type: EventType { .memberJoined }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .memberJoined(self) }
    package var touches: [StreamID] { ([user] + inviters).map { .user($0) } }
    package var claims: [ClaimMade] { [ClaimMade(claim: .collectionType(collectionType), holder: user, isRepeatable: true)] }
    package var content: ContentChange { .nothing }
    package func remains(after removal: some Removal, at _: Position) -> Self {
        var event = self
        if removal.takes(user) || removal.takes(collection) { event.encryptionKey = [] }
        // Another member's type is that member's.
        if removal.takes(user) { event.collectionType = Erasure.placeholder(user.rawValue) }
        return event
    }
}

/// A member's access level was changed.
package struct MemberLevelChanged: Hashable, Sendable {
    package var collection: CollectionUID
    package var user: UserID
    package var level: AccessLevel

    package init(collection: CollectionUID, user: UserID, level: AccessLevel) {
        self.collection = collection
        self.user = user
        self.level = level
    }
}

extension MemberLevelChanged: CollectionEvent {
    package static var type: EventType { .memberLevelChanged }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .memberLevelChanged(self) }
    package var touches: [StreamID] { [.user(user)] }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .nothing }
    package func remains(after _: some Removal, at _: Position) -> Self { self }
}

/// A member left (then the actor is the member) or was removed. The invitations that the member sent go with it.
package struct MemberRemoved: Hashable, Sendable {
    package var collection: CollectionUID
    package var user: UserID
    /// Whom the member had invited to this collection.
    package var invitees: [UserID]

    package init(collection: CollectionUID, user: UserID, invitees: [UserID]) {
        self.collection = collection
        self.user = user
        self.invitees = invitees
    }
}

extension MemberRemoved: CollectionEvent {
    package static var type: EventType { .memberRemoved }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .memberRemoved(self) }
    package var touches: [StreamID] { ([user] + invitees).map { .user($0) } }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .nothing }
    package func remains(after _: some Removal, at _: Position) -> Self { self }
}

/// A member invited a user.
package struct InvitationSent: Hashable, Sendable {
    package var collection: CollectionUID
    package var invitation: InvitationUID
    /// The version of the invitation's encryption, 0 to 32767.
    package var version: Int
    package var inviter: UserID
    package var invitee: UserID
    package var level: AccessLevel
    /// The collection's key, signed by the inviter and encrypted for the invitee.
    package var signedEncryptionKey: [UInt8]

    package init(
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
    package static var type: EventType { .invitationSent }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .invitationSent(self) }
    package var touches: [StreamID] { [.user(inviter), .user(invitee)] }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .nothing }
    package func remains(after removal: some Removal, at _: Position) -> Self {
        var event = self
        if removal.takes(invitee) || removal.takes(collection) { event.signedEncryptionKey = [] }
        return event
    }
}

/// An invitation is no more: the invitee rejected it, or the inviter cancelled it (the actor tells).
package struct InvitationWithdrawn: Hashable, Sendable {
    package var collection: CollectionUID
    package var invitation: InvitationUID
    package var inviter: UserID
    package var invitee: UserID

    package init(collection: CollectionUID, invitation: InvitationUID, inviter: UserID, invitee: UserID) {
        self.collection = collection
        self.invitation = invitation
        self.inviter = inviter
        self.invitee = invitee
    }
}

extension InvitationWithdrawn: CollectionEvent {
    package static var type: EventType { .invitationWithdrawn }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .invitationWithdrawn(self) }
    package var touches: [StreamID] { [.user(inviter), .user(invitee)] }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .nothing }
    package func remains(after _: some Removal, at _: Position) -> Self { self }
}
