/// What is left of the past when a user is erased: which events change, and into what.
///
/// Events say what happened and what it was about. The second part goes: names, addresses, keys, everything that clients
/// encrypted. What stays are uids, ids, times and flags, which are what keeps the log dense, its claims taken and its replay
/// the same; none of them tells who the user was or what was written. Uids were chosen at random by clients, those of chunks
/// by a key that nobody has any more.
public struct Erasure: Hashable, Sendable {
    public let user: UserID
    /// The collections whose content goes too.
    public let collections: Set<CollectionUID>

    public init(of user: UserID, collections: Set<CollectionUID>) {
        self.user = user
        self.collections = collections
    }

    /// What the event at a position is from now on; the same event where nothing in it is to go.
    public func remains(of event: Event, at position: Position) -> Event {
        switch event {
        case .userCreated(var event) where position.rawValue == user.rawValue:
            event.username = Username.ofErased(user)
            event.displayName = ""
            event.email = ""
            event.unusablePassword = Self.password
            event.keys = event.keys.map { _ in .none }
            return .userCreated(event)
        case .userInitialized(var event) where event.user == user:
            event.keys = .none
            return .userInitialized(event)
        case .passwordChanged(var event) where event.user == user:
            (event.loginPubkey, event.encryptedContent) = ([], [])
            return .passwordChanged(event)
        case .userReset(var event) where event.user == user:
            event.keys = event.keys.map { _ in .none }
            return .userReset(event)
        case .collectionCreated(var event) where collections.contains(event.collection):
            event.revision = event.revision.withoutContent
            return .collectionCreated(event)
        case .itemCreated(var event) where collections.contains(event.collection):
            event.encryptionKey = nil
            event.revision = event.revision.withoutContent
            return .itemCreated(event)
        case .itemRevised(var event) where collections.contains(event.collection):
            event.revision = event.revision.withoutContent
            return .itemRevised(event)
        case .chunkStored(var event) where collections.contains(event.collection):
            event.chunk = event.chunk.withoutContent
            return .chunkStored(event)
        case .memberJoined(var event) where event.user == user || collections.contains(event.collection):
            event.encryptionKey = []
            // Another member's type is that member's.
            if event.user == user { event.collectionType = Self.placeholder(user.rawValue) }
            return .memberJoined(event)
        case .invitationSent(var event) where event.invitee == user || collections.contains(event.collection):
            event.signedEncryptionKey = []
            return .invitationSent(event)
        case .recordsAdopted(var event):
            let isErased = if case .collection(let uid) = event.owner { collections.contains(uid) } else { false }
            event.records = event.records.map { remains(of: $0, inErased: isErased) }
            return .recordsAdopted(event)
        case .userCreated, .userInitialized, .passwordChanged, .userActivityChanged, .userReset, .userErased, .collectionCreated,
            .itemCreated, .itemRevised, .itemRestored, .chunkStored, .revisionsPruned, .memberJoined, .memberLevelChanged,
            .memberRemoved, .invitationSent, .invitationWithdrawn:
            return event
        }
    }

    private func remains(of record: AdoptedRecord, inErased isErased: Bool) -> AdoptedRecord {
        switch record.kind {
        case .user where record.id == user.rawValue:
            record.replacing([
                "username": .text(Username.ofErased(user)), "first_name": .text(""), "last_name": .text(""), "email": .text(""),
                "password": .text(Self.password),
            ])
        case .userKeys where record.id == user.rawValue:
            record.replacing(["salt": .bytes([]), "loginPubkey": .bytes([]), "encryptedContent": .bytes([]), "pubkey": .bytes([])])
        case .collectionType where record.number("owner_id") == user.rawValue:
            // Unique, and what a type that somebody else's membership names becomes in the tables.
            record.replacing(["uid": .bytes(Self.placeholder(record.id))])
        case .chunk where isErased: record.withoutContent
        case .item where isErased: record.replacing(["encryptionKey": nil])
        case .revision where isErased: record.replacing(["meta": .bytes([])])
        case .member where isErased || record.number("user_id") == user.rawValue: record.replacing(["encryptionKey": .bytes([])])
        case .invitation where isErased || record.number("user_id") == user.rawValue:
            record.replacing(["signedEncryptionKey": .bytes([])])
        case .user, .userKeys, .stoken, .collectionType, .collection, .item, .revision, .chunk, .chunkUse, .member, .removedMember,
            .invitation:
            record
        }
    }

    /// What stands in the password column: unusable, as Django writes it.
    public static let password = "!"

    /// What stands before an id where a name or a type was.
    public static let mark = "erased:"

    private static func placeholder(_ id: Int64) -> [UInt8] { Array("\(mark)\(id)".utf8) }
}

extension Username {
    /// What an erased account is called. No user can have such a name.
    public static func ofErased(_ user: UserID) -> String { "\(Erasure.mark)\(user.rawValue)" }

    /// Whether the account of the name was erased.
    public static func isErased(_ name: String) -> Bool { name.after(Erasure.mark) != nil }
}

extension UserKeys {
    /// No keys, where some have been.
    fileprivate static let none = UserKeys(salt: [], loginPubkey: [], pubkey: [], encryptedContent: [])
}

extension Revision {
    /// The revision as a thing that there was.
    var withoutContent: Revision {
        Revision(uid: uid, meta: [], isDeleted: isDeleted, chunks: chunks, stored: stored.map(\.withoutContent))
    }
}

extension StoredChunk {
    fileprivate var withoutContent: StoredChunk { StoredChunk(uid: uid, bytes: 0, digest: []) }
}

extension AdoptedRecord {
    /// The record with other values in those of the fields that it has; without them where the value is nil.
    func replacing(_ values: [String: Value?]) -> AdoptedRecord {  // names of ours
        AdoptedRecord(
            kind: kind, id: id,
            fields: fields?.compactMap { field in
                guard let value = values[field.name] else { return field }
                return value.map { Field(field.name, $0) }
            })
    }
}

/// What an erasure is decided on: the account, and all collections in which something changes.
public struct ErasureState: State {
    public var user: UserState
    public var collections: [CollectionState]
    /// Those that went when the account was reset: they are in no table, but the history still has their content.
    public var reset: Set<CollectionUID>

    public init(of user: UserState, in collections: [CollectionState], reset: Set<CollectionUID> = []) {
        self.user = user
        self.collections = collections
        self.reset = reset
    }

    public var taken: TakenClaims {
        get { user.taken }
        set { user.taken = newValue }
    }

    public mutating func evolve(_ event: Event, at position: Position) {
        user.evolve(event, at: position)
        for index in collections.indices { collections[index].evolve(event, at: position) }
    }

    /// The streams that the decision depends on.
    public var streams: [StreamID] { (user.user.map { [.user($0)] } ?? []) + collections.map { .collection($0.uid) } }

    /// What goes; nil where there is no such user. Of the collections those in which nobody else is a member.
    public var erasure: Erasure? {
        guard let user = user.user else { return nil }
        let alone = collections.filter { state in
            state.members.keys.allSatisfy { $0 == user } && (state.owner == user || state.members[user] != nil)
        }
        return Erasure(of: user, collections: reset.union(alone.map(\.uid)))
    }
}

/// The operator's wish to erase a user: `apus user erase`.
public struct EraseUser: RedactingCommand {
    public let name: CanonicalName
    /// - Parameter username: as it was written.
    public init(username: String) { name = CanonicalName(username) }

    public var needs: ErasureNeeds { ErasureNeeds(name) }
}

/// What is decided when what is to go with a user has been rewritten.
public struct RecordErasure: Sendable {
    /// What has been rewritten already, in the transaction in which this is decided.
    public let erasure: Erasure
    /// What the rewritten events are now.
    public let redaction: RedactionProof

    public init(_ erasure: Erasure, redaction: RedactionProof) {
        self.erasure = erasure
        self.redaction = redaction
    }
}

extension RecordErasure: Decision {
    /// Decides what erasing a user means. The user leaves the collections of others, and the open invitations from and to the
    /// user are withdrawn; what they wrote in collections that others are members of is theirs too, and stays.
    ///
    /// - Throws: ``Refusal/doesNotExist(_:)`` where there is no such account, or no more.
    public func decide(_ state: ErasureState) throws(Refusal) -> [Decided<ErasureState>] {
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
