package import Contents
package import Database
package import Domain
package import EventLog
internal import Projections
internal import Replay

/// Takes over what the original has changed since the database was handed back to it.
///
/// The log is replayed beside the tables and compared with them; each row that differs becomes a record that is adopted, one
/// that is gone too. So nothing has to be known of what the original does, and a replay gives the tables as they are now.
/// What refers to others comes after them, and goes before them.
package struct AdoptionAgain: Sendable {
    /// How far ids may be ahead of the log.
    private static let longestGap: Int64 = 1_000_000

    let replay: Replay
    let database: any Database
    private let contents: FileContents

    /// - Parameters:
    ///   - scratch: an empty database with the schema, which is filled.
    ///   - contents: where the files of chunks lie.
    package init(database: any Database, scratch: SQLiteDatabase, stokens: StokenSealer, contents: FileContents) throws {
        self.database = database
        self.contents = contents
        replay = try Replay(scratch: scratch, projection: DjangoProjection(stokens: stokens))
    }

    /// Appends what has changed to the log and marks it as projected, in one transaction.
    ///
    /// - Parameter begin: what is done first in that transaction: it keeps others from writing.
    /// - Returns: how many events it came to.
    /// - Throws: `DatabaseFault`, also where the log cannot be replayed; then nothing was changed.
    package func run(at time: Timestamp, _ begin: @escaping @Sendable (any Connection) throws -> Void) async throws -> Int {
        do {
            return try await database.write { [replay, dialect = database.dialect] connection in
                try begin(connection)
                let faults = try replay.advance(upTo: replay.goal(connection), connection)
                if let fault = faults.first { throw DatabaseFault(.corrupt, fault) }
                _ = try replay.compare(connection, dialect, notesAll: true)
                return try append(connection, at: time)
            }
        } catch let stop as Replay.Stop { throw DatabaseFault(.corrupt, stop.fault) }
    }

    /// Appends the rows that were noted as different, in the caller's transaction, and marks them as projected.
    ///
    /// - Returns: how many events it came to.
    func append(_ connection: any Connection, at time: Timestamp) throws -> Int {
        var log = try AdoptionAppend(connection, at: time)
        for kind in Self.order.reversed() {
            try replay.eachGone(kind, connection) { try log.append($0) }
        }
        for kind in Self.order {
            try replay.eachChanged(kind, connection, contents) { try log.append($0) }
        }
        var head = try log.finish()
        let highest = try connection.first(Adoption.highestOwnID, []) { $0.integer(0) } ?? 0
        guard highest - head.rawValue <= Self.longestGap else {
            throw DatabaseFault(.corrupt, "an id of \(highest) is too far ahead of the log, which ends at \(head.rawValue)")
        }
        // Ids that the original drew and did not use: the log has no gaps, so it says that there is nothing there.
        while head.rawValue < highest {
            try log.append(RecordsAdopted(owner: Adoption.ownerless, records: []))
            head = head + 1
        }
        head = try log.finish()
        try AdoptedState.renew(connection)
        try Adoption.project(upTo: head, connection)
        try ForeignRows.note(connection)
        return log.count
    }

    /// Each kind after those that it refers to.
    private static let order: [AdoptedRecord.Kind] = [
        .user, .userKeys, .collectionType, .stoken, .collection, .item, .chunk, .revision, .chunkUse, .member, .removedMember,
        .invitation,
    ]
}

extension Replay {
    /// The noted rows of a kind that are not in the live tables any more.
    fileprivate func eachGone(
        _ kind: AdoptedRecord.Kind, _ live: any Connection, _ body: (RecordsAdopted) throws -> Void
    ) throws {
        let table = ReadModelTable.of(kind)
        try eachNoted(table) { keys, replayed in
            let present = try table.rows(keys: keys, live)
            let gone = keys.filter { present[$0] == nil }
            let known = try table.rows(keys: gone, replayed)
            let owners = try Owners(of: kind, gone, replayed)
            for id in gone {
                var record = table.record(kind, (id, known[id] ?? []))
                let (owner, users) = owners.stream(of: record)
                record.fields = nil
                try body(RecordsAdopted(owner: owner, users: users, records: [record]))
            }
        }
    }

    /// The noted rows of a kind as they are in the live tables. A collection comes with its main item: they refer to each other.
    fileprivate func eachChanged(
        _ kind: AdoptedRecord.Kind, _ live: any Connection, _ contents: FileContents, _ body: (RecordsAdopted) throws -> Void
    ) throws {
        let table = ReadModelTable.of(kind)
        try eachNoted(table) { keys, _ in
            let present = try table.rows(keys: keys, live)
            let owners = try Owners(of: kind, keys, live)
            for id in keys {
                guard let values = present[id] else { continue }
                let record = table.record(kind, (id, values))
                let (owner, users) = owners.stream(of: record)
                var records = [try record.withContent(in: contents)]
                if kind == .collection, let main = record.number("main_item_id") {
                    let items = ReadModelTable.of(.item)
                    if let item = try items.rows(keys: [main], live)[main] { records.append(items.record(.item, (main, item))) }
                }
                try body(RecordsAdopted(owner: owner, users: users, records: records))
            }
        }
    }
}

/// Whose records are.
private struct Owners {
    private var collections: [Int64: CollectionUID] = [:]

    init(of kind: AdoptedRecord.Kind, _ ids: [Int64], _ connection: any Connection) throws {
        guard !ids.isEmpty, let path = Self.path(kind) else { return }
        let found = try connection.query(
            Statement("SELECT record.id, collection.uid FROM \(path) WHERE record.id IN [$1 bigint]"), [.integers(ids)]
        ) { ($0.integer(0), CollectionUID($0.text(1))) }
        collections = Dictionary(found) { first, _ in first }
    }

    /// The stream of a record, and the users whom it concerns besides.
    func stream(of record: AdoptedRecord) -> (owner: StreamID, users: [UserID]) {
        switch record.kind {
        case .user, .userKeys: (.user(UserID(rawValue: record.id)), [])
        case .collectionType: (.user(UserID(rawValue: record.number("owner_id") ?? 0)), [])
        case .stoken: (Adoption.ownerless, [])
        case .collection, .item, .chunk, .revision, .chunkUse, .member, .removedMember, .invitation:
            (
                collections[record.id].map { .collection($0) } ?? Adoption.ownerless,
                [record.number("user_id")].compactMap { $0.map(UserID.init) }
            )
        }
    }

    /// How a record is joined to its collection.
    private static func path(_ kind: AdoptedRecord.Kind) -> String? {
        let table = ReadModelTable.of(kind).name
        let item = "JOIN django_etebase_collectionitem item"
        let collection = "JOIN django_etebase_collection collection ON collection.id ="
        switch kind {
        case .user, .userKeys, .collectionType, .stoken: return nil
        case .collection: return "\(table) record \(collection) record.id"
        case .item, .chunk, .member, .removedMember: return "\(table) record \(collection) record.collection_id"
        case .revision: return "\(table) record \(item) ON item.id = record.item_id \(collection) item.collection_id"
        case .chunkUse:
            return """
                \(table) record JOIN django_etebase_collectionitemchunk chunk ON chunk.id = record.chunk_id
                \(collection) chunk.collection_id
                """
        case .invitation:
            return """
                \(table) record JOIN django_etebase_collectionmember member ON member.id = record."fromMember_id"
                \(collection) member.collection_id
                """
        }
    }
}
