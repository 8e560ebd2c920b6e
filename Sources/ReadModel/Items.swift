internal import Database
public import Domain

/// A page of a list that is followed by stokens.
public struct Page<Element: Sendable>: Sendable {
    public let elements: [Element]
    /// Whether this is the last one for now.
    public let isDone: Bool

    /// Cuts what was found with one element more than asked for.
    init(_ found: [Element], limit: Int) {
        isDone = found.count <= limit
        elements = isDone ? found : Array(found.prefix(limit))
    }
}

extension Snapshot {
    /// The items that changed after a position, oldest change first.
    ///
    /// - Parameter includesMain: whether the collection's own item is listed too.
    public func items(
        of collection: CollectionAccess, after position: Position, limit: Int, includesMain: Bool, _ prefetch: Prefetch
    ) throws -> Page<ItemContent> {
        let page = try changes(of: collection, after: position, limit: limit, includesMain: includesMain)
        return Page(try filled(page.elements, prefetch), isDone: page.isDone)
    }

    /// The items that changed after a position, without their chunks.
    func changes(
        of collection: CollectionAccess, after position: Position, limit: Int, includesMain: Bool
    ) throws -> Page<ItemContent> {
        // Most of the time nothing has changed, and the collection's row has told so already.
        if collection.revisionStoken <= position { return Page([], limit: limit) }
        return Page(
            try connection.query(
                Self.selectChanges,
                [.integer(collection.id), .integer(position.rawValue), .flag(includesMain), .integer(Int64(limit) + 1)], item),
            limit: limit)
    }

    /// One item.
    public func item(_ uid: ItemUID, of collection: CollectionAccess, _ prefetch: Prefetch) throws -> ItemContent? {
        let found = try connection.query(Self.selectItem, [.integer(collection.id), .text(uid.rawValue)], item)
        return try filled(found, prefetch).first
    }

    /// The items of `uids` that changed after a position and are not at the etag that the caller knows, oldest change
    /// first.
    public func updates(
        of collection: CollectionAccess, to known: [ItemUID: RevisionUID?], after position: Position, _ prefetch: Prefetch
    ) throws -> [ItemContent] {
        let found = try connection.query(
            Self.selectItems,
            [.integer(collection.id), .texts(known.keys.map(\.rawValue)), .integer(position.rawValue)], item)
        return try filled(found.filter { known[ItemUID($0.uid)] != .some(RevisionUID($0.revision.uid)) }, prefetch)
    }

    /// The revisions of an item, newest first.
    ///
    /// - Parameter before: a revision of the item; only older ones are listed.
    /// - Throws: `Refusal.doesNotExist` for an unknown item or revision.
    public func revisions(
        of item: ItemUID, in collection: CollectionAccess, before: RevisionUID?, limit: Int, _ prefetch: Prefetch
    ) throws -> Page<RevisionContent> {
        let found = try connection.first(
            Statement("SELECT id FROM django_etebase_collectionitem WHERE uid = $2 AND collection_id + 0 = $1"),
            [.integer(collection.id), .text(item.rawValue)]
        ) { $0.integer(0) }
        guard let id = found else { throw Refusal.doesNotExist(model: "CollectionItem") }
        let end = try before.map { try revisionID($0, of: id) } ?? Int64.max
        let page = Page(
            try connection.query(Self.selectRevisions, [.integer(id), .integer(end), .integer(Int64(limit) + 1)]) { row in
                RevisionContent(id: row.integer(0), uid: row.text(1), meta: row.blob(2), isDeleted: row.flag(3))
            }, limit: limit)
        let chunks = try chunks(of: page.elements.map(\.id), prefetch)
        let filled = page.elements.map { revision in
            var revision = revision
            revision.chunks = chunks[revision.id] ?? []
            return revision
        }
        return Page(filled, isDone: page.isDone)
    }

    private func revisionID(_ uid: RevisionUID, of item: Int64) throws -> Int64 {
        let found = try connection.first(
            Statement("SELECT id FROM django_etebase_collectionitemrevision WHERE uid = $1 AND item_id = $2"),
            [.text(uid.rawValue), .integer(item)]
        ) { $0.integer(0) }
        guard let found else { throw Refusal.doesNotExist(model: "CollectionItemRevision") }
        return found
    }

    func item(_ row: any Row) -> ItemContent {
        ItemContent(
            uid: row.text(0), version: row.integer(1), encryptionKey: row.blobOrNil(2), changed: Position(rawValue: row.integer(3)),
            revision: RevisionContent(id: row.integer(4), uid: row.text(5), meta: row.blob(6), isDeleted: row.flag(7)))
    }

    static let itemColumns = """
        item.uid, item.version, item."encryptionKey", changed.stoken, revision.id, revision.uid, revision.meta, revision.deleted
        """

    private static let joins = """
        JOIN   django_etebase_collectionitem item ON item.id = changed.id
        JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id AND revision.current = TRUE
        """

    static let selectChanges = Statement(
        """
        SELECT \(itemColumns)
        FROM   apus_item changed
        \(joins)
        WHERE  changed.collection_id = $1 AND changed.stoken > $2 AND changed.is_main <= $3
        ORDER  BY changed.stoken
        LIMIT  $4
        """)

    // As in the state for commands, `+ 0` keeps SQLite from beginning with all revisions that are current.
    private static let selectItem = Statement(
        """
        SELECT \(itemColumns)
        FROM   django_etebase_collectionitem item
        JOIN   apus_item changed ON changed.id = item.id
        JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id + 0 AND revision.current = TRUE
        WHERE  item.uid = $2 AND item.collection_id + 0 = $1
        """)

    private static let selectItems = Statement(
        list: """
            SELECT \(itemColumns)
            FROM   django_etebase_collectionitem item
            JOIN   apus_item changed ON changed.id = item.id
            JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id + 0 AND revision.current = TRUE
            WHERE  item.uid IN [$2 text] AND item.collection_id + 0 = $1 AND changed.stoken > $3
            ORDER  BY changed.stoken
            """)

    // Ids grow with positions, so they order the revisions of an item. The index on item_id holds the ids in order.
    static let selectRevisions = Statement(
        """
        SELECT id, uid, meta, deleted
        FROM   django_etebase_collectionitemrevision
        WHERE  item_id = $1 AND id < $2
        ORDER  BY id DESC
        LIMIT  $3
        """)
}

extension Page {
    init(_ elements: [Element], isDone: Bool) {
        self.elements = elements
        self.isDone = isDone
    }
}
