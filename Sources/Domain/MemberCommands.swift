/// The wish of an admin to change a member's level: `PATCH …/member/NAME/`.
public struct ChangeMemberLevel: Sendable {
    public let collection: CollectionUID
    public let author: UserID
    public let member: UserID
    public let level: AccessLevel

    public init(collection: CollectionUID, author: UserID, member: UserID, level: AccessLevel) {
        self.collection = collection
        self.author = author
        self.member = member
        self.level = level
    }
}

/// Decides what changing a level means. The level that a member has already is a success and no event. The last admin may
/// demote herself (QUIRKS.md 25).
public func decide(_ command: ChangeMemberLevel, _ state: CollectionState) throws(Refusal) -> [Event] {
    try state.requireAdmin(command.author)
    guard let member = state.members[command.member] else { throw .doesNotExist(model: "CollectionMember") }
    guard member.level != command.level else { return [] }
    return [.memberLevelChanged(.init(collection: command.collection, user: command.member, level: command.level))]
}

/// The wish of an admin to remove a member: `DELETE …/member/NAME/`.
public struct RemoveMember: Sendable {
    public let collection: CollectionUID
    public let author: UserID
    public let member: UserID

    public init(collection: CollectionUID, author: UserID, member: UserID) {
        self.collection = collection
        self.author = author
        self.member = member
    }
}

/// Decides what removing a member means. Admins may remove themselves too, even the last one (QUIRKS.md 25).
public func decide(_ command: RemoveMember, _ state: CollectionState) throws(Refusal) -> [Event] {
    try state.requireAdmin(command.author)
    guard state.members[command.member] != nil else { throw .doesNotExist(model: "CollectionMember") }
    return [state.removal(of: command.member)]
}

/// The wish of a member to be one no more: `POST …/member/leave/`.
public struct LeaveCollection: Sendable {
    public let collection: CollectionUID
    public let author: UserID

    public init(collection: CollectionUID, author: UserID) {
        self.collection = collection
        self.author = author
    }
}

/// Decides what leaving means. Whoever is a member may leave.
public func decide(_ command: LeaveCollection, _ state: CollectionState) throws(Refusal) -> [Event] {
    _ = try state.level(of: command.author)
    return [state.removal(of: command.author)]
}

extension CollectionState {
    func removal(of member: UserID) -> Event {
        let invitees = Set(invitations.filter { $0.inviter == member }.map(\.invitee))
        return .memberRemoved(.init(collection: uid, user: member, invitees: invitees.sorted { $0.rawValue < $1.rawValue }))
    }
}

/// The wish of an admin to invite a user: `POST invitation/outgoing/`.
public struct SendInvitation: Sendable {
    public let collection: CollectionUID
    public let author: UserID
    public let invitation: InvitationUID
    public let version: Int
    public let invitee: UserID
    public let level: AccessLevel
    public let signedEncryptionKey: [UInt8]

    public init(
        collection: CollectionUID, author: UserID, invitation: InvitationUID, version: Int, invitee: UserID, level: AccessLevel,
        signedEncryptionKey: [UInt8]
    ) {
        self.collection = collection
        self.author = author
        self.invitation = invitation
        self.version = version
        self.invitee = invitee
        self.level = level
        self.signedEncryptionKey = signedEncryptionKey
    }
}

/// Decides what inviting means. An admin may have one open invitation for a user; another admin may send one too. Whether
/// the user is a member already does not matter until the invitation is accepted, and a uid may be used again
/// (`invitation-create`).
public func decide(_ command: SendInvitation, _ state: CollectionState) throws(Refusal) -> [Event] {
    guard state.owner != nil else { throw .doesNotExist(model: "Collection") }
    guard state.members[command.author]?.level == .admin else {
        throw .adminAccessRequired(detail: "User is not an admin of this collection")
    }
    let isInvited = state.invitations.contains { $0.inviter == command.author && $0.invitee == command.invitee }
    guard !isInvited else { throw .invitationExists }
    let error =
        FieldRules.uid(command.invitation, field: "uid") ?? FieldRules.version(command.version, field: "version")
        ?? FieldRules.tooLong(
            command.signedEncryptionKey.count, field: "signedEncryptionKey", maximum: FieldLimits.signedEncryptionKeyBytes)
    if let error { throw .invalidFields([error]) }
    return [
        .invitationSent(
            .init(
                collection: command.collection, invitation: command.invitation, version: command.version, inviter: command.author,
                invitee: command.invitee, level: command.level, signedEncryptionKey: command.signedEncryptionKey))
    ]
}

/// The wish of the invitee to become a member: `POST invitation/incoming/UID/accept/`.
public struct AcceptInvitation: Sendable {
    public let collection: CollectionUID
    public let author: UserID
    public let invitation: InvitationUID
    public let collectionType: [UInt8]
    public let encryptionKey: [UInt8]

    public init(
        collection: CollectionUID, author: UserID, invitation: InvitationUID, collectionType: [UInt8], encryptionKey: [UInt8]
    ) {
        self.collection = collection
        self.author = author
        self.invitation = invitation
        self.collectionType = collectionType
        self.encryptionKey = encryptionKey
    }
}

/// Decides what accepting means: the invitee joins, and all invitations to this collection are used up.
public func decide(_ command: AcceptInvitation, _ state: CollectionState) throws(Refusal) -> [Event] {
    let found = state.invitations.last { $0.uid == command.invitation && $0.invitee == command.author }
    guard let invitation = found else { throw .doesNotExist(model: "CollectionInvitation") }
    guard state.members[command.author] == nil else { throw .alreadyMember }
    if let error = FieldRules.tooLong(command.encryptionKey.count, field: "encryptionKey", maximum: FieldLimits.collectionKeyBytes) {
        throw .invalidFields([error])
    }
    let inviters = Set(state.invitations.filter { $0.invitee == command.author }.map(\.inviter))
    return [
        .memberJoined(
            .init(
                collection: command.collection, user: command.author, level: invitation.level,
                encryptionKey: command.encryptionKey, collectionType: try state.usable(command.collectionType, by: command.author),
                invitation: command.invitation, inviters: inviters.sorted { $0.rawValue < $1.rawValue }))
    ]
}

/// The wish to do away with an invitation: the invitee rejects it, or the inviter cancels it.
public struct WithdrawInvitation: Sendable {
    public let collection: CollectionUID
    public let author: UserID
    public let invitation: InvitationUID

    public init(collection: CollectionUID, author: UserID, invitation: InvitationUID) {
        self.collection = collection
        self.author = author
        self.invitation = invitation
    }
}

/// Decides what rejecting and cancelling mean; nobody but the two may do it, or learn that there is such an invitation.
public func decide(_ command: WithdrawInvitation, _ state: CollectionState) throws(Refusal) -> [Event] {
    let found = state.invitations.last {
        $0.uid == command.invitation && [$0.invitee, $0.inviter].contains(command.author)
    }
    guard let invitation = found else { throw .doesNotExist(model: "CollectionInvitation") }
    return [
        .invitationWithdrawn(
            .init(
                collection: command.collection, invitation: command.invitation, inviter: invitation.inviter,
                invitee: invitation.invitee))
    ]
}
