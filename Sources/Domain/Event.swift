/// Everything that can happen. A closed set: the compiler names each place that must decide when a case is added.
///
/// Each case has a type of its own, a stable name and a version in the log (`EventLog/EventCodec`), and a golden file
/// for each version ever written.
public enum Event: Hashable, Sendable {
    case userCreated(UserCreated)
    case userInitialized(UserInitialized)
    case passwordChanged(PasswordChanged)
    case userActivityChanged(UserActivityChanged)
    case userReset(UserReset)
    case userErased(UserErased)

    case collectionCreated(CollectionCreated)
    case itemCreated(ItemCreated)
    case itemRevised(ItemRevised)
    case itemRestored(ItemRestored)
    case chunkStored(ChunkStored)
    case revisionsPruned(RevisionsPruned)

    case memberJoined(MemberJoined)
    case memberLevelChanged(MemberLevelChanged)
    case memberRemoved(MemberRemoved)
    case invitationSent(InvitationSent)
    case invitationWithdrawn(InvitationWithdrawn)

    case recordsAdopted(RecordsAdopted)

    /// The stream that the event belongs to.
    public var stream: StreamID {
        switch self {
        case .userCreated: .createdUser
        case .userInitialized(let event): .user(event.user)
        case .passwordChanged(let event): .user(event.user)
        case .userActivityChanged(let event): .user(event.user)
        case .userReset(let event): .user(event.user)
        case .userErased(let event): .user(event.user)
        case .collectionCreated(let event): .collection(event.collection)
        case .itemCreated(let event): .collection(event.collection)
        case .itemRevised(let event): .collection(event.collection)
        case .itemRestored(let event): .collection(event.collection)
        case .chunkStored(let event): .collection(event.collection)
        case .revisionsPruned(let event): .collection(event.collection)
        case .memberJoined(let event): .collection(event.collection)
        case .memberLevelChanged(let event): .collection(event.collection)
        case .memberRemoved(let event): .collection(event.collection)
        case .invitationSent(let event): .collection(event.collection)
        case .invitationWithdrawn(let event): .collection(event.collection)
        case .recordsAdopted(let event): event.owner
        }
    }

    /// The other streams that the event changes; their heads move with it.
    public var touches: [StreamID] {
        switch self {
        case .userCreated, .userInitialized, .passwordChanged, .userActivityChanged: []
        case .userReset(let event): event.collections.map { .collection($0) }
        case .userErased(let event): event.collections.map { .collection($0) }
        case .collectionCreated, .itemCreated, .itemRevised, .itemRestored, .chunkStored, .revisionsPruned: []
        case .memberJoined(let event): ([event.user] + event.inviters).map { .user($0) }
        case .memberLevelChanged(let event): [.user(event.user)]
        case .memberRemoved(let event): ([event.user] + event.invitees).map { .user($0) }
        case .invitationSent(let event): [.user(event.inviter), .user(event.invitee)]
        case .invitationWithdrawn(let event): [.user(event.inviter), .user(event.invitee)]
        case .recordsAdopted(let event): event.users.map { .user($0) }
        }
    }
}

/// An account was made.
public struct UserCreated: Hashable, Sendable {
    /// In the canonical form of ``Username``.
    public var username: String
    /// The name as the user wrote it (`first_name` in the tables).
    public var displayName: String
    /// May be empty; need not be unique.
    public var email: String
    /// What stands in the password column: unusable, `!` and random characters, as Django writes it.
    public var unusablePassword: String
    /// Nil when the operator made the account and the client has yet to initialize it.
    public var keys: UserKeys?

    public init(username: String, displayName: String, email: String, unusablePassword: String, keys: UserKeys?) {
        self.username = username
        self.displayName = displayName
        self.email = email
        self.unusablePassword = unusablePassword
        self.keys = keys
    }
}

/// The keys with which a client initializes its account; all are public or encrypted by the client.
public struct UserKeys: Hashable, Sendable {
    public var salt: [UInt8]
    public var loginPubkey: [UInt8]
    public var pubkey: [UInt8]
    public var encryptedContent: [UInt8]

    public init(salt: [UInt8], loginPubkey: [UInt8], pubkey: [UInt8], encryptedContent: [UInt8]) {
        self.salt = salt
        self.loginPubkey = loginPubkey
        self.pubkey = pubkey
        self.encryptedContent = encryptedContent
    }
}

/// An account without keys got them.
public struct UserInitialized: Hashable, Sendable {
    public var user: UserID
    public var keys: UserKeys

    public init(user: UserID, keys: UserKeys) {
        self.user = user
        self.keys = keys
    }
}

/// A user chose another password; the client derived a login key from it and encrypted the account's content anew.
public struct PasswordChanged: Hashable, Sendable {
    public var user: UserID
    public var loginPubkey: [UInt8]
    public var encryptedContent: [UInt8]

    public init(user: UserID, loginPubkey: [UInt8], encryptedContent: [UInt8]) {
        self.user = user
        self.loginPubkey = loginPubkey
        self.encryptedContent = encryptedContent
    }
}

/// The operator disabled or enabled an account.
public struct UserActivityChanged: Hashable, Sendable {
    public var user: UserID
    public var isActive: Bool

    public init(user: UserID, isActive: Bool) {
        self.user = user
        self.isActive = isActive
    }
}

/// An account was set back to an empty one: the collections among those that are named which it owns, its memberships and its
/// incoming invitations are gone. By the test route, which gives it new keys, or by the operator where the password was forgotten:
/// the client has yet to initialize it, and its sessions have ended.
public struct UserReset: Hashable, Sendable {
    public var user: UserID
    /// Nil where the operator has done it.
    public var keys: UserKeys?
    /// All collections in which something changes. The test route names those it owns and those it is a member of or invited to.
    public var collections: [CollectionUID]

    public init(user: UserID, keys: UserKeys?, collections: [CollectionUID]) {
        self.user = user
        self.keys = keys
        self.collections = collections
    }
}

/// A user was erased: the account, what it was a member of, and the content that was nobody else's. What earlier events said
/// of all that has been rewritten.
public struct UserErased: Hashable, Sendable {
    public var user: UserID
    /// The collections that were erased with it.
    public var collections: [CollectionUID]
    public var redaction: RedactionProof

    public init(user: UserID, collections: [CollectionUID], redaction: RedactionProof) {
        self.user = user
        self.collections = collections
        self.redaction = redaction
    }
}

/// What proves that earlier events were rewritten on purpose, by whoever has the server's secret: it stands in the event that
/// says so.
public struct RedactionProof: Hashable, Sendable {
    /// Names the redaction; random, 16 bytes.
    public var id: [UInt8]
    /// How many events were rewritten.
    public var count: Int
    /// A hash over their positions and what they are since, 32 bytes.
    public var digest: [UInt8]
    /// Of the server over all of this, 64 bytes.
    public var signature: [UInt8]

    public init(id: [UInt8], count: Int, digest: [UInt8], signature: [UInt8]) {
        self.id = id
        self.count = count
        self.digest = digest
        self.signature = signature
    }
}
