internal import Database
package import Domain
internal import EventLog

/// A number that was counted up to a limit only: whoever shows it looks at no more rows than that.
package struct Counted: Hashable, Sendable {
    /// What is counted at most.
    package static let limit = 1000

    package let count: Int
    /// Whether there are more.
    package var isMore: Bool { count > Self.limit }

    init(_ count: Int64) { self.count = Int(count) }

    /// How many rows something has, at most one more than ``limit``.
    static func selected(_ rows: String) -> String { "(SELECT count(*) FROM (SELECT 1 FROM \(rows) LIMIT \(limit + 1)) AS counted)" }
}

/// A collection, by what a server can tell of it.
package struct CollectionOverview: Sendable {
    package let uid: CollectionUID
    /// The owner's name.
    package let owner: String
    /// The level of whoever asks; nil where the operator does.
    package let level: AccessLevel?
    package let items: Counted
    package let members: Counted
    package let isDeleted: Bool
    /// When something in it changed last; nil where it was adopted and has not changed since.
    package let changedAt: Timestamp?
    /// What the next page begins after.
    package let place: Int64
}

/// An item that is deleted.
package struct DeletionOverview: Sendable {
    package let uid: ItemUID
    /// When; nil where it was adopted so.
    package let deletedAt: Timestamp?
}

/// An account, for whoever looks after the server.
package struct AccountOverview: Sendable {
    package let user: UserID
    package let username: String
    package let email: String
    package let isActive: Bool
    /// Whether a client has given it keys.
    package let isInitialized: Bool
    /// UTC, as a text; nil for never.
    package let lastLogin: String?
    package let sessions: Counted
    /// Those that the user is a member of.
    package let collections: Counted
    /// What the user's own collections hold, of which not more are looked at than ``Counted/limit`` and one; nil where it is not counted
    /// yet.
    package let used: Usage?
    /// The user's own; nil where the one that holds for all does.
    package let quota: Quota?

    package var isErased: Bool { Username.isErased(username) }
}

// What pages show: lists have limits, and nothing is looked at but what they show.
extension Snapshot {
    /// How many of a collection's items are looked at for those that are deleted: those that changed last.
    private static let itemsLookedAt: Int64 = 5000

    /// A user's collections, the deleted ones too, in the order in which the user came to them.
    package func overview(of user: UserID, after place: Int64 = 0, limit: Int) throws -> Page<CollectionOverview> {
        try requireCollections(of: user)
        let found = try connection.query(
            Self.selectOwn, [.integer(user.rawValue), .integer(place), .integer(Int64(limit) + 1)], Self.collection)
        return Page(found, limit: limit)
    }

    /// A collection of a user.
    ///
    /// - Throws: `Refusal.doesNotExist` for who is no member.
    package func overview(of collection: CollectionUID, for user: UserID) throws -> CollectionOverview {
        try require([.collection(collection), .user(user)])
        let values: [Value] = [.integer(user.rawValue), .text(collection.rawValue)]
        guard let found = try connection.first(Self.selectOwnOne, values, Self.collection) else {
            throw Refusal.doesNotExist(.collection)
        }
        return found
    }

    /// All collections, for the operator.
    package func collectionOverviews(after place: Int64 = 0, limit: Int) throws -> Page<CollectionOverview> {
        try requireAll()
        return Page(try connection.query(Self.selectAll, [.integer(place), .integer(Int64(limit) + 1)], Self.collection), limit: limit)
    }

    /// A collection, for the operator; nil where there is none.
    package func overview(of collection: CollectionUID) throws -> CollectionOverview? {
        try require([.collection(collection)])
        return try connection.first(Self.selectAnyOne, [.text(collection.rawValue)], Self.collection)
    }

    /// The items that are deleted among those of a collection that changed last, newest change first.
    package func deletedItems(of collection: CollectionUID, limit: Int) throws -> [DeletionOverview] {
        try require([.collection(collection)])
        let values: [Value] = [.text(collection.rawValue), .integer(Self.itemsLookedAt), .integer(Int64(limit))]
        return try connection.query(Self.selectDeleted, values) { row in
            DeletionOverview(uid: ItemUID(row.text(0)), deletedAt: row.integerOrNil(1).map { Timestamp(rawValue: $0) })
        }
    }

    /// What has touched an account and the collections that the user is in, newest first: what the user did, what was done to the
    /// account, and what others did where the user is an admin, who may know.
    ///
    /// - Parameters:
    ///   - end: only what was before this position.
    ///   - limit: how many events are looked at.
    ///   - withOthers: whether also what others did, where the user is an admin.
    /// - Returns: the entries, and what the next are before; nil where there are no more.
    package func activity(of user: UserID, before end: Position, limit: Int, withOthers: Bool = true) throws -> (
        entries: [AuditEntry], next: Position?
    ) {
        try require([.user(user)])
        let collections = try overview(of: user, limit: Self.collectionsLookedAt).elements
        let streams = [StreamID.user(user)] + collections.map { .collection($0.uid) }
        let positions = try EventLog.newest(touching: streams, before: end, limit: limit, connection)
        let administered = Set(collections.filter { withOthers && $0.level == .admin }.map(\.uid))
        let entries = try audit(at: positions).reversed().filter { entry in
            entry.user == user || entry.subject == user || entry.collection.map { administered.contains($0) } == true
        }
        return (entries, positions.count == limit ? positions.last : nil)
    }

    /// Of how many collections an account's activity tells.
    private static let collectionsLookedAt = 200

    /// What has happened, newest first: in a collection, or at all.
    ///
    /// - Returns: the entries, and what the next are before; nil where there are no more.
    package func newest(of stream: StreamID?, before end: Position, limit: Int) throws -> (entries: [AuditEntry], next: Position?) {
        let positions: [Position]
        if let stream {
            positions = try EventLog.newest(touching: [stream], before: end, limit: limit, connection)
        } else {
            let last = min(try logHead().position.rawValue, end.rawValue - 1)
            positions = last > 0 ? (max(1, last - Int64(limit) + 1)...last).reversed().map { Position(rawValue: $0) } : []
        }
        return (try audit(at: positions).reversed(), positions.count == limit ? positions.last : nil)
    }

    /// Accounts in the order of their names, for the operator.
    ///
    /// - Parameters:
    ///   - start: what their names begin with.
    ///   - name: those after this one.
    package func accounts(startingWith start: String, after name: String, limit: Int) throws -> Page<AccountOverview> {
        try requireAll()
        let values: [Value] = [.text(start), .text(start + "\u{10FFFF}"), .text(name), .integer(Int64(limit) + 1)]
        return Page(try connection.query(Self.selectAccounts, values, Self.account), limit: limit)
    }

    /// An account, for the operator; nil where there is none.
    package func accountOverview(_ user: UserID) throws -> AccountOverview? {
        try require([.user(user)])
        return try connection.first(Self.selectAccountOverview, [.integer(user.rawValue)], Self.account)
    }

    private static func collection(_ row: any Row) -> CollectionOverview {
        CollectionOverview(
            uid: CollectionUID(row.text(0)), owner: row.text(1), level: row.integerOrNil(2).map { AccessLevel(rawValue: $0) ?? .readOnly },
            items: Counted(row.integer(3)), members: Counted(row.integer(4)), isDeleted: row.flag(5),
            changedAt: row.integerOrNil(6).map { Timestamp(rawValue: $0) }, place: row.integer(7))
    }

    private static func account(_ row: any Row) -> AccountOverview {
        AccountOverview(
            user: UserID(rawValue: row.integer(0)), username: row.text(1), email: row.text(2), isActive: row.flag(3),
            isInitialized: row.flag(4), lastLogin: row.textOrNil(5), sessions: Counted(row.integer(6)),
            collections: Counted(row.integer(7)), used: row.flag(8) ? Usage(row, from: 9) : nil,
            quota: row.flag(12) ? Quota(row, from: 13) : nil)
    }
}

extension Position {
    /// After all that there is.
    package static let last = Position(rawValue: .max)
}

extension Snapshot {
    /// A collection's revision is found by its item: without the sum SQLite may begin with all that are current.
    private static func selectCollections(level: String, place: String, from: String) -> String {
        """
        SELECT collection.uid, owner.username, \(level),
               \(Counted.selected("apus_item item WHERE item.collection_id = collection.id AND item.is_main = 0")),
               \(Counted.selected("django_etebase_collectionmember other WHERE other.collection_id = collection.id")),
               revision.deleted, event.occurred_at, \(place)
        FROM   \(from)
        JOIN   myauth_user owner ON owner.id = collection.owner_id
        JOIN   apus_collection state ON state.id = collection.id
        JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = collection.main_item_id + 0 AND revision.current = TRUE
        LEFT   JOIN apus_event event ON event.position = state.revision_stoken
        """
    }

    private static let ofMember = selectCollections(
        level: "member.\"accessLevel\"", place: "member.id",
        from: """
            django_etebase_collectionmember member
            JOIN   django_etebase_collection collection ON collection.id = member.collection_id
            """)

    private static let ofOperator = selectCollections(
        level: "{sqlite: NULL}{postgres: NULL::bigint}", place: "collection.id", from: "django_etebase_collection collection")

    static let selectOwn = Statement(ofMember + " WHERE member.user_id = $1 AND member.id > $2 ORDER BY member.id LIMIT $3")
    static let selectOwnOne = Statement(ofMember + " WHERE member.user_id = $1 AND collection.uid = $2")
    static let selectAll = Statement(ofOperator + " WHERE collection.id > $1 ORDER BY collection.id LIMIT $2")
    static let selectAnyOne = Statement(ofOperator + " WHERE collection.uid = $1")

    static let selectDeleted = Statement(
        """
        SELECT item.uid, event.occurred_at
        FROM   (SELECT changed.id, changed.stoken
                FROM   django_etebase_collection collection
                JOIN   apus_item changed ON changed.collection_id = collection.id
                WHERE  collection.uid = $1 AND changed.is_main = 0
                ORDER  BY changed.stoken DESC
                LIMIT  $2) recent
        JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = recent.id AND revision.current = TRUE
        JOIN   django_etebase_collectionitem item ON item.id = recent.id
        LEFT   JOIN apus_event event ON event.position = recent.stoken
        WHERE  revision.deleted = TRUE
        ORDER  BY recent.stoken DESC
        LIMIT  $3
        """)

    /// Of the user's own collections.
    private static func sum(_ column: String) -> String {
        """
        (SELECT COALESCE(sum(usage.\(column)), 0){postgres: ::bigint}
         FROM   (SELECT id FROM django_etebase_collection WHERE owner_id = account.id LIMIT \(Counted.limit + 1)) own
         JOIN   apus_usage usage ON usage.id = own.id)
        """
    }

    private static let accountColumns = """
        SELECT account.id, account.username, account.email, account.is_active,
               EXISTS (SELECT 1 FROM django_etebase_userinfo info WHERE info.owner_id = account.id),
               {sqlite: account.last_login}{postgres: to_char(account.last_login AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')},
               \(Counted.selected("token_auth_authtoken token WHERE token.user_id = account.id")),
               \(Counted.selected("django_etebase_collectionmember member WHERE member.user_id = account.id")),
               COALESCE((\(isCounted)), FALSE), \(sum("bytes")), \(sum("items")),
               \(Counted.selected("django_etebase_collection own WHERE own.owner_id = account.id")),
               quota.user_id IS NOT NULL, quota.bytes, quota.items, quota.collections
        FROM   myauth_user account
        LEFT   JOIN apus_quota quota ON quota.user_id = account.id
        """

    /// PostgreSQL has an index for texts by their bytes, which is asked for by these signs.
    static let selectAccounts = Statement(
        """
        \(accountColumns)
        WHERE  account.username {sqlite: >=}{postgres: ~>=~} $1 AND account.username {sqlite: <}{postgres: ~<~} $2
        AND    account.username {sqlite: >}{postgres: ~>~} $3
        ORDER  BY account.username {postgres: USING ~<~}
        LIMIT  $4
        """)

    static let selectAccountOverview = Statement(accountColumns + " WHERE account.id = $1")
}
