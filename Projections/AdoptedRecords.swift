package import Database
package import Domain
internal import EventLog

/// What a run of adopted records makes of the tables: the last state of each row, over what was there before, with the read
/// model's own tables brought along. Each table is written with one statement.
struct AdoptedRows {
    /// The last state of each row, nil for those that are no more, in the order in which they came.
    private struct Rows {
        var places: [Int64: Int] = [:]
        var lines: [(key: Int64, values: [Value]?)] = []

        mutating func set(_ key: Int64, _ values: [Value]?) {
            if let place = places[key] {
                lines[place].values = values
            } else {
                places[key] = lines.count
                lines.append((key, values))
            }
        }

        var removed: [Int64] { lines.filter { $0.values == nil }.map(\.key) }
        var kept: [ReadModelTable.Line] { lines.compactMap { key, values in values.map { (key, $0) } } }
    }

    private var rows: [AdoptedRecord.Kind: Rows] = [:]
    /// Items that have another current revision.
    private var items: Set<Int64> = []
    private var collections: Set<CollectionUID> = []
    private var sizes: [Int64: Int64] = [:]

    static func takes(_ event: Event) -> Bool { if case .recordsAdopted = event { true } else { false } }

    /// Applies a run of events that ``takes(_:)`` lets through.
    static func apply(_ run: ArraySlice<RecordedEvent>, _ batch: inout Batch) throws {
        var adopted = AdoptedRows()
        for record in run { if case .recordsAdopted(let event) = record.event { adopted.add(event, &batch) } }
        try adopted.write(batch)
    }

    private mutating func add(_ event: RecordsAdopted, _ batch: inout Batch) {
        for record in event.records {
            switch record.kind {
            case .chunk:
                batch.note(chunkID: record.id)
                sizes[record.id] = record.storedChunk.map { Int64($0.bytes) }
            case .chunkUse: batch.note(relationID: record.id)
            default: break
            }
            let values = record.fields.map { _ in ReadModelTable.of(record.kind).line(record).values }
            rows[record.kind, default: Rows()].set(record.id, values)
            if record.kind == .revision, record.number("current") == 1, let item = record.number("item_id") { items.insert(item) }
        }
        if case .collection(let uid) = event.owner { collections.insert(uid) }
    }

    private func write(_ batch: Batch) throws {
        let connection = batch.connection
        // What goes goes first, so that nothing that comes finds its unique values taken.
        for kind in AdoptedRecord.Kind.allCases {
            guard let removed = rows[kind]?.removed, !removed.isEmpty else { continue }
            try ReadModelTable.of(kind).delete(keys: removed, connection)
            switch kind {
            case .item: try connection.enqueue(Self.deleteChanges, [.integers(removed)])
            case .chunk: try Counting.delete(sizes: removed, connection)
            case .collection:
                try connection.enqueue(Self.deleteStates, [.integers(removed)])
                try Counting.delete(usage: removed, connection)
            default: break
            }
        }
        for kind in AdoptedRecord.Kind.allCases { try ReadModelTable.of(kind).upsert(rows[kind]?.kept ?? [], connection) }
        if !items.isEmpty { try connection.enqueue(Self.upsertChanges, [.integers(items.sorted())]) }
        try Counting.add(sizes: sizes.sorted { $0.key < $1.key }.map { [.integer($0.key), .integer($0.value)] }, connection)
        if !collections.isEmpty {
            try connection.enqueue(Self.upsertStates, [.texts(collections.map(\.rawValue))])
            try Counting.sum(collections, connection)
        }
    }

    private static let deleteChanges = Statement("DELETE FROM apus_item WHERE id IN [$1 bigint]")
    private static let deleteStates = Statement("DELETE FROM apus_collection WHERE id IN [$1 bigint]")

    private static let upsertChanges = Statement(
        AdoptedState.items + " AND item.id IN [$1 bigint] ON CONFLICT (id) DO UPDATE SET stoken = excluded.stoken")

    private static let upsertStates = Statement(
        AdoptedState.collections + """
             WHERE collection.uid IN [$1 text]
            ON CONFLICT (id) DO UPDATE
            SET revision_stoken = excluded.revision_stoken, member_stoken = excluded.member_stoken
            """)
}

/// What the read model's own tables say of adopted rows: the same for one row and for all.
package enum AdoptedState {
    /// Fills the tables for everything that there is.
    package static func renew(_ connection: any Connection) throws {
        try connection.execute(Self.deleteAllItems, [])
        try connection.execute(Self.deleteAllCollections, [])
        try connection.execute(Statement(items), [])
        try connection.execute(Statement(collections), [])
        try Counting.forget(connection)
    }

    /// Each item with its current revision.
    static let items = """
        INSERT INTO apus_item (id, collection_id, stoken, is_main)
        SELECT item.id, item.collection_id, revision.stoken_id, CASE WHEN collection.main_item_id = item.id THEN 1 ELSE 0 END
        FROM   django_etebase_collectionitem item
        JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id AND revision.current = TRUE
        JOIN   django_etebase_collection collection ON collection.id = item.collection_id
        WHERE  TRUE
        """

    /// Each collection, once its items are there.
    static let collections = """
        INSERT INTO apus_collection (id, revision_stoken, member_stoken)
        SELECT collection.id,
               COALESCE((SELECT max(item.stoken) FROM apus_item item WHERE item.collection_id = collection.id), 0),
               COALESCE((SELECT max(member.stoken_id) FROM django_etebase_collectionmember member
                         WHERE member.collection_id = collection.id), 0)
        FROM   django_etebase_collection collection
        """

    private static let deleteAllItems = Statement("DELETE FROM apus_item")

    private static let deleteAllCollections = Statement("DELETE FROM apus_collection")
}

extension ReadModelTable {
    /// The table in which records of a kind lie.
    package static func of(_ kind: AdoptedRecord.Kind) -> ReadModelTable {
        let name =
            switch kind {
            case .user: "myauth_user"
            case .userKeys: "django_etebase_userinfo"
            case .stoken: "django_etebase_stoken"
            case .collectionType: "django_etebase_collectiontype"
            case .collection: "django_etebase_collection"
            case .item: "django_etebase_collectionitem"
            case .revision: "django_etebase_collectionitemrevision"
            case .chunk: "django_etebase_collectionitemchunk"
            case .chunkUse: "django_etebase_revisionchunkrelation"
            case .member: "django_etebase_collectionmember"
            case .removedMember: "django_etebase_collectionmemberremoved"
            case .invitation: "django_etebase_collectioninvitation"
            }
        guard let table = byName[name] else { preconditionFailure("each kind of record has a table") }
        return table
    }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// The row as a record.
    package func record(_ kind: AdoptedRecord.Kind, _ line: Line) -> AdoptedRecord {
        let fields = zip(columns, line.values).compactMap { column, value -> AdoptedRecord.Field? in
            switch value {
            case .integer(let number): .init(column.name, .number(number))
            case .text(let text): .init(column.name, .text(text))
            case .blob(let bytes): .init(column.name, .bytes(bytes))
            case .null, .texts, .integers, .blobs: nil
            }
        }
        return AdoptedRecord(kind: kind, id: line.key, fields: fields)
    }

    /// The record as a row.
    package func line(_ record: AdoptedRecord) -> Line {
        let values = columns.map { column -> Value in
            switch record.value(column.name) {
            case .number(let number): .integer(number)
            case .text(let text): .text(text)
            case .bytes(let bytes): .blob(bytes)
            case nil: .null
            }
        }
        return (record.id, values)
    }
}
