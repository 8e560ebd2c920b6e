internal import Database
internal import Domain

extension Batch {
    /// Puts adopted records into their tables, over what was there before, and brings the read model's own tables along.
    mutating func adopt(_ event: RecordsAdopted) throws {
        for record in event.records {
            let table = ReadModelTable.of(record.kind)
            switch record.kind {
            case .chunk: note(chunkID: record.id)
            case .chunkUse: note(relationID: record.id)
            default: break
            }
            guard record.fields != nil else {
                try remove(record, from: table)
                continue
            }
            try table.upsert(table.line(record), connection)
            if record.kind == .revision, record.number("current") == 1, let item = record.number("item_id") {
                try connection.enqueue(Self.upsertChange, [.integer(item)])
            }
        }
        guard case .collection(let uid) = event.owner, let collection = try collections([uid])[uid] else { return }
        try connection.enqueue(Self.upsertState, [.integer(collection.id)])
    }

    private func remove(_ record: AdoptedRecord, from table: ReadModelTable) throws {
        try table.delete(keys: [record.id], connection)
        switch record.kind {
        case .item: try connection.enqueue(Statement("DELETE FROM apus_item WHERE id = $1"), [.integer(record.id)])
        case .collection: try connection.enqueue(Statement("DELETE FROM apus_collection WHERE id = $1"), [.integer(record.id)])
        default: break
        }
    }

    private static let upsertChange = Statement(
        AdoptedState.items + " AND item.id = $1 ON CONFLICT (id) DO UPDATE SET stoken = excluded.stoken")

    private static let upsertState = Statement(
        AdoptedState.collections + """
             WHERE collection.id = $1
            ON CONFLICT (id) DO UPDATE
            SET revision_stoken = excluded.revision_stoken, member_stoken = excluded.member_stoken
            """)
}

/// What the read model's own tables say of adopted rows: the same for one row and for all.
enum AdoptedState {
    /// Fills the tables for everything that there is.
    static func renew(_ connection: any Connection) throws {
        try connection.execute(Statement("DELETE FROM apus_item"), [])
        try connection.execute(Statement("DELETE FROM apus_collection"), [])
        try connection.execute(Statement(items), [])
        try connection.execute(Statement(collections), [])
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
}

extension ReadModelTable {
    /// The table in which records of a kind lie.
    static func of(_ kind: AdoptedRecord.Kind) -> ReadModelTable {
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
    func record(_ kind: AdoptedRecord.Kind, _ line: Line) -> AdoptedRecord {
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
    func line(_ record: AdoptedRecord) -> Line {
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
