/// What the rules need to know of a collection: all members and invitations, and those items and chunks that the
/// command at hand names.
package struct CollectionState: State {
    /// A member's part in the collection.
    package struct Membership: Hashable, Sendable {
        package var level: AccessLevel
        /// Where the membership last changed.
        package var stoken: Position

        package init(level: AccessLevel, stoken: Position) {
            self.level = level
            self.stoken = stoken
        }
    }

    /// An invitation that has not been answered.
    package struct Invitation: Hashable, Sendable {
        /// Not unique: the original lets it be used again.
        package var uid: InvitationUID
        package var inviter: UserID
        package var invitee: UserID
        package var level: AccessLevel

        package init(uid: InvitationUID, inviter: UserID, invitee: UserID, level: AccessLevel) {
            self.uid = uid
            self.inviter = inviter
            self.invitee = invitee
            self.level = level
        }
    }

    /// A revision that an item has, or has had, by what a client can know of it.
    package struct KnownRevision: Hashable, Sendable {
        package var item: ItemUID
        package var meta: [UInt8]
        package var isDeleted: Bool
        package var chunks: [ChunkUID]

        package init(item: ItemUID, meta: [UInt8], isDeleted: Bool, chunks: [ChunkUID]) {
            self.item = item
            self.meta = meta
            self.isDeleted = isDeleted
            self.chunks = chunks
        }
    }

    package let uid: CollectionUID
    /// Nil while there is no such collection.
    package var owner: UserID?
    /// The position of the newest revision in the collection.
    package var revisionStoken: Position
    package var members: [UserID: Membership]
    /// The open invitations, oldest first.
    package var invitations: [Invitation]
    /// The etags of the items that the command names and that are there.
    package var etags: [ItemUID: RevisionUID]
    /// Those of the revisions that the command names which are there, or came since, current or not, with their items.
    package var revisions: [RevisionUID: ItemUID]
    /// What those of the revisions are that the command brings and that may be there already, with the same content.
    package var known: [RevisionUID: KnownRevision]
    /// The chunks that the command names and that are there.
    package var chunks: Set<ChunkUID>
    package var taken: TakenClaims
    /// What the collection's owner has room for; nil where that is no matter of the command, or the owner has no quota.
    package var allowance: Allowance?

    /// A collection that does not exist.
    package init(uid: CollectionUID) {
        self.uid = uid
        owner = nil
        revisionStoken = .none
        members = [:]
        invitations = []
        etags = [:]
        revisions = [:]
        known = [:]
        chunks = []
        taken = [:]
    }

    /// The collection's stoken: the newest of its revisions and of all its memberships (QUIRKS.md 12). It goes back when
    /// the member with the newest membership is removed (13).
    package var stoken: Position {
        members.values.reduce(revisionStoken) { max($0, $1.stoken) }
    }

    /// The member's level.
    ///
    /// - Throws: ``Refusal/doesNotExist(_:)`` for everyone else: strangers are not told that there is a collection.
    package func level(of user: UserID) throws(Refusal) -> AccessLevel {
        guard owner != nil, let member = members[user] else { throw .doesNotExist(.collection) }
        return member.level
    }

    /// - Throws: ``Refusal`` for everyone who may not write.
    package func requireWriteAccess(_ user: UserID) throws(Refusal) {
        guard try level(of: user).canWrite else { throw .noWriteAccess }
    }

    func requireAdmin(_ user: UserID) throws(Refusal) {
        guard try level(of: user) == .admin else {
            throw .adminAccessRequired(for: .members)
        }
    }
}

extension CollectionState {
    package var streams: [StreamID] { [.collection(uid)] + (allowance?.streams ?? []) }

    mutating func apply(_ revision: Revision, of item: ItemUID, at position: Position) {
        makeCurrent(revision.uid, of: item, at: position)
        known[revision.uid] = KnownRevision(
            item: item, meta: revision.meta, isDeleted: revision.isDeleted, chunks: revision.chunks)
        chunks.formUnion(revision.stored.map(\.uid))
        if let owner { taken[.revision(revision.uid)] = owner }
    }

    mutating func makeCurrent(_ revision: RevisionUID, of item: ItemUID, at position: Position) {
        etags[item] = revision
        revisions[revision] = item
        revisionStoken = max(revisionStoken, position)
    }

    mutating func reset(by user: UserID) {
        if owner == user {
            clear()
        } else {
            members[user] = nil
            invitations.removeAll { $0.invitee == user || $0.inviter == user }
        }
    }

    /// There is no such collection any more; what was claimed stays claimed.
    mutating func clear() {
        let (taken, allowance) = (taken, allowance)
        self = CollectionState(uid: uid)
        (self.taken, self.allowance) = (taken, allowance)
    }
}
