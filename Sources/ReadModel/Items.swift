internal import Database
package import Domain

/// A page of a list that is followed by stokens.
package struct Page<Element: Sendable>: Sendable {
    package let elements: [Element]
    /// Whether this is the last one for now.
    package let isDone: Bool

    /// Cuts what was found with one element more than asked for.
    init(_ found: [Element], limit: Int) {
        isDone = found.count <= limit
        elements = isDone ? found : Array(found.prefix(limit))
    }

    /// The page as far as its elements have so many bytes together; one at least.
    func cut(atBytes limit: Int, _ bytes: (Element) -> Int) -> Page {
        var sum = 0
        let fitting = elements.prefix { element in
            let isFirst = sum == 0
            sum += bytes(element)
            return isFirst || sum <= limit
        }
        return Page(Array(fitting), isDone: isDone && fitting.count == elements.count)
    }
}

extension Snapshot {
    /// The items that changed after a position, oldest change first.
    ///
    /// - Parameter includesMain: whether the collection's own item is listed too.
    package func items(
        of collection: CollectionAccess, after position: Position, limit: Int, includesMain: Bool, _ prefetch: Prefetch
    ) throws -> Page<ItemContent> {
        let page = try changes(of: collection, after: position, limit: limit, includesMain: includesMain)
        return try filled(page, prefetch)
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
    package func item(_ uid: ItemUID, of collection: CollectionAccess, _ prefetch: Prefetch) throws -> ItemContent? {
        let found = try connection.query(Self.selectItem, [.integer(collection.id), .text(uid.rawValue)], item)
        return try filled(Page(found, isDone: true), prefetch).elements.first
    }

    /// The items of `uids` that changed after a position and are not at the etag that the caller knows, oldest change
    /// first: all of them, or as many as fit.
    package func updates(
        of collection: CollectionAccess, to known: [ItemUID: RevisionUID?], after position: Position, _ prefetch: Prefetch
    ) throws -> Page<ItemContent> {
        let found = try connection.query(
            Self.selectUpdates, [.integer(collection.id)] + Self.values(of: known, after: position), item)
        let changed = found.filter { known[ItemUID($0.uid)] != .some(RevisionUID($0.revision.uid)) }
        return try filled(Page(changed, isDone: true), prefetch)
    }

    /// What updates are asked with, behind the collection.
    static func values(of known: [ItemUID: RevisionUID?], after position: Position) -> [Value] {
        let pairs = Array(known)
        return [.texts(pairs.map(\.key.rawValue)), .texts(pairs.map(\.value?.rawValue)), .integer(position.rawValue)]
    }

    /// The revisions of an item, newest first.
    ///
    /// - Parameter before: a revision of the item; only older ones are listed.
    /// - Throws: `Refusal.doesNotExist` for an unknown item or revision.
    package func revisions(
        of item: ItemUID, in collection: CollectionAccess, before: RevisionUID?, limit: Int, _ prefetch: Prefetch
    ) throws -> Page<RevisionContent> {
        let found = try connection.first(
            Self.selectItemID,
            [.integer(collection.id), .text(item.rawValue)]
        ) { $0.integer(0) }
        guard let id = found else { throw Refusal.doesNotExist(.item) }
        let end = try before.map { try revisionID($0, of: id) } ?? Int64.max
        let page = Page(
            try connection.query(Self.selectRevisions, [.integer(id), .integer(end), .integer(Int64(limit) + 1)]) { row in
                let id = row.integer(0)
                return RevisionContent(
                    id: id, uid: row.text(1), meta: row.content(2, .meta, of: id) ?? .bytes([]), isDeleted: row.flag(4))
            }, limit: limit)
        return try filled(page, prefetch)
    }

    private func revisionID(_ uid: RevisionUID, of item: Int64) throws -> Int64 {
        let found = try connection.first(
            Self.selectRevisionID,
            [.text(uid.rawValue), .integer(item)]
        ) { $0.integer(0) }
        guard let found else { throw Refusal.doesNotExist(.revision) }
        return found
    }

    func item(_ row: any Row) -> ItemContent {
        let revision = row.integer(5)
        return ItemContent(
            uid: row.text(0), version: row.integer(1), encryptionKey: row.content(2, .itemKey, of: row.integer(10)),
            changed: Position(rawValue: row.integer(4)),
            revision: RevisionContent(
                id: revision, uid: row.text(6), meta: row.content(7, .meta, of: revision) ?? .bytes([]), isDeleted: row.flag(9)))
    }

    static let itemColumns = """
        item.uid, item.version, \(StoredBytes.Column.selected("item.\"encryptionKey\"")), changed.stoken,
               revision.id, revision.uid, \(StoredBytes.Column.selected("revision.meta")), revision.deleted, item.id
        """

    /// Which items are listed: what follows the columns in a statement, for the number of a collection that an expression gives.
    enum ItemSource {
        /// Those that changed after `$2`, the main one among them where `$3` is 1; `$4` at most.
        static func changes(of collection: String) -> String {
            """
            FROM   apus_item changed
            JOIN   django_etebase_collectionitem item ON item.id = changed.id
            JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id AND revision.current = TRUE
            WHERE  changed.collection_id = \(collection) AND changed.stoken > $2 AND changed.is_main <= $3
            ORDER  BY changed.stoken
            LIMIT  $4
            """
        }

        // As in the state for commands, `+ 0` keeps SQLite from beginning with all revisions that are current.

        /// The one of the uid `$2`.
        static func one(of collection: String) -> String {
            """
            FROM   django_etebase_collectionitem item
            JOIN   apus_item changed ON changed.id = item.id
            JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id + 0 AND revision.current = TRUE
            WHERE  item.uid = $2 AND item.collection_id + 0 = \(collection)
            """
        }

        /// Those of the uids `$2` that changed after `$4` and are not at the revisions `$3`.
        static func updates(of collection: String) -> String {
            """
            FROM   PAIRS [$2 text, $3 text] AS wanted
            THEN JOIN django_etebase_collectionitem item ON item.uid = wanted.first
            JOIN   apus_item changed ON changed.id = item.id
            JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id + 0 AND revision.current = TRUE
            WHERE  item.collection_id + 0 = \(collection) AND changed.stoken > $4
            AND    (wanted.second IS NULL OR revision.uid <> wanted.second)
            ORDER  BY changed.stoken
            """
        }
    }

    static let selectChanges = Statement("SELECT \(itemColumns) \(ItemSource.changes(of: "$1"))")
    static let selectItem = Statement("SELECT \(itemColumns) \(ItemSource.one(of: "$1"))")
    static let selectUpdates = Statement("SELECT \(itemColumns) \(ItemSource.updates(of: "$1"))")

    // Ids grow with positions, so they order the revisions of an item. The index on item_id holds the ids in order.
    static let selectRevisions = Statement(
        """
        SELECT id, uid, \(StoredBytes.Column.selected("meta")), deleted
        FROM   django_etebase_collectionitemrevision
        WHERE  item_id = $1 AND id < $2
        ORDER  BY id DESC
        LIMIT  $3
        """)

    private static let selectItemID = Statement(
        "SELECT id FROM django_etebase_collectionitem WHERE uid = $2 AND collection_id + 0 = $1")

    private static let selectRevisionID = Statement(
        "SELECT id FROM django_etebase_collectionitemrevision WHERE uid = $1 AND item_id = $2")
}

extension Page {
    init(_ elements: [Element], isDone: Bool) {
        self.elements = elements
        self.isDone = isDone
    }
}
