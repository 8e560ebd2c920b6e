/// The wish of an admin to change a member's level: `PATCH …/member/NAME/`.
package struct ChangeMemberLevel: Sendable {
    package let collection: CollectionUID
    package let author: UserID
    package let member: UserID
    package let level: AccessLevel

    package init(collection: CollectionUID, author: UserID, member: UserID, level: AccessLevel) {
        self.collection = collection
        self.author = author
        self.member = member
        self.level = level
    }
}

extension ChangeMemberLevel: Command {
    package var needs: CollectionNeeds { CollectionNeeds(collection) }

    /// Decides what changing a level means. The level that a member has already is a success and no event. The last admin may
    /// demote herself (QUIRKS.md 25).
    package func decide(_ state: CollectionState) throws(Refusal) -> [Decided<CollectionState>] {
        try state.requireAdmin(author)
        guard let present = state.members[member] else { throw .doesNotExist(.member) }
        guard present.level != level else { return [] }
        return [state.decided(MemberLevelChanged(collection: collection, user: member, level: level))]
    }
}

/// The wish of an admin to remove a member: `DELETE …/member/NAME/`.
package struct RemoveMember: Sendable {
    package let collection: CollectionUID
    package let author: UserID
    package let member: UserID

    package init(collection: CollectionUID, author: UserID, member: UserID) {
        self.collection = collection
        self.author = author
        self.member = member
    }
}

extension RemoveMember: Command {
    package var needs: CollectionNeeds { CollectionNeeds(collection) }

    /// Decides what removing a member means. Admins may remove themselves too, even the last one (QUIRKS.md 25).
    package func decide(_ state: CollectionState) throws(Refusal) -> [Decided<CollectionState>] {
        try state.requireAdmin(author)
        guard state.members[member] != nil else { throw .doesNotExist(.member) }
        return [state.decided(state.removal(of: member))]
    }
}

/// The wish of a member to be one no more: `POST …/member/leave/`.
package struct LeaveCollection: Sendable {
    package let collection: CollectionUID
    package let author: UserID

    package init(collection: CollectionUID, author: UserID) {
        self.collection = collection
        self.author = author
    }
}

extension LeaveCollection: Command {
    package var needs: CollectionNeeds { CollectionNeeds(collection) }

    /// Decides what leaving means. Whoever is a member may leave.
    package func decide(_ state: CollectionState) throws(Refusal) -> [Decided<CollectionState>] {
        _ = try state.level(of: author)
        return [state.decided(state.removal(of: author))]
    }
}

extension CollectionState {
    func removal(of member: UserID) -> MemberRemoved {
        let invitees = Set(invitations.filter { $0.inviter == member }.map(\.invitee))
        return MemberRemoved(collection: uid, user: member, invitees: invitees.sorted { $0.rawValue < $1.rawValue })
    }
}

/// The wish of an admin to invite a user: `POST invitation/outgoing/`.
package struct SendInvitation: Sendable {
    package let collection: CollectionUID
    package let author: UserID
    package let invitation: InvitationUID
    package let version: Int
    package let invitee: UserID
    package let level: AccessLevel
    package let signedEncryptionKey: [UInt8]

    package init(
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

extension SendInvitation: Command {
    package var needs: CollectionNeeds { CollectionNeeds(collection) }

    /// Decides what inviting means. An admin may have one open invitation for a user; another admin may send one too. Whether
    /// the user is a member already does not matter until the invitation is accepted, and a uid may be used again
    /// (`invitation-create`).
    package func decide(_ state: CollectionState) throws(Refusal) -> [Decided<CollectionState>] {
        guard state.owner != nil else { throw .doesNotExist(.collection) }
        guard state.members[author]?.level == .admin else {
            throw .adminAccessRequired(for: .invitations)
        }
        let isInvited = state.invitations.contains { $0.inviter == author && $0.invitee == invitee }
        guard !isInvited else { throw .invitationExists }
        let error =
            FieldRules.uid(invitation, field: .uid) ?? FieldRules.version(version, field: .version)
            ?? FieldRules.tooLong(
                signedEncryptionKey.count, field: .signedEncryptionKey, maximum: FieldLimits.signedEncryptionKeyBytes)
        if let error { throw .invalidFields([error]) }
        return [
            state.decided(
                InvitationSent(
                    collection: collection, invitation: invitation, version: version, inviter: author,
                    invitee: invitee, level: level, signedEncryptionKey: signedEncryptionKey))
        ]
    }
}

/// The wish of the invitee to become a member: `POST invitation/incoming/UID/accept/`.
package struct AcceptInvitation: Sendable {
    package let collection: CollectionUID
    package let author: UserID
    package let invitation: InvitationUID
    package let collectionType: [UInt8]
    package let encryptionKey: [UInt8]

    package init(
        collection: CollectionUID, author: UserID, invitation: InvitationUID, collectionType: [UInt8], encryptionKey: [UInt8]
    ) {
        self.collection = collection
        self.author = author
        self.invitation = invitation
        self.collectionType = collectionType
        self.encryptionKey = encryptionKey
    }
}

extension AcceptInvitation: Command {
    package var needs: CollectionNeeds {
        // A type that is too long is refused, whoever has it.
        CollectionNeeds(
            collection, claims: collectionType.count <= FieldLimits.collectionTypeBytes ? [.collectionType(collectionType)] : [])
    }

    /// Decides what accepting means: the invitee joins, and all invitations to this collection are used up.
    package func decide(_ state: CollectionState) throws(Refusal) -> [Decided<CollectionState>] {
        let found = state.invitations.last { $0.uid == invitation && $0.invitee == author }
        guard let found else { throw .doesNotExist(.invitation) }
        guard state.members[author] == nil else { throw .alreadyMember }
        if let error = FieldRules.tooLong(encryptionKey.count, field: .encryptionKey, maximum: FieldLimits.collectionKeyBytes) {
            throw .invalidFields([error])
        }
        let inviters = Set(state.invitations.filter { $0.invitee == author }.map(\.inviter))
        return [
            state.decided(
                MemberJoined(
                    collection: collection, user: author, level: found.level,
                    encryptionKey: encryptionKey, collectionType: try state.usable(collectionType, by: author),
                    invitation: invitation, inviters: inviters.sorted { $0.rawValue < $1.rawValue }))
        ]
    }
}

/// The wish to do away with an invitation: the invitee rejects it, or the inviter cancels it.
package struct WithdrawInvitation: Sendable {
    package let collection: CollectionUID
    package let author: UserID
    package let invitation: InvitationUID

    package init(collection: CollectionUID, author: UserID, invitation: InvitationUID) {
        self.collection = collection
        self.author = author
        self.invitation = invitation
    }
}

extension WithdrawInvitation: Command {
    package var needs: CollectionNeeds { CollectionNeeds(collection) }

    /// Decides what rejecting and cancelling mean; nobody but the two may do it, or learn that there is such an invitation.
    package func decide(_ state: CollectionState) throws(Refusal) -> [Decided<CollectionState>] {
        let found = state.invitations.last {
            $0.uid == invitation && [$0.invitee, $0.inviter].contains(author)
        }
        guard let found else { throw .doesNotExist(.invitation) }
        return [
            state.decided(
                InvitationWithdrawn(
                    collection: collection, invitation: invitation, inviter: found.inviter, invitee: found.invitee))
        ]
    }
}
