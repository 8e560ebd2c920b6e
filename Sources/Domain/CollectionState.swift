/// What the rules need to know of a collection: all members and invitations, and those items and chunks that the
/// command at hand names.
public struct CollectionState: State {
    /// A member's part in the collection.
    public struct Membership: Hashable, Sendable {
        public var level: AccessLevel
        /// Where the membership last changed.
        public var stoken: Position

        public init(level: AccessLevel, stoken: Position) {
            self.level = level
            self.stoken = stoken
        }
    }

    /// An invitation that has not been answered.
    public struct Invitation: Hashable, Sendable {
        /// Not unique: the original lets it be used again.
        public var uid: InvitationUID
        public var inviter: UserID
        public var invitee: UserID
        public var level: AccessLevel

        public init(uid: InvitationUID, inviter: UserID, invitee: UserID, level: AccessLevel) {
            self.uid = uid
            self.inviter = inviter
            self.invitee = invitee
            self.level = level
        }
    }

    /// A revision that an item has, or has had, by what a client can know of it.
    public struct KnownRevision: Hashable, Sendable {
        public var item: ItemUID
        public var meta: [UInt8]
        public var isDeleted: Bool
        public var chunks: [ChunkUID]

        public init(item: ItemUID, meta: [UInt8], isDeleted: Bool, chunks: [ChunkUID]) {
            self.item = item
            self.meta = meta
            self.isDeleted = isDeleted
            self.chunks = chunks
        }
    }

    public let uid: CollectionUID
    /// Nil while there is no such collection.
    public var owner: UserID?
    /// The position of the newest revision in the collection.
    public var revisionStoken: Position
    public var members: [UserID: Membership]
    /// The open invitations, oldest first.
    public var invitations: [Invitation]
    /// The etags of the items that the command names and that are there.
    public var etags: [ItemUID: RevisionUID]
    /// Those of the revisions that the command names which are there, or came since, current or not, with their items.
    public var revisions: [RevisionUID: ItemUID]
    /// What those of the revisions are that the command brings and that may be there already, with the same content.
    public var known: [RevisionUID: KnownRevision]
    /// The chunks that the command names and that are there.
    public var chunks: Set<ChunkUID>
    public var taken: TakenClaims

    /// A collection that does not exist.
    public init(uid: CollectionUID) {
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
    public var stoken: Position {
        members.values.reduce(revisionStoken) { max($0, $1.stoken) }
    }

    /// The member's level.
    ///
    /// - Throws: ``Refusal/doesNotExist(_:)`` for everyone else: strangers are not told that there is a collection.
    public func level(of user: UserID) throws(Refusal) -> AccessLevel {
        guard owner != nil, let member = members[user] else { throw .doesNotExist(.collection) }
        return member.level
    }

    /// - Throws: ``Refusal`` for everyone who may not write.
    public func requireWriteAccess(_ user: UserID) throws(Refusal) {
        guard try level(of: user).canWrite else { throw .noWriteAccess }
    }

    func requireAdmin(_ user: UserID) throws(Refusal) {
        guard try level(of: user) == .admin else {
            throw .adminAccessRequired(for: .members)
        }
    }
}

extension CollectionState {
    public var streams: [StreamID] { [.collection(uid)] }

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
        let taken = taken
        self = CollectionState(uid: uid)
        self.taken = taken
    }
}
