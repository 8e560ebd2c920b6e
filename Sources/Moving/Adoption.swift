/// Takes over what a database of the original server holds.
///
/// Pattern: the original's tables stay as they are, and what they say is appended to the log beside them as
/// ``Domain/RecordsAdopted`` events, the read model's checkpoint moving along in the same transaction. The events carry whole
/// records, ids and stokens with them, rather than pretend to be the commands that once made them: what the original did
/// is not to be had from its tables (who wrote a revision, which members came and went), and an id that follows from a
/// position could not be that of the row. So a replay of the log gives the very rows that were adopted.
///
/// Invariants: the log begins above the highest id that is in use, so that it is dense from its first position, every new
/// stoken is above every old one, and no new id meets an old one. Everything happens in the caller's transaction: an adoption
/// that is interrupted has not begun. Accounts and collections come first, then everything that has a stoken in the order of
/// the stokens, then what has none; so each record comes after those that it refers to.
///
/// Of each content that is there a digest goes into the log, so that `apus verify` finds one that was changed since.
///
/// Login tokens are not events; they stay as they are, like everything of Django's that no client sees.
package import Contents
package import Database
package import Domain
internal import EventLog
internal import Projections
internal import Replay

/// One adoption, in one writing transaction.
package struct Adoption {
    /// How many rows are read together; what is held in memory is a page and what belongs to it.
    private static let pageRows = 500

    private let connection: any Connection
    private let contents: FileContents
    private let told: (Int) -> Void
    private var log: AdoptionAppend
    private var nextTold = 10_000

    /// Appends the history of the tables to the log, which is empty, and marks it as projected.
    ///
    /// - Parameters:
    ///   - contents: where the files of chunks lie.
    ///   - time: when this is; when things happened is not known.
    ///   - told: told how many events there are, now and then.
    /// - Returns: how many events it came to.
    /// - Throws: `DatabaseFault`; then the transaction must be given up.
    package static func run(
        _ connection: any Connection, contents: FileContents, at time: Timestamp, told: @escaping (Int) -> Void
    ) throws -> Int {
        let base = try connection.first(highestID, []) { $0.integer(0) } ?? 0
        try AdoptionAppend.begin(after: Position(rawValue: base), connection)
        var adoption = Adoption(connection: connection, contents: contents, told: told, log: try AdoptionAppend(connection, at: time))
        try adoption.users()
        try adoption.collections()
        try adoption.history()
        try adoption.rest()
        let head = try adoption.log.finish()
        try AdoptedState.renew(connection)
        try project(upTo: head, connection)
        try ForeignRows.note(connection)
        return adoption.log.count
    }

    /// Makes sure that a history can be made of the rows, from which they follow.
    ///
    /// - Throws: `DatabaseFault` that says what is wrong with them.
    package static func requireSound(_ connection: any Connection, _ dialect: Dialect) throws {
        let faults = try Soundness.faults(connection, dialect)
        guard faults.isEmpty else {
            let words = faults.joined(separator: "; ")
            throw DatabaseFault(.corrupt, "the tables are not as an EteSync server leaves them, mend them or take a backup: \(words)")
        }
    }

    /// Marks the log as projected: the rows are there.
    static func project(upTo head: Position, _ connection: any Connection) throws {
        try connection.execute(checkpoint, [.integer(head.rawValue)])
        try Counting.finish(connection)
    }

    private mutating func append(_ owner: StreamID, users: [Int64?] = [], _ records: [AdoptedRecord]) throws {
        try log.append(
            RecordsAdopted(owner: owner, users: users.compactMap { $0.map(UserID.init) }, records: records))
        guard log.count >= nextTold else { return }
        told(log.count)
        nextTold = log.count + 10_000
    }

    private mutating func eachPage(
        of kind: AdoptedRecord.Kind, _ body: (inout Adoption, [AdoptedRecord]) throws -> Void
    ) throws {
        let table = ReadModelTable.of(kind)
        var last = Int64.min
        while true {
            let page = try table.rows(after: last, limit: Self.pageRows, connection)
            guard let end = page.last else { return }
            try body(&self, page.map { table.record(kind, $0) })
            last = end.key
        }
    }

    /// The records that a condition on their rows holds for.
    private func records(
        _ kind: AdoptedRecord.Kind, where condition: String, orderedBy column: String = "id", _ values: [Value]
    ) throws -> [AdoptedRecord] {
        let table = ReadModelTable.of(kind)
        return try table.rows(where: condition, orderedBy: column, values, connection).map { table.record(kind, $0) }
    }

    private func records(_ kind: AdoptedRecord.Kind, where column: String, in ids: [Int64]) throws -> [AdoptedRecord] {
        guard !ids.isEmpty else { return [] }
        return try records(
            kind, where: "\(column) IN [$1 bigint]", orderedBy: ReadModelTable.of(kind).key, [.integers(ids)])
    }

    /// Each user with keys and types.
    private mutating func users() throws {
        try eachPage(of: .user) { adoption, page in
            let ids = page.map(\.id)
            let keys = Dictionary(grouping: try adoption.records(.userKeys, where: "owner_id", in: ids), by: \.id)
            let types = Dictionary(grouping: try adoption.records(.collectionType, where: "owner_id", in: ids)) { $0.number("owner_id") }
            for user in page {
                try adoption.append(.user(UserID(rawValue: user.id)), [user] + keys[user.id, default: []] + types[user.id, default: []])
            }
        }
    }

    /// Each collection with its main item: they refer to each other.
    private mutating func collections() throws {
        try eachPage(of: .collection) { adoption, page in
            let mains = Dictionary(
                uniqueKeysWithValues: try adoption.records(.item, where: "id", in: page.compactMap { $0.number("main_item_id") })
                    .map { ($0.id, $0) })
            for collection in page {
                let main = collection.number("main_item_id").flatMap { mains[$0] }
                try adoption.append(try collection.stream, [collection] + [main].compactMap { $0 })
            }
        }
    }

    /// What has a stoken, in the order of the stokens.
    private mutating func history() throws {
        try eachPage(of: .stoken) { adoption, page in
            guard let first = page.first?.id, let last = page.last?.id else { return }
            let range: [Value] = [.integer(first), .integer(last)]
            let condition = "stoken_id >= $1 AND stoken_id <= $2"
            let revisions = try adoption.records(.revision, where: condition, orderedBy: "stoken_id", range)
            let content = try adoption.content(of: revisions)
            let changes =
                try adoption.records(.member, where: condition, orderedBy: "stoken_id", range)
                + adoption.records(.removedMember, where: condition, orderedBy: "stoken_id", range)
            let streams = try adoption.streams(changes.compactMap { $0.number("collection_id") })
            let byStoken = Dictionary(grouping: revisions + changes) { $0.number("stoken_id") }
            for stoken in page {
                guard let bearers = byStoken[stoken.id] else {
                    // Of a revision or member that is no more; a client may still come with it.
                    try adoption.append(Self.ownerless, [stoken])
                    continue
                }
                // Only damaged tables have two; each is taken for itself, the stoken with the first.
                for (index, bearer) in bearers.enumerated() {
                    let stokens = index == 0 ? [stoken] : []
                    if bearer.kind == .revision {
                        let (stream, before, after) = try content.around(bearer)
                        try adoption.append(stream, stokens + before + [bearer] + after)
                    } else {
                        let stream = streams[bearer.number("collection_id") ?? 0] ?? Self.ownerless
                        try adoption.append(stream, users: [bearer.number("user_id")], stokens + [bearer])
                    }
                }
            }
        }
    }

    /// What came with some revisions.
    private struct Content {
        var streams: [Int64: StreamID] = [:]
        var items: [Int64: AdoptedRecord] = [:]
        /// The stoken of an item's first revision; none of main items, which came with their collections.
        var firstOfItem: [Int64: Int64] = [:]
        var uses: [Int64: [AdoptedRecord]] = [:]
        var chunks: [Int64: AdoptedRecord] = [:]
        /// The stoken of the first revision that uses a chunk.
        var firstOfChunk: [Int64: Int64] = [:]

        func around(_ revision: AdoptedRecord) throws -> (stream: StreamID, before: [AdoptedRecord], after: [AdoptedRecord]) {
            guard let item = revision.number("item_id"), let collection = items[item]?.number("collection_id"),
                let stream = streams[collection], let stoken = revision.number("stoken_id")
            else { throw DatabaseFault(.corrupt, "revision \(revision.id) is of no item, or that of no collection") }
            let new = firstOfItem[item] == stoken ? items[item] : nil
            let uses = self.uses[revision.id, default: []]
            var seen: Set<Int64> = []
            let chunks = uses.compactMap { use -> AdoptedRecord? in
                guard let id = use.number("chunk_id"), firstOfChunk[id] == stoken, seen.insert(id).inserted else { return nil }
                return self.chunks[id]
            }
            return (stream, [new].compactMap { $0 } + chunks, uses)
        }
    }

    private func content(of revisions: [AdoptedRecord]) throws -> Content {
        var content = Content()
        let items = try records(.item, where: "id", in: Array(Set(revisions.compactMap { $0.number("item_id") })))
        content.items = Dictionary(uniqueKeysWithValues: items.map { ($0.id, $0) })
        content.streams = try streams(items.compactMap { $0.number("collection_id") })
        content.firstOfItem = try pairs(Self.firstOfItems, items.map(\.id))
        let uses = try records(.chunkUse, where: "revision_id", in: revisions.map(\.id))
        content.uses = Dictionary(grouping: uses) { $0.number("revision_id") ?? 0 }
        let chunks = try records(.chunk, where: "id", in: Array(Set(uses.compactMap { $0.number("chunk_id") })))
        content.chunks = Dictionary(uniqueKeysWithValues: try chunks.map { ($0.id, try $0.withContent(in: contents)) })
        content.firstOfChunk = try pairs(Self.firstOfChunks, chunks.map(\.id))
        return content
    }

    private func pairs(_ statement: Statement, _ ids: [Int64]) throws -> [Int64: Int64] {
        guard !ids.isEmpty else { return [:] }
        return Dictionary(
            uniqueKeysWithValues: try connection.query(statement, [.integers(ids)]) { ($0.integer(0), $0.integer(1)) })
    }

    private func streams(_ collections: [Int64]) throws -> [Int64: StreamID] {
        guard !collections.isEmpty else { return [:] }
        return Dictionary(
            uniqueKeysWithValues: try connection.query(Self.selectUIDs, [.integers(Array(Set(collections)))]) { row in
                (row.integer(0), StreamID.collection(CollectionUID(row.text(1))))
            })
    }

    /// What has no stoken: items without revisions, chunks that nothing uses, members of the original's first days, and
    /// invitations, which come after the members who sent them.
    private mutating func rest() throws {
        try single(.item, where: Self.strayItems)
        try single(.chunk, where: Self.strayChunks)
        try single(.member, where: "stoken_id IS NULL")
        try single(.removedMember, where: "stoken_id IS NULL")
        try eachPage(of: .invitation) { adoption, page in
            let members = try adoption.records(.member, where: "id", in: page.compactMap { $0.number("fromMember_id") })
            let byID = Dictionary(uniqueKeysWithValues: members.map { ($0.id, $0) })
            let streams = try adoption.streams(members.compactMap { $0.number("collection_id") })
            for invitation in page {
                let inviter = byID[invitation.number("fromMember_id") ?? 0]
                try adoption.append(
                    streams[inviter?.number("collection_id") ?? 0] ?? Self.ownerless,
                    users: [invitation.number("user_id"), inviter?.number("user_id")], [invitation])
            }
        }
    }

    private mutating func single(_ kind: AdoptedRecord.Kind, where condition: String) throws {
        var last = Int64.min
        while true {
            let page = try records(
                kind, where: "id > $1 AND \(condition)", orderedBy: "id LIMIT \(Self.pageRows)", [.integer(last)])
            guard let end = page.last else { return }
            let streams = try streams(page.compactMap { $0.number("collection_id") })
            for record in page {
                try append(
                    streams[record.number("collection_id") ?? 0] ?? Self.ownerless, users: [record.number("user_id")],
                    [record.withContent(in: contents)])
            }
            last = end.id
        }
    }

    /// The stream of what belongs to nobody.
    static let ownerless = StreamID.user(UserID(rawValue: 0))

    private static let strayItems = """
        NOT EXISTS (SELECT 1 FROM django_etebase_collectionitemrevision revision
                    WHERE revision.item_id = django_etebase_collectionitem.id)
        AND NOT EXISTS (SELECT 1 FROM django_etebase_collection collection
                        WHERE collection.main_item_id = django_etebase_collectionitem.id)
        """

    private static let strayChunks = """
        NOT EXISTS (SELECT 1 FROM django_etebase_revisionchunkrelation used
                    WHERE used.chunk_id = django_etebase_collectionitemchunk.id)
        """

    private static let firstOfItems = Statement(
        """
        SELECT   revision.item_id, min(revision.stoken_id)
        FROM     django_etebase_collectionitemrevision revision
        LEFT     JOIN django_etebase_collection collection ON collection.main_item_id = revision.item_id
        WHERE    revision.item_id IN [$1 bigint] AND collection.id IS NULL
        GROUP BY revision.item_id
        """)

    private static let firstOfChunks = Statement(
        """
        SELECT   used.chunk_id, min(revision.stoken_id)
        FROM     django_etebase_revisionchunkrelation used
        JOIN     django_etebase_collectionitemrevision revision ON revision.id = used.revision_id
        WHERE    used.chunk_id IN [$1 bigint]
        GROUP BY used.chunk_id
        """)

    private static let selectUIDs = Statement(
        "SELECT id, uid FROM django_etebase_collection WHERE id IN [$1 bigint]")

    private static let highestID = highestID(of: AdoptedRecord.Kind.allCases)

    /// The highest id of those that follow from positions; chunks and their uses are counted by themselves.
    static let highestOwnID = highestID(of: AdoptedRecord.Kind.allCases.filter { $0 != .chunk && $0 != .chunkUse })

    private static func highestID(of kinds: [AdoptedRecord.Kind]) -> Statement {
        let highest = kinds.map { ReadModelTable.of($0) }.map { "SELECT COALESCE(max(\($0.key)), 0) AS id FROM \($0.name)" }
        return Statement("SELECT max(id) FROM (\(highest.joined(separator: " UNION ALL "))) ids")
    }

    private static let checkpoint = Statement(
        """
        UPDATE apus_projection
        SET    position = $1,
               last_chunk_id = (SELECT COALESCE(max(id), 0) FROM (
                   SELECT id FROM django_etebase_collectionitemchunk UNION ALL SELECT last_chunk_id FROM apus_projection) ids),
               last_relation_id = (SELECT COALESCE(max(id), 0) FROM (
                   SELECT id FROM django_etebase_revisionchunkrelation UNION ALL SELECT last_relation_id FROM apus_projection) ids)
        """)
}

extension AdoptedRecord {
    /// A chunk's record with what its content is, where there is one; any other as it is.
    func withContent(in contents: FileContents) throws -> AdoptedRecord {
        guard kind == .chunk, let uid = text("uid"), let path = text("chunkFile"), let content = try contents.read(path) else {
            return self
        }
        return with(StoredChunk(uid: ChunkUID(uid), content: content))
    }

    /// The stream of a collection's record.
    fileprivate var stream: StreamID {
        get throws {
            guard let uid = text("uid") else { throw DatabaseFault(.corrupt, "collection \(id) has no uid") }
            return .collection(CollectionUID(uid))
        }
    }
}
