/// What is left of the past when a user is erased: which events change, and into what.
///
/// Events say what happened and what it was about. The second part goes: names, addresses, keys, everything that clients
/// encrypted. What stays are uids, ids, times and flags, which are what keeps the log dense, its claims taken and its replay
/// the same; none of them tells who the user was or what was written. Uids were chosen at random by clients, those of chunks
/// by a key that nobody has any more.
package struct Erasure: Removal, Hashable {
    package let user: UserID
    /// The collections whose content goes too.
    package let collections: Set<CollectionUID>

    package init(of user: UserID, collections: Set<CollectionUID>) {
        self.user = user
        self.collections = collections
    }

    package func takes(_ user: UserID) -> Bool { user == self.user }
    package func takes(_ collection: CollectionUID) -> Bool { collections.contains(collection) }
    package func takes(_: RevisionUID) -> Bool { false }
    package func takes(_: ChunkUID) -> Bool { false }

    /// What stands in the password column: unusable, as Django writes it.
    package static let password = "!"

    /// What stands before an id where a name or a type was.
    package static let mark = "erased:"

    /// What stands where a type was.
    static func placeholder(_ id: Int64) -> [UInt8] { Array("\(mark)\(id)".utf8) }
}

extension Username {
    /// What an erased account is called. No user can have such a name.
    package static func ofErased(_ user: UserID) -> String { "\(Erasure.mark)\(user.rawValue)" }

    /// Whether the account of the name was erased.
    package static func isErased(_ name: String) -> Bool { name.after(Erasure.mark) != nil }
}

extension UserKeys {
    /// No keys, where some have been.
    static let none = UserKeys(salt: [], loginPubkey: [], pubkey: [], encryptedContent: [])
}

extension Revision {
    /// The revision as a thing that there was. What is said of the contents of chunks stays where they do.
    func withoutContent(of isGone: (ChunkUID) -> Bool) -> Revision {
        Revision(
            uid: uid, meta: [], isDeleted: isDeleted, chunks: chunks,
            stored: stored.map { isGone($0.uid) ? $0.withoutContent : $0 })
    }
}

extension StoredChunk {
    var withoutContent: StoredChunk { StoredChunk(uid: uid, bytes: 0, digest: []) }
}

/// What an erasure is decided on: the account, and all collections in which something changes.
package struct ErasureState: State {
    package var user: UserState
    package var collections: [CollectionState]
    /// Those that went when the account was reset: they are in no table, but the history still has their content.
    package var reset: Set<CollectionUID>

    package init(of user: UserState, in collections: [CollectionState], reset: Set<CollectionUID> = []) {
        self.user = user
        self.collections = collections
        self.reset = reset
    }

    package var taken: TakenClaims {
        get { user.taken }
        set { user.taken = newValue }
    }

    package mutating func evolve(_ event: Event, at position: Position) {
        user.evolve(event, at: position)
        for index in collections.indices { collections[index].evolve(event, at: position) }
    }

    /// The streams that the decision depends on.
    package var streams: [StreamID] { (user.user.map { [.user($0)] } ?? []) + collections.map { .collection($0.uid) } }

    /// What goes; nil where there is no such user. Of the collections those in which nobody else is a member.
    package var erasure: Erasure? {
        guard let user = user.user else { return nil }
        let alone = collections.filter { state in
            state.members.keys.allSatisfy { $0 == user } && (state.owner == user || state.members[user] != nil)
        }
        return Erasure(of: user, collections: reset.union(alone.map(\.uid)))
    }
}

/// The operator's wish to erase a user: `apus user erase`.
package struct EraseUser: RedactingCommand {
    package let name: CanonicalName
    /// - Parameter username: as it was written.
    package init(username: String) { name = CanonicalName(username) }

    package var needs: ErasureNeeds { ErasureNeeds(name) }
}

/// What is decided when what is to go with a user has been rewritten.
package struct RecordErasure: Sendable {
    /// What has been rewritten already, in the transaction in which this is decided.
    package let erasure: Erasure
    /// What the rewritten events are now.
    package let redaction: RedactionProof

    package init(_ erasure: Erasure, redaction: RedactionProof) {
        self.erasure = erasure
        self.redaction = redaction
    }
}

extension RecordErasure: Decision {
    /// Decides what erasing a user means. The user leaves the collections of others, and the open invitations from and to the
    /// user are withdrawn; what they wrote in collections that others are members of is theirs too, and stays.
    ///
    /// - Throws: ``Refusal/doesNotExist(_:)`` where there is no such account, or no more.
    package func decide(_ state: ErasureState) throws(Refusal) -> [Decided<ErasureState>] {
        guard let erasure = state.erasure, erasure == self.erasure else { throw .doesNotExist(.user) }
        let left = state.decided(inEach: { collection -> [any CollectionEvent] in
            let isErased = erasure.collections.contains(collection.uid)
            let leaves = !isErased && collection.members[erasure.user] != nil
            let withdrawn = collection.invitations.filter { invitation in
                isErased || invitation.invitee == erasure.user || (invitation.inviter == erasure.user && !leaves)
            }
            return withdrawn.map { InvitationWithdrawn($0, in: collection.uid) } + (leaves ? [collection.removal(of: erasure.user)] : [])
        })
        let erased = UserErased(user: erasure.user, collections: erasure.collections.sorted(), redaction: redaction)
        return left + [try state.decided(erased)]
    }
}
