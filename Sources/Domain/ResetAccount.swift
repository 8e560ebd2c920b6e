/// The operator's wish to empty an account whose password is forgotten, for its user to sign up into it again: `apus user reset`.
///
/// The password is what opens the account's key, and that opens all others: what was encrypted with them is lost with it.
package struct ResetAccount: Command {
    package let name: CanonicalName

    /// - Parameter username: as it was written.
    package init(username: String) { name = CanonicalName(username) }

    package var needs: ErasureNeeds { ErasureNeeds(name) }

    /// Decides what a reset means. The collections in which nobody else is a member go. The user leaves those of others, where no
    /// key of the user's opens anything any more, also such that the user owns; invitations from and to the user are withdrawn,
    /// as they are encrypted or signed with the old keys.
    ///
    /// - Throws: ``Refusal/doesNotExist(_:)`` where there is no such account, ``Refusal/accountHasNoKeys`` where there is nothing
    ///   to reset, and anybody who knows the name can sign up into it; ``Refusal/staleStoken`` where the user has come to another
    ///   collection meanwhile: read it all again.
    package func decide(_ state: ErasureState) throws(Refusal) -> [Decided<ErasureState>] {
        guard let user = state.user.user, !Username.isErased(state.user.username) else { throw .doesNotExist(.user) }
        guard state.user.isInitialized else { throw .accountHasNoKeys }
        guard state.user.collections.allSatisfy({ uid in state.collections.contains { $0.uid == uid } }) else { throw .staleStoken }
        let going = Set(state.lostByReset)
        let left = state.decided(inEach: { collection -> [any CollectionEvent] in
            guard !going.contains(collection.uid) else { return [] }
            let leaves = collection.members[user] != nil
            let withdrawn = collection.invitations.filter { $0.invitee == user || ($0.inviter == user && !leaves) }
            return withdrawn.map { InvitationWithdrawn($0, in: collection.uid) } + (leaves ? [collection.removal(of: user)] : [])
        })
        return left + [try state.decided(UserReset(user: user, keys: nil, collections: going.sorted()))]
    }
}

extension ErasureState {
    /// The collections that go with a reset: the user's own, in which nobody else is a member.
    package var lostByReset: [CollectionUID] {
        collections.filter { state in
            state.owner == user.user && state.members.keys.allSatisfy { $0 == user.user }
        }.map(\.uid)
    }
}

extension InvitationWithdrawn {
    init(_ invitation: CollectionState.Invitation, in collection: CollectionUID) {
        self.init(collection: collection, invitation: invitation.uid, inviter: invitation.inviter, invitee: invitation.invitee)
    }
}
