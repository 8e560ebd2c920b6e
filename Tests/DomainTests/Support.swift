import Domain
import TestSupport

let ada = UserID(rawValue: 1)
let ben = UserID(rawValue: 2)
let eve = UserID(rawValue: 3)
let notes = CollectionUID("notes")
let keys = UserKeys(salt: [1], loginPubkey: [2], pubkey: [3], encryptedContent: [4])

/// What a decision comes to.
func decide<D: Decision>(_ decision: D, _ state: D.State) throws(Refusal) -> [Event] { try decision.decide(state).map(\.event) }

extension CollectionState {
    /// A collection after `events`, which happened at the positions 1, 2, 3 …
    init(_ uid: CollectionUID = notes, given events: [Event]) {
        self.init(uid: uid)
        for (index, event) in events.enumerated() { evolve(event, at: Position(rawValue: Int64(index + 1))) }
    }
}

extension UserState {
    /// An account after `events`, which happened at the positions 1, 2, 3 …
    init(_ username: String, given events: [Event]) {
        self.init(username: username)
        for (index, event) in events.enumerated() { evolve(event, at: Position(rawValue: Int64(index + 1))) }
    }
}

extension Event {
    /// Ada's collection at the positions 1 and 2: its main item is at revision `notes-1`.
    static var adasNotes: [Event] {
        [
            .collectionCreated(.init(collection: notes, owner: ada, version: 1, revision: Revision("notes-1"))),
            .joined(ada, .admin),
        ]
    }

    static func joined(_ user: UserID, _ level: AccessLevel, type: String? = nil) -> Event {
        .memberJoined(
            .init(
                collection: notes, user: user, level: level, encryptionKey: [7],
                collectionType: Array((type ?? "type of \(user.rawValue)").utf8), invitation: nil, inviters: []))
    }

    static func created(_ item: ItemUID, _ revision: Revision, in collection: CollectionUID = notes) -> Event {
        .itemCreated(.init(collection: collection, item: item, version: 1, encryptionKey: nil, revision: revision))
    }

    static func revised(_ item: ItemUID, _ revision: Revision) -> Event {
        .itemRevised(.init(collection: notes, item: item, revision: revision))
    }

    static func removed(_ user: UserID, invitees: [UserID] = []) -> Event {
        .memberRemoved(.init(collection: notes, user: user, invitees: invitees))
    }

    static func invited(_ invitee: UserID, by inviter: UserID, _ uid: InvitationUID, _ level: AccessLevel = .readWrite) -> Event {
        .invitationSent(
            .init(
                collection: notes, invitation: uid, version: 1, inviter: inviter, invitee: invitee, level: level,
                signedEncryptionKey: [8]))
    }
}

extension Revision {
    init(_ uid: RevisionUID, chunks: [ChunkUID] = [], stored: [StoredChunk] = []) {
        self.init(uid: uid, meta: [1], isDeleted: false, chunks: chunks, stored: stored)
    }
}

extension StoredChunk {
    init(_ uid: ChunkUID) { self.init(uid: uid, bytes: 3, digest: [9]) }
}

extension OfferedChunk {
    /// With its content.
    static func sent(_ uid: ChunkUID) -> OfferedChunk { OfferedChunk(uid: uid, content: StoredChunk(uid)) }
    /// By its name alone.
    static func named(_ uid: ChunkUID) -> OfferedChunk { OfferedChunk(uid: uid, content: nil) }
}

extension OfferedItem {
    init(
        _ uid: ItemUID, _ revision: RevisionUID, etag: RevisionUID? = nil, version: Int = 1, _ chunks: OfferedChunk...
    ) {
        self.init(
            uid: uid, version: version, encryptionKey: nil, etag: etag,
            revision: OfferedRevision(uid: revision, meta: [1], isDeleted: false, chunks: chunks))
    }
}

extension CommitItems {
    /// A transaction of Ada's.
    init(
        _ items: OfferedItem..., by author: UserID = ada, dependencies: [Dependency] = [], stoken: ExpectedStoken = .any,
        checksEtags: Bool = true
    ) {
        self.init(
            collection: notes, author: author, items: items, dependencies: dependencies, stoken: stoken, checksEtags: checksEtags)
    }
}

extension FixedGenerator {
    mutating func below(_ end: Int) -> Int { Int.random(in: 0..<end, using: &self) }
    mutating func happens(oneIn count: Int) -> Bool { below(count) == 0 }
    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
}
