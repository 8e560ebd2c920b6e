/// Records of the original server were taken over as they stood: with their own ids and stokens, which are older than any
/// position of the log.
///
/// One event holds what belongs together, such as a revision with its stoken, its new chunks and, where it is the first one,
/// its item. It says what the records are, not how they came about: that the original does not tell. Where the original has
/// gone on after a hand-back, later events hold the records that it has changed since.
package struct RecordsAdopted: Hashable, Sendable {
    /// The stream that the records belong to.
    package var owner: StreamID
    /// Whose streams they change besides.
    package var users: [UserID]
    /// In the order in which they are put into the read model.
    package var records: [AdoptedRecord]

    /// - Precondition: `owner` is a collection or a known user.
    package init(owner: StreamID, users: [UserID] = [], records: [AdoptedRecord]) {
        precondition(owner != .createdUser, "adopted records are of somebody who is there")
        self.owner = owner
        self.users = users
        self.records = records
    }
}

extension RecordsAdopted: EventFacts {
    package static var type: EventType { .recordsAdopted }
    package static var proof: KeyPath<Self, RedactionProof>? { nil }
    package var event: Event { .recordsAdopted(self) }
    package var stream: StreamID { owner }
    package var touches: [StreamID] { users.map { .user($0) } }
    package var claims: [ClaimMade] { records.compactMap(\.claim) }
    package var content: ContentChange { .adopted(self) }
    package func remains(after removal: some Removal, at _: Position) -> Self {
        let isErased = if case .collection(let uid) = owner { removal.takes(uid) } else { false }
        return RecordsAdopted(owner: owner, users: users, records: records.map { $0.remains(after: removal, inErased: isErased) })
    }
}

/// A record of the original.
package struct AdoptedRecord: Hashable, Sendable {
    /// What the record is. The raw values stand in the log for ever.
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        case user
        case userKeys
        case stoken
        case collectionType
        case collection
        case item
        case revision
        case chunk
        case chunkUse
        case member
        case removedMember
        case invitation
    }

    /// A value of a field.
    package enum Value: Hashable, Sendable {
        case number(Int64)
        case text(String)
        case bytes([UInt8])

        /// Texts are the same when their bytes are.
        package static func == (left: Value, right: Value) -> Bool {
            switch (left, right) {
            case (.number(let one), .number(let other)): one == other
            case (.text(let one), .text(let other)): one.isExactly(other)
            case (.bytes(let one), .bytes(let other)): one == other
            case (.number, _), (.text, _), (.bytes, _): false
            }
        }

        /// Feeds what equality compares.
        package func hash(into hasher: inout Hasher) {
            switch self {
            case .number(let number): hasher.combine(number)
            case .text(let text): hasher.combine(ExactText(text))
            case .bytes(let bytes): hasher.combine(bytes)
            }
        }
    }

    /// A field, by the name that the original gives it.
    package struct Field: Hashable, Sendable {
        package var name: String
        package var value: Value

        package init(_ name: String, _ value: Value) {
            self.name = name
            self.value = value
        }
    }

    package var kind: Kind
    /// The record's id; of keys, their owner's.
    package var id: Int64
    /// Without those that are null; nil where the record is no more.
    package var fields: [Field]?

    package init(kind: Kind, id: Int64, fields: [Field]?) {
        self.kind = kind
        self.id = id
        self.fields = fields
    }

    /// The value of a field; nil where it is null.
    package func value(_ name: String) -> Value? { fields?.first { $0.name == name }?.value }

    /// The number in a field; nil where it is null or of another kind.
    package func number(_ name: String) -> Int64? {
        guard case .number(let number) = value(name) else { return nil }
        return number
    }

    /// The text in a field; nil where it is null or of another kind.
    package func text(_ name: String) -> String? {
        guard case .text(let text) = value(name) else { return nil }
        return text
    }

    /// The key that the record makes taken. The holder may make it again: the original may change a record.
    var claim: ClaimMade? {
        switch kind {
        case .user:
            text("username").map { name in
                ClaimMade(claim: .username(Username.canonical(name)), holder: UserID(rawValue: id), isRepeatable: true)
            }
        case .collection: text("uid").map { ClaimMade(claim: .collection(CollectionUID($0)), holder: holder, isRepeatable: true) }
        // Who wrote a revision is not known.
        case .revision:
            text("uid").map { uid in
                ClaimMade(claim: .revision(RevisionUID(uid)), holder: UserID(rawValue: 0), isRepeatable: true)
            }
        case .collectionType:
            if case .bytes(let type) = value("uid") {
                ClaimMade(claim: .collectionType(type), holder: holder, isRepeatable: true)
            } else {
                nil
            }
        case .userKeys, .stoken, .item, .chunk, .chunkUse, .member, .removedMember, .invitation: nil
        }
    }

    private var holder: UserID? { number("owner_id").map(UserID.init) }

    /// The names of what is recorded of a chunk's content beside the fields of its row.
    private static let (contentBytes, contentDigest) = ("content bytes", "content digest")

    /// A chunk's record with what its content was when it was adopted.
    package func with(_ content: StoredChunk) -> AdoptedRecord {
        precondition(kind == .chunk, "only chunks have contents")
        var record = self
        record.fields?.append(Field(Self.contentBytes, .number(Int64(content.bytes))))
        record.fields?.append(Field(Self.contentDigest, .bytes(content.digest)))
        return record
    }

    /// The record without what is known of its content.
    var withoutContent: AdoptedRecord {
        var record = self
        record.fields?.removeAll { [Self.contentBytes, Self.contentDigest].contains($0.name) }
        return record
    }

    /// What is known of an adopted content: no digest where it was missing, or was adopted when none was taken.
    package var storedChunk: StoredChunk? {
        guard kind == .chunk, let uid = text("uid") else { return nil }
        guard let bytes = number(Self.contentBytes), case .bytes(let digest) = value(Self.contentDigest) else {
            return StoredChunk(uid: ChunkUID(uid), bytes: 0, digest: [])
        }
        return StoredChunk(uid: ChunkUID(uid), bytes: Int(bytes), digest: digest)
    }
}

extension AdoptedRecord {
    /// The record when something has gone from the history.
    ///
    /// - Parameter isErased: whether it is of a collection whose content goes.
    func remains(after removal: some Removal, inErased isErased: Bool) -> AdoptedRecord {
        switch kind {
        case .user where removal.takes(UserID(rawValue: id)):
            replacing([
                "username": .text(Username.ofErased(UserID(rawValue: id))), "first_name": .text(""), "last_name": .text(""),
                "email": .text(""), "password": .text(Erasure.password),
            ])
        case .userKeys where removal.takes(UserID(rawValue: id)):
            replacing(["salt": .bytes([]), "loginPubkey": .bytes([]), "encryptedContent": .bytes([]), "pubkey": .bytes([])])
        case .collectionType where takes(removal, "owner_id"):
            // Unique, and what a type that somebody else's membership names becomes in the tables.
            replacing(["uid": .bytes(Erasure.placeholder(id))])
        case .chunk where isErased: withoutContent
        case .item where isErased: replacing(["encryptionKey": nil])
        case .revision where isErased || text("uid").map({ removal.takes(RevisionUID($0)) }) == true: replacing(["meta": .bytes([])])
        case .member where isErased || takes(removal, "user_id"): replacing(["encryptionKey": .bytes([])])
        case .invitation where isErased || takes(removal, "user_id"):
            replacing(["signedEncryptionKey": .bytes([])])
        case .user, .userKeys, .stoken, .collectionType, .collection, .item, .revision, .chunk, .chunkUse, .member, .removedMember,
            .invitation:
            self
        }
    }

    private func takes(_ removal: some Removal, _ field: String) -> Bool {
        number(field).map { removal.takes(UserID(rawValue: $0)) } ?? false
    }

    /// The record with other values in those of the fields that it has; without them where the value is nil.
    private func replacing(_ values: [String: Value?]) -> AdoptedRecord {  // names of ours
        AdoptedRecord(
            kind: kind, id: id,
            fields: fields?.compactMap { field in
                guard let value = values[field.name] else { return field }
                return value.map { Field(field.name, $0) }
            })
    }
}
