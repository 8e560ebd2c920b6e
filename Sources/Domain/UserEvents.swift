/// An account was made.
package struct UserCreated: Hashable, Sendable {
    /// In the canonical form of ``Username``.
    package var username: String
    /// The name as the user wrote it (`first_name` in the tables).
    package var displayName: String
    /// May be empty; need not be unique.
    package var email: String
    /// What stands in the password column: unusable, `!` and random characters, as Django writes it.
    package var unusablePassword: String
    /// Nil when the operator made the account and the client has yet to initialize it.
    package var keys: UserKeys?

    package init(username: String, displayName: String, email: String, unusablePassword: String, keys: UserKeys?) {
        self.username = username
        self.displayName = displayName
        self.email = email
        self.unusablePassword = unusablePassword
        self.keys = keys
    }
}

extension UserCreated: EventFacts {
    package static var type: EventType { .userCreated }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .userCreated(self) }
    package var stream: StreamID { .createdUser }
    package var touches: [StreamID] { [] }
    package var claims: [ClaimMade] { [ClaimMade(claim: .username(username), holder: nil, isRepeatable: false)] }
    package var content: ContentChange { .nothing }
    package func remains(after removal: some Removal, at position: Position) -> Self {
        let user = UserID(rawValue: position.rawValue)
        guard removal.takes(user) else { return self }
        return UserCreated(
            username: Username.ofErased(user), displayName: "", email: "", unusablePassword: Erasure.password,
            keys: keys.map { _ in .none })
    }
}

/// The keys with which a client initializes its account; all are public or encrypted by the client.
package struct UserKeys: Hashable, Sendable {
    package var salt: [UInt8]
    package var loginPubkey: [UInt8]
    package var pubkey: [UInt8]
    package var encryptedContent: [UInt8]

    package init(salt: [UInt8], loginPubkey: [UInt8], pubkey: [UInt8], encryptedContent: [UInt8]) {
        self.salt = salt
        self.loginPubkey = loginPubkey
        self.pubkey = pubkey
        self.encryptedContent = encryptedContent
    }
}

/// An account without keys got them.
package struct UserInitialized: Hashable, Sendable {
    package var user: UserID
    package var keys: UserKeys

    package init(user: UserID, keys: UserKeys) {
        self.user = user
        self.keys = keys
    }
}

extension UserInitialized: AccountEvent {
    package static var type: EventType { .userInitialized }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .userInitialized(self) }
    package var touches: [StreamID] { [] }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .nothing }
    package func remains(after removal: some Removal, at _: Position) -> Self {
        removal.takes(user) ? UserInitialized(user: user, keys: .none) : self
    }
}

/// A user chose another password; the client derived a login key from it and encrypted the account's content anew.
package struct PasswordChanged: Hashable, Sendable {
    package var user: UserID
    package var loginPubkey: [UInt8]
    package var encryptedContent: [UInt8]

    package init(user: UserID, loginPubkey: [UInt8], encryptedContent: [UInt8]) {
        self.user = user
        self.loginPubkey = loginPubkey
        self.encryptedContent = encryptedContent
    }
}

extension PasswordChanged: AccountEvent {
    package static var type: EventType { .passwordChanged }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .passwordChanged(self) }
    package var touches: [StreamID] { [] }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .nothing }
    package func remains(after removal: some Removal, at _: Position) -> Self {
        removal.takes(user) ? PasswordChanged(user: user, loginPubkey: [], encryptedContent: []) : self
    }
}

/// The operator disabled or enabled an account.
package struct UserActivityChanged: Hashable, Sendable {
    package var user: UserID
    package var isActive: Bool

    package init(user: UserID, isActive: Bool) {
        self.user = user
        self.isActive = isActive
    }
}

extension UserActivityChanged: AccountEvent {
    package static var type: EventType { .userActivityChanged }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .userActivityChanged(self) }
    package var touches: [StreamID] { [] }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .nothing }
    package func remains(after _: some Removal, at _: Position) -> Self { self }
}

/// An account was set back to an empty one: the collections among those that are named which it owns, its memberships and its
/// incoming invitations are gone. By the test route, which gives it new keys, or by the operator where the password was forgotten:
/// the client has yet to initialize it, and its sessions have ended.
package struct UserReset: Hashable, Sendable {
    package var user: UserID
    /// Nil where the operator has done it.
    package var keys: UserKeys?
    /// All collections in which something changes. The test route names those it owns and those it is a member of or invited to.
    package var collections: [CollectionUID]

    package init(user: UserID, keys: UserKeys?, collections: [CollectionUID]) {
        self.user = user
        self.keys = keys
        self.collections = collections
    }
}

extension UserReset: AccountEvent {
    package static var type: EventType { .userReset }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .userReset(self) }
    package var touches: [StreamID] { collections.map { .collection($0) } }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .lost(collections, ownedBy: user) }
    package func remains(after removal: some Removal, at _: Position) -> Self {
        removal.takes(user) ? UserReset(user: user, keys: keys.map { _ in .none }, collections: collections) : self
    }
}

/// A user was erased: the account, what it was a member of, and the content that was nobody else's. What earlier events said
/// of all that has been rewritten.
package struct UserErased: Hashable, Sendable {
    package var user: UserID
    /// The collections that were erased with it.
    package var collections: [CollectionUID]
    package var redaction: RedactionProof

    package init(user: UserID, collections: [CollectionUID], redaction: RedactionProof) {
        self.user = user
        self.collections = collections
        self.redaction = redaction
    }
}

extension UserErased: AccountEvent {
    package static var type: EventType { .userErased }
    package static var proof: KeyPath<Self, RedactionProof>? { \.redaction }
    package var event: Event { .userErased(self) }
    package var touches: [StreamID] { collections.map { .collection($0) } }
    package var claims: [ClaimMade] { [] }
    package var content: ContentChange { .lost(collections, ownedBy: nil) }
    package func remains(after _: some Removal, at _: Position) -> Self { self }
}

/// What proves that earlier events were rewritten on purpose, by whoever has the server's secret: it stands in the event that
/// says so.
package struct RedactionProof: Hashable, Sendable {
    /// Names the redaction; random, 16 bytes.
    package var id: [UInt8]
    /// How many events were rewritten.
    package var count: Int
    /// A hash over their positions and what they are since, 32 bytes.
    package var digest: [UInt8]
    /// Of the server over all of this, 64 bytes.
    package var signature: [UInt8]

    package init(id: [UInt8], count: Int, digest: [UInt8], signature: [UInt8]) {
        self.id = id
        self.count = count
        self.digest = digest
        self.signature = signature
    }
}
