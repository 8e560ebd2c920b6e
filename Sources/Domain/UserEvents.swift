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

extension UserCreated: EventFacts {
    public static var type: EventType { .userCreated }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .userCreated(self) }
    public var stream: StreamID { .createdUser }
    public var touches: [StreamID] { [] }
    public var claims: [ClaimMade] { [ClaimMade(claim: .username(username), holder: nil, isRepeatable: false)] }
    public var content: ContentChange { .nothing }
    public func remains(after removal: some Removal, at position: Position) -> Self {
        let user = UserID(rawValue: position.rawValue)
        guard removal.takes(user) else { return self }
        return UserCreated(
            username: Username.ofErased(user), displayName: "", email: "", unusablePassword: Erasure.password,
            keys: keys.map { _ in .none })
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

extension UserInitialized: AccountEvent {
    public static var type: EventType { .userInitialized }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .userInitialized(self) }
    public var touches: [StreamID] { [] }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .nothing }
    public func remains(after removal: some Removal, at _: Position) -> Self {
        removal.takes(user) ? UserInitialized(user: user, keys: .none) : self
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

extension PasswordChanged: AccountEvent {
    public static var type: EventType { .passwordChanged }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .passwordChanged(self) }
    public var touches: [StreamID] { [] }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .nothing }
    public func remains(after removal: some Removal, at _: Position) -> Self {
        removal.takes(user) ? PasswordChanged(user: user, loginPubkey: [], encryptedContent: []) : self
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

extension UserActivityChanged: AccountEvent {
    public static var type: EventType { .userActivityChanged }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .userActivityChanged(self) }
    public var touches: [StreamID] { [] }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .nothing }
    public func remains(after _: some Removal, at _: Position) -> Self { self }
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

extension UserReset: AccountEvent {
    public static var type: EventType { .userReset }
    public static var proof: KeyPath<Self, RedactionProof>? { nil }
    public var event: Event { .userReset(self) }
    public var touches: [StreamID] { collections.map { .collection($0) } }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .lost(collections, ownedBy: user) }
    public func remains(after removal: some Removal, at _: Position) -> Self {
        removal.takes(user) ? UserReset(user: user, keys: keys.map { _ in .none }, collections: collections) : self
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

extension UserErased: AccountEvent {
    public static var type: EventType { .userErased }
    public static var proof: KeyPath<Self, RedactionProof>? { \.redaction }
    public var event: Event { .userErased(self) }
    public var touches: [StreamID] { collections.map { .collection($0) } }
    public var claims: [ClaimMade] { [] }
    public var content: ContentChange { .lost(collections, ownedBy: nil) }
    public func remains(after _: some Removal, at _: Position) -> Self { self }
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
