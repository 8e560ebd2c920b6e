internal import Database
package import Domain
internal import EventLog

/// What is stored of a person, as it is handed out to whoever it is about: `apus user export`.
///
/// A line is a thing with its fields by name; everything that clients encrypt is bytes. Tokens and hashes of passwords are never
/// among them: they let in whoever has them. Of other people there is what the person's own app shows: a name and a level.
package struct PersonLine: Sendable {
    /// A field's value; one that is not there has no field.
    package enum Value: Hashable, Sendable {
        case text(String)
        case number(Int64)
        case flag(Bool)
        case bytes([UInt8])
        case texts([String])
    }

    /// What kind of thing it is; the lines of one kind come in the order in which the things were made, but for the audit's.
    package enum Kind: String, CaseIterable, Sendable {
        case account, sessions, collections, members, items, revisions, chunks, invitations, leftCollections = "left-collections", audit
    }

    package let kind: Kind
    /// In the order in which they are told.
    package let fields: [(name: String, value: Value)]

    init(_ kind: Kind, _ fields: KeyValuePairs<String, Value?>) {
        self.kind = kind
        self.fields = fields.compactMap { name, value in value.map { (name, $0) } }
    }
}

/// An encrypted content of a person's collections.
package struct PersonContent {
    package let collection: CollectionUID
    package let chunk: ChunkUID
    /// How many bytes it has; nil where it is missing.
    package let count: Int?
    /// What is fetched once the snapshot has ended, for it lies in an S3 store; nil where it can be read in it.
    package let elsewhere: StoredBytes?
    /// Reads so many bytes from the first of them on; fewer where it ends.
    package let read: (_ start: Int, _ count: Int) throws -> [UInt8]
}

/// Takes what is stored of a person, one thing at a time.
package protocol PersonSink {
    func take(_ line: PersonLine) throws
    func take(_ content: PersonContent) throws
}

extension Snapshot {
    /// Hands out everything that is stored of a person, as of one moment, some of it at a time: no more is in memory than
    /// a few MiB, or one content.
    ///
    /// - Parameter make: makes what takes it, once all has been projected that is to be told.
    /// - Returns: what has taken it; nil where there is no such account.
    package func export<Sink: PersonSink>(_ name: CanonicalName, to make: () throws -> Sink) throws -> Sink? {
        try requireAll()
        guard let account = try account(named: name), !Username.isErased(account.username) else { return nil }
        // Files are written meanwhile, however many and large they are.
        try connection.set(.mayTakeLong, .mayStandStill)
        let sink = try make()
        let person = Person(user: account.user, connection: connection, contents: contents)
        for line in try person.account() + person.sessions() { try sink.take(line) }
        for collection in try person.collections() {
            try sink.take(collection.line)
            try person.members(of: collection, sink)
            try person.items(of: collection, sink)
            try person.revisions(of: collection, sink)
            try person.chunks(of: collection, sink)
        }
        for line in try person.invitations() + person.left() { try sink.take(line) }
        var positions = try auditPositions(of: account.user, at: Timestamp.always)[...]
        while !positions.isEmpty {
            for entry in try audit(at: positions.prefix(Person.pageRows)) { try sink.take(PersonLine(entry, of: account.user)) }
            positions = positions.dropFirst(Person.pageRows)
        }
        return sink
    }
}

extension PersonLine {
    /// What others have done is told without where they were.
    init(_ entry: AuditEntry, of user: UserID) {
        let isOwn = entry.user == user
        self.init(
            .audit,
            [
                "position": .number(entry.head.position.rawValue), "time": .text(entry.time.text), "action": .text(entry.action.rawValue),
                "user": entry.username.map { .text($0) }, "session": isOwn ? entry.session.map { .text($0) } : nil,
                "device": isOwn ? entry.device.map { .text($0) } : nil, "address": isOwn ? entry.address.map { .text($0) } : nil,
                "collection": entry.collection.map { .text($0.rawValue) }, "item": entry.item.map { .text($0.rawValue) },
                "revision": entry.revision.map { .text($0.rawValue) }, "chunk": entry.chunk.map { .text($0.rawValue) },
                "invitation": entry.invitation.map { .text($0.rawValue) }, "member": entry.member.map { .text($0) },
                "level": entry.level.map { .text($0.word) },
            ])
    }
}

extension PersonLine {
    /// The line of a content.
    ///
    /// - Parameter file: where it was put; nil where it is missing.
    package init(chunk: PersonContent, in file: String?) {
        self.init(
            .chunks,
            [
                "collection": .text(chunk.collection.rawValue), "chunk": .text(chunk.chunk.rawValue),
                "bytes": chunk.count.map { .number(Int64($0)) }, "file": file.map { .text($0) },
            ])
    }
}

extension AccessLevel {
    /// The level in a word.
    var word: String {
        switch self {
        case .readOnly: "read-only"
        case .readWrite: "read-write"
        case .admin: "admin"
        }
    }
}
