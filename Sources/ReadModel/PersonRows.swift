internal import Contents
internal import Database
internal import Domain

/// The rows in which something of a person stands.
struct Person {
    let user: UserID
    let connection: any Connection
    let contents: ContentStores

    /// How many rows are read at a time, and how many bytes of encrypted metadata together.
    static let pageRows = 500
    private static let pageBytes: Int64 = 8 << 20

    /// A collection of which the person is a member or the owner.
    struct Collection {
        let id: Int64
        let uid: String
        /// Whether the person may see the other members.
        let showsMembers: Bool
        let line: PersonLine
    }

    private var me: Value { .integer(user.rawValue) }

    func account() throws -> [PersonLine] {
        try connection.query(Self.selectAccount, [me]) { row in
            PersonLine(
                .account,
                [
                    "id": .number(row.integer(0)), "username": .text(row.text(1)), "displayName": .text(row.text(2)),
                    "lastName": row.text(3).isEmpty ? nil : .text(row.text(3)), "email": .text(row.text(4)),
                    "isActive": .flag(row.flag(5)), "isStaff": .flag(row.flag(6)), "isSuperuser": .flag(row.flag(7)),
                    "dateJoined": .text(row.text(8)), "lastLogin": row.textOrNil(9).map { .text($0) },
                    "keyVersion": row.integerOrNil(10).map { .number($0) }, "salt": row.blobOrNil(11).map { .bytes($0) },
                    "loginPubkey": row.blobOrNil(12).map { .bytes($0) }, "pubkey": row.blobOrNil(13).map { .bytes($0) },
                    "encryptedContent": row.blobOrNil(14).map { .bytes($0) },
                    "quotaBytes": row.integerOrNil(15).map { .number($0) }, "quotaItems": row.integerOrNil(16).map { .number($0) },
                    "quotaCollections": row.integerOrNil(17).map { .number($0) },
                ])
        }
    }

    /// Those that are open, and those that the history speaks of.
    func sessions() throws -> [PersonLine] {
        let open = try connection.query(Self.selectTokens, [me]) { row in
            (id: ExactText(Sessions.shortID(of: row.text(0))), since: row.text(1), expires: row.textOrNil(2))
        }
        let known = try connection.query(Self.selectSessions, [me]) { row in
            (id: row.text(0), device: row.textOrNil(1), since: Timestamp(rawValue: row.integer(2)))
        }
        let openOf = Dictionary(open.map { ($0.id, $0) }) { first, _ in first }
        let listed = Set(known.map { ExactText($0.id) })
        return known.map { session in
            let found = openOf[ExactText(session.id)]
            return PersonLine(
                .sessions,
                [
                    "session": .text(session.id), "device": session.device.map { .text($0) }, "since": .text(session.since.text),
                    "isOpen": .flag(found != nil), "expires": found?.expires.map { .text($0) },
                ])
        }
            + open.filter { !listed.contains($0.id) }.map { session in
                PersonLine(
                    .sessions,
                    [
                        "session": .text(session.id.rawValue), "since": .text(session.since), "isOpen": .flag(true),
                        "expires": session.expires.map { .text($0) },
                    ])
            }
    }

    func collections() throws -> [Collection] {
        try connection.query(Self.selectCollections, [me]) { row in
            let level = row.integerOrNil(4).flatMap { AccessLevel(rawValue: $0) }
            let isOwner = row.integer(2) == user.rawValue
            return Collection(
                id: row.integer(0), uid: row.text(1), showsMembers: level == .admin,
                line: PersonLine(
                    .collections,
                    [
                        "collection": .text(row.text(1)), "isOwner": .flag(isOwner), "owner": .text(row.text(3)),
                        "level": level.map { .text($0.word) }, "encryptionKey": row.blobOrNil(5).map { .bytes($0) },
                        "collectionType": row.blobOrNil(6).map { .bytes($0) },
                    ]))
        }
    }

    func members(of collection: Collection, _ sink: some PersonSink) throws {
        try pages { last in
            try connection.query(Self.selectMembers, [.integer(collection.id), .integer(last), .integer(Int64(Self.pageRows))]) { row in
                (row.integer(0), (user: row.integer(1), name: row.text(2), level: row.integer(3)))
            }
        } each: { member in
            guard collection.showsMembers || member.user == user.rawValue else { return }
            try sink.take(
                PersonLine(
                    .members,
                    [
                        "collection": .text(collection.uid), "member": .text(member.name),
                        "level": AccessLevel(rawValue: member.level).map { .text($0.word) },
                    ]))
        }
    }

    func items(of collection: Collection, _ sink: some PersonSink) throws {
        try pages { last in
            try connection.query(Self.selectItems, [.integer(collection.id), .integer(last), .integer(Int64(Self.pageRows))]) { row in
                (
                    row.integer(0),
                    PersonLine(
                        .items,
                        [
                            "collection": .text(collection.uid), "item": .text(row.text(1)), "version": .number(row.integer(2)),
                            "encryptionKey": row.blobOrNil(3).map { .bytes($0) },
                        ])
                )
            }
        } each: {
            try sink.take($0)
        }
    }

    /// Their metadata is measured before it is read.
    func revisions(of collection: Collection, _ sink: some PersonSink) throws {
        try pages { last in
            try connection.query(Self.measureRevisions, [.integer(collection.id), .integer(last), .integer(Int64(Self.pageRows))]) { row in
                (row.integer(0), (id: row.integer(0), bytes: row.integer(1)))
            }
        } page: { measured in
            var rest = measured[...]
            while !rest.isEmpty {
                var bytes: Int64 = 0
                let count = max(
                    1,
                    rest.prefix { revision in
                        bytes += revision.bytes
                        return bytes <= Self.pageBytes
                    }.count)
                let ids = rest.prefix(count).map(\.id)
                rest = rest.dropFirst(count)
                let chunks = try connection.query(Self.selectChunksOfRevisions, [.integers(ids)]) { ($0.integer(0), $0.text(1)) }
                let chunksOf = Dictionary(grouping: chunks, by: \.0).mapValues { $0.map(\.1) }
                let lines = try connection.query(Self.selectRevisions, [.integers(ids)]) { row in
                    PersonLine(
                        .revisions,
                        [
                            "collection": .text(collection.uid), "item": .text(row.text(1)), "revision": .text(row.text(2)),
                            "isCurrent": .flag(row.integerOrNil(3) == 1), "isDeleted": .flag(row.flag(4)), "meta": .bytes(row.blob(5)),
                            "chunks": .texts(chunksOf[row.integer(0)] ?? []),
                        ])
                }
                for line in lines { try sink.take(line) }
            }
        }
    }

    /// Each with its content, where that lies in the database.
    func chunks(of collection: Collection, _ sink: some PersonSink) throws {
        try pages { last in
            try connection.query(Self.selectChunks, [.integer(collection.id), .integer(last), .integer(Int64(Self.pageRows))]) { row in
                (row.integer(ContentStores.columnCount), (uid: row.text(1), reference: try contents.reference(row, from: 0)))
            }
        } each: { chunk in
            let bytes = try chunk.reference.flatMap { reference in
                reference.place == .database ? try TableContents.get([reference], connection)[reference] : nil
            }
            try sink.take(
                PersonContent(
                    collection: CollectionUID(collection.uid), chunk: ChunkUID(chunk.uid), count: chunk.reference?.count,
                    elsewhere: chunk.reference.flatMap { $0.place == .objects ? StoredBytes($0) : nil }
                ) { start, count in
                    if let bytes { return Array(bytes.dropFirst(start).prefix(count)) }
                    guard let reference = chunk.reference,
                        let slice = try contents.files.read(reference.name.path.rawValue, from: start, count: count)
                    else { throw Snapshot.missingContent }
                    return slice
                })
        }
    }

    /// From the person, and to the person; what was encrypted for somebody else is left to them.
    func invitations() throws -> [PersonLine] {
        try connection.query(Self.selectInvitations, [me]) { row in
            let isMine = row.integer(6) == user.rawValue
            return PersonLine(
                .invitations,
                [
                    "invitation": .text(row.text(0)), "collection": .text(row.text(1)), "from": .text(row.text(2)),
                    "to": .text(row.text(3)),
                    "level": AccessLevel(rawValue: row.integer(4)).map { .text($0.word) },
                    "signedEncryptionKey": isMine ? .bytes(row.blob(5)) : nil,
                ])
        }
    }

    /// Collections of which the person is a member no more.
    func left() throws -> [PersonLine] {
        try connection.query(Self.selectLeft, [me]) { PersonLine(.leftCollections, ["collection": .text($0.text(0))]) }
    }

    private func pages<Row>(_ read: (_ last: Int64) throws -> [(Int64, Row)], each body: (Row) throws -> Void) throws {
        try pages(read, page: { try $0.forEach(body) })
    }

    /// Reads pages one after the other, each after the id at the end of the last one.
    private func pages<Row>(_ read: (_ last: Int64) throws -> [(Int64, Row)], page body: ([Row]) throws -> Void) throws {
        var last: Int64 = 0
        while true {
            let page = try read(last)
            try body(page.map(\.1))
            guard page.count == Self.pageRows, let end = page.last?.0 else { return }
            last = end
        }
    }
}
