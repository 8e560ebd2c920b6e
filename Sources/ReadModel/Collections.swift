internal import Database
package import Domain

/// A collection as a member may use it.
package struct CollectionAccess: Sendable {
    let id: Int64
    package let uid: CollectionUID
    package let level: AccessLevel
    /// The newest revision in the collection.
    package let revisionStoken: Position
}

/// The types that a list of collections is asked for, in the form in which tables are asked for them: made where they come, and
/// not on a thread of a database.
package struct CollectionTypes: Sendable {
    /// How many may be asked for. People have a handful.
    package static let limit = 10_000
    /// Longer than any that there is: new ones have 2,000 bytes at most, and no client of old has made one that comes near.
    private static let longestBytes = 4 << 10

    fileprivate let digits: [String]

    /// - Parameter types: no more than ``limit``.
    package init(_ types: [[UInt8]]) {
        digits = types.filter { $0.count <= Self.longestBytes }.map(Self.hexadecimal)
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(2 * bytes.count)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

/// A collection as it is served to a member.
package struct CollectionContent: Sendable {
    /// Nil in old databases.
    package internal(set) var collectionType: Content?
    package internal(set) var collectionKey: Content?
    package let level: AccessLevel
    /// The collection's stoken, as it goes over the wire.
    package let stoken: String
    /// What the caller's list is paged by: the newest revision, or the caller's own membership if that is newer; and the stoken of that.
    package let changed: (at: Position, stoken: String)
    package internal(set) var item: ItemContent
}

extension Snapshot {
    /// The collection, for a member.
    ///
    /// - Throws: `Refusal.doesNotExist` for everybody else.
    package func access(to collection: CollectionUID, by user: UserID) throws -> CollectionAccess {
        try require([.collection(collection), .user(user)])
        let found = try connection.first(Self.selectAccess, [.text(collection.rawValue), .integer(user.rawValue)]) { row in
            CollectionAccess(
                id: row.integer(0), uid: collection, level: AccessLevel(rawValue: row.integer(1)) ?? .readOnly,
                revisionStoken: Position(rawValue: row.integer(2)))
        }
        guard let found else { throw Refusal.doesNotExist(.collection) }
        return found
    }

    /// One collection, for a member.
    ///
    /// - Throws: `Refusal.doesNotExist` for everybody else.
    package func collection(_ uid: CollectionUID, of user: UserID, _ prefetch: Prefetch) throws -> CollectionContent {
        let found = try connection.query(Self.selectCollection, [.integer(user.rawValue), .text(uid.rawValue)], collection)
        guard let collection = try filled(Page(found, isDone: true), prefetch).elements.first else {
            throw Refusal.doesNotExist(.collection)
        }
        return collection
    }

    /// The user's collections that changed after a position, oldest change first. The caller has seen to it that the snapshot
    /// has them (``requireCollections(of:)``).
    ///
    /// - Parameter types: only collections of these types, and those without one.
    package func collections(
        of user: UserID, types: CollectionTypes?, after position: Position, limit: Int, _ prefetch: Prefetch
    ) throws -> Page<CollectionContent> {
        var values: [Value] = [.integer(user.rawValue), .integer(position.rawValue), .integer(Int64(limit) + 1)]
        if let types { values.append(.texts(types.digits)) }
        let found = try connection.query(types == nil ? Self.selectCollections : Self.selectCollectionsOfTypes, values, collection)
        return try filled(Page(found, limit: limit), prefetch)
    }

    /// The collections that the user was removed from or left after a position, oldest first.
    ///
    /// - Parameter end: nothing after this position; nil for all.
    package func removals(of user: UserID, after position: Position, upTo end: Position?) throws -> [(uid: String, at: Position)] {
        try connection.query(
            Self.selectRemovals, [.integer(user.rawValue), .integer(position.rawValue), .integer(end?.rawValue ?? .max)]
        ) { row in (row.text(0), Position(rawValue: row.integer(1))) }
    }

    private func collection(_ row: any Row) throws -> CollectionContent {
        let changed = Position(rawValue: row.integer(17))
        guard let stoken = row.textOrNil(16), let changedStoken = row.textOrNil(18) else { throw Self.noStoken(at: changed) }
        return CollectionContent(
            collectionType: row.content(11, .collectionType, of: row.integerOrNil(19) ?? 0),
            collectionKey: row.content(13, .collectionKey, of: row.integer(20)),
            level: AccessLevel(rawValue: row.integer(15)) ?? .readOnly,
            stoken: stoken, changed: (changed, changedStoken), item: item(row))
    }

    static let selectAccess = selectAccess(user: "$2")

    static func selectAccess(user: String) -> Statement {
        Statement(
            """
            SELECT collection.id, member."accessLevel", state.revision_stoken
            FROM   django_etebase_collection collection
            JOIN   django_etebase_collectionmember member ON member.collection_id = collection.id AND member.user_id = \(user)
            JOIN   apus_collection state ON state.id = collection.id
            WHERE  collection.uid = $1
            """)
    }

    /// The newer of the newest revision and the caller's own membership.
    private static let change = """
        CASE WHEN state.revision_stoken >= COALESCE(member.stoken_id, 0) THEN state.revision_stoken ELSE member.stoken_id END
        """

    private static let content = """
        SELECT \(itemColumns), \(StoredBytes.Column.selected("type.uid")),
               \(StoredBytes.Column.selected("member.\"encryptionKey\"")), member."accessLevel",
               (SELECT named.uid FROM django_etebase_stoken named
                WHERE  named.id = CASE WHEN state.revision_stoken >= state.member_stoken THEN state.revision_stoken
                                       ELSE state.member_stoken END),
               \(change) AS change, (SELECT named.uid FROM django_etebase_stoken named WHERE named.id = \(change)), type.id, member.id
        FROM   django_etebase_collectionmember member
        JOIN   apus_collection state ON state.id = member.collection_id
        JOIN   django_etebase_collection collection ON collection.id = member.collection_id
        LEFT   JOIN django_etebase_collectiontype type ON type.id = member."collectionType_id"
        JOIN   django_etebase_collectionitem item ON item.id = collection.main_item_id
        JOIN   apus_item changed ON changed.id = item.id
        JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id AND revision.current = TRUE
        WHERE  member.user_id = $1
        """

    private static let page = "AND \(change) > $2 ORDER BY change LIMIT $3"

    private static let selectCollection = Statement(content + " AND collection.uid = $2")

    static let selectCollections = Statement(content + " " + page)

    private static let selectCollectionsOfTypes = Statement(
        """
        \(content)
        AND    (member."collectionType_id" IS NULL OR {sqlite: hex(type.uid)}{postgres: upper(encode(type.uid, 'hex'))} IN [$4 text])
        \(page)
        """)

    private static let selectRemovals = Statement(
        """
        SELECT collection.uid, removed.stoken_id
        FROM   django_etebase_collectionmemberremoved removed
        JOIN   django_etebase_collection collection ON collection.id = removed.collection_id
        WHERE  removed.user_id = $1 AND removed.stoken_id > $2 AND removed.stoken_id <= $3
        ORDER  BY removed.stoken_id
        """)
}
