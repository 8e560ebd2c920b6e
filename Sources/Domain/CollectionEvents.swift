/// A chunk of content that was stored beside the log.
public struct StoredChunk: Hashable, Sendable {
    public var uid: ChunkUID
    /// The length of the content, in bytes.
    public var bytes: Int
    /// BLAKE2b over the content, 16 bytes: with it the log proves the content that lies beside it.
    public var digest: [UInt8]

    public init(uid: ChunkUID, bytes: Int, digest: [UInt8]) {
        self.uid = uid
        self.bytes = bytes
        self.digest = digest
    }
}

/// A state of an item, as the client signed it.
public struct Revision: Hashable, Sendable {
    public var uid: RevisionUID
    /// Encrypted by the client.
    public var meta: [UInt8]
    public var isDeleted: Bool
    /// The content's chunks, in order; a chunk may stand there more than once.
    public var chunks: [ChunkUID]
    /// Those of them whose content came with this revision.
    public var stored: [StoredChunk]

    public init(uid: RevisionUID, meta: [UInt8], isDeleted: Bool, chunks: [ChunkUID], stored: [StoredChunk]) {
        self.uid = uid
        self.meta = meta
        self.isDeleted = isDeleted
        self.chunks = chunks
        self.stored = stored
    }
}

/// A collection was made, with its main item and that item's first revision. Its owner joins in the next event.
public struct CollectionCreated: Hashable, Sendable {
    public var collection: CollectionUID
    public var owner: UserID
    /// The encryption version of the main item.
    public var version: Int
    public var revision: Revision

    public init(collection: CollectionUID, owner: UserID, version: Int, revision: Revision) {
        self.collection = collection
        self.owner = owner
        self.version = version
        self.revision = revision
    }
}

/// An item came into a collection.
public struct ItemCreated: Hashable, Sendable {
    public var collection: CollectionUID
    public var item: ItemUID
    /// The encryption version that the client used, 0 to 32767.
    public var version: Int
    /// The item's own key, encrypted by the client; official clients send none.
    public var encryptionKey: [UInt8]?
    public var revision: Revision

    public init(collection: CollectionUID, item: ItemUID, version: Int, encryptionKey: [UInt8]?, revision: Revision) {
        self.collection = collection
        self.item = item
        self.version = version
        self.encryptionKey = encryptionKey
        self.revision = revision
    }
}

/// An item got a new current revision. A deletion is a revision too.
public struct ItemRevised: Hashable, Sendable {
    public var collection: CollectionUID
    public var item: ItemUID
    public var revision: Revision

    public init(collection: CollectionUID, item: ItemUID, revision: Revision) {
        self.collection = collection
        self.item = item
        self.revision = revision
    }
}

/// An earlier revision of an item, which its client had signed, is current again under a new stoken. The server cannot sign
/// a revision of its own, so this is how it undoes a deletion.
public struct ItemRestored: Hashable, Sendable {
    public var collection: CollectionUID
    public var item: ItemUID
    /// One that the item has had before.
    public var revision: RevisionUID

    public init(collection: CollectionUID, item: ItemUID, revision: RevisionUID) {
        self.collection = collection
        self.item = item
        self.revision = revision
    }
}

/// A chunk was uploaded by itself, before the revision that will name it.
public struct ChunkStored: Hashable, Sendable {
    public var collection: CollectionUID
    public var chunk: StoredChunk

    public init(collection: CollectionUID, chunk: StoredChunk) {
        self.collection = collection
        self.chunk = chunk
    }
}

/// Earlier revisions of items are not kept any longer. What the events that carried them said of their content has been
/// rewritten.
public struct RevisionsPruned: Hashable, Sendable {
    public var collection: CollectionUID
    public var revisions: [RevisionUID]
    /// The chunks that no other revision names.
    public var chunks: [ChunkUID]
    public var redaction: RedactionProof

    public init(collection: CollectionUID, revisions: [RevisionUID], chunks: [ChunkUID], redaction: RedactionProof) {
        self.collection = collection
        self.revisions = revisions
        self.chunks = chunks
        self.redaction = redaction
    }
}

/// A user became a member: the owner at once, others by accepting an invitation.
public struct MemberJoined: Hashable, Sendable {
    public var collection: CollectionUID
    public var user: UserID
    public var level: AccessLevel
    /// The collection's key, encrypted for this user.
    public var encryptionKey: [UInt8]
    /// The type under which this user files the collection; encrypted, and owned by the user.
    public var collectionType: [UInt8]
    /// The invitation that was accepted; nil for the owner.
    public var invitation: InvitationUID?
    /// Who had invited the user to this collection: all those invitations are used up.
    public var inviters: [UserID]

    public init(
        collection: CollectionUID, user: UserID, level: AccessLevel, encryptionKey: [UInt8], collectionType: [UInt8],
        invitation: InvitationUID?, inviters: [UserID]
    ) {
        self.collection = collection
        self.user = user
        self.level = level
        self.encryptionKey = encryptionKey
        self.collectionType = collectionType
        self.invitation = invitation
        self.inviters = inviters
    }
}

/// A member's access level was changed.
public struct MemberLevelChanged: Hashable, Sendable {
    public var collection: CollectionUID
    public var user: UserID
    public var level: AccessLevel

    public init(collection: CollectionUID, user: UserID, level: AccessLevel) {
        self.collection = collection
        self.user = user
        self.level = level
    }
}

/// A member left (then the actor is the member) or was removed. The invitations that the member sent go with it.
public struct MemberRemoved: Hashable, Sendable {
    public var collection: CollectionUID
    public var user: UserID
    /// Whom the member had invited to this collection.
    public var invitees: [UserID]

    public init(collection: CollectionUID, user: UserID, invitees: [UserID]) {
        self.collection = collection
        self.user = user
        self.invitees = invitees
    }
}

/// A member invited a user.
public struct InvitationSent: Hashable, Sendable {
    public var collection: CollectionUID
    public var invitation: InvitationUID
    /// The version of the invitation's encryption, 0 to 32767.
    public var version: Int
    public var inviter: UserID
    public var invitee: UserID
    public var level: AccessLevel
    /// The collection's key, signed by the inviter and encrypted for the invitee.
    public var signedEncryptionKey: [UInt8]

    public init(
        collection: CollectionUID, invitation: InvitationUID, version: Int, inviter: UserID, invitee: UserID, level: AccessLevel,
        signedEncryptionKey: [UInt8]
    ) {
        self.collection = collection
        self.invitation = invitation
        self.version = version
        self.inviter = inviter
        self.invitee = invitee
        self.level = level
        self.signedEncryptionKey = signedEncryptionKey
    }
}

/// An invitation is no more: the invitee rejected it, or the inviter cancelled it (the actor tells).
public struct InvitationWithdrawn: Hashable, Sendable {
    public var collection: CollectionUID
    public var invitation: InvitationUID
    public var inviter: UserID
    public var invitee: UserID

    public init(collection: CollectionUID, invitation: InvitationUID, inviter: UserID, invitee: UserID) {
        self.collection = collection
        self.invitation = invitation
        self.inviter = inviter
        self.invitee = invitee
    }
}
