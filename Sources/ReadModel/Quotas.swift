package import Database
package import Domain
internal import EventLog

/// The quotas: who has one of his own, and what there is room for.
package struct Quotas: Sendable {
    private let database: any Database

    package init(_ database: any Database) { self.database = database }

    /// Gives a user a quota of his own; nil for the one that holds for all.
    package func set(_ quota: Quota?, of user: UserID) async throws {
        try await database.write { connection in
            guard let quota else { return _ = try connection.execute(Self.delete, [.integer(user.rawValue)]) }
            try connection.execute(Self.upsert, [.integer(user.rawValue)] + quota.values)
        }
    }

    private static let delete = Statement("DELETE FROM apus_quota WHERE user_id = $1")
    private static let upsert = Statement(
        """
        INSERT INTO apus_quota (user_id, bytes, items, collections) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id) DO UPDATE SET bytes = excluded.bytes, items = excluded.items, collections = excluded.collections
        """)
}

/// What a user's collections hold, and how much they may.
package struct QuotaStanding: Sendable {
    package let used: Usage
    /// The user's own; nil where the one that holds for all does.
    package let quota: Quota?
}

extension Quota {
    /// From which part of a limit on its owner is near it, in percent.
    package static let nearPercent: Int64 = 90

    fileprivate var values: [Value] { Kind.allCases.map { .integer(orNull: self[$0]) } }

    /// The columns of `apus_quota`.
    init(_ row: any Row, from column: Int) {
        self.init(
            bytes: row.integerOrNil(column), items: row.integerOrNil(column + 1), collections: row.integerOrNil(column + 2))
    }
}

extension Snapshot {
    /// What the collections of each user hold who has any, or has a quota.
    ///
    /// - Returns: nil where it is not counted yet.
    package func quotaStandings() throws -> [UserID: QuotaStanding]? {
        try requireAll()
        guard try connection.first(Self.selectIsCounted, [], { $0.flag(0) }) == true else { return nil }
        let found = try connection.query(Self.selectStandings, []) { row in
            (
                UserID(rawValue: row.integer(0)),
                QuotaStanding(used: Usage(row, from: 1), quota: row.flag(4) ? Quota(row, from: 5) : nil)
            )
        }
        return Dictionary(found) { first, _ in first }
    }

    /// Which quota a user has of his own.
    package func quota(of user: UserID) throws -> Quota? {
        try connection.first(Self.selectQuota, [.integer(user.rawValue)]) { Quota($0, from: 0) }
    }

    /// The question which quota of his own the owner of a collection has, whether or not the collection is in the tables.
    ///
    /// - Parameter maker: who would own it.
    static func query(quotaOfOwnerOf collection: CollectionUID, or maker: UserID?, _ read: @escaping (Quota) -> Void) -> Query {
        Query(
            selectOfOwner,
            [.text(StreamID.collection(collection).name.rawValue), .integer(orNull: maker?.rawValue)]
        ) { read(Quota($0, from: 0)) }
    }

    /// What the owner of a collection has room for, as of the end of the log but for what happened in this collection; nil where it is
    /// not counted yet.
    ///
    /// - Throws: ``Behind`` where the tables do not tell.
    func allowance(_ quota: Quota, of owner: UserID, writing collection: CollectionUID) throws -> Allowance? {
        var used = Usage()
        var collections: Set<CollectionUID> = []
        var isCounted = false
        let ownTail = Tail(bounds)
        var queries = [
            Query(Self.selectOwnedUsage, [.integer(owner.rawValue)]) { row in
                collections.insert(CollectionUID(row.text(0)))
                used.collections += 1
                used.items += row.integer(1)
                used.bytes += row.integer(2)
            },
            Query(Self.selectIsCounted, []) { row in isCounted = row.flag(0) },
        ]
        if let query = try query(for: ownTail, of: .user(owner)) { queries.append(query) }
        try connection.run(queries)
        guard isCounted else { return nil }
        var allowance = Allowance(owner: owner, quota: quota, collections: collections, used: used)
        let others = collections.subtracting([collection]).map { (uid: $0, tail: Tail(bounds)) }
        try connection.run(others.compactMap { try query(for: $0.tail, of: .collection($0.uid)) })
        for record in try ownTail.whole() + others.flatMap({ try $0.tail.whole() }) {
            // What happened in this collection its own state takes in.
            guard record.stream != .collection(collection) || record.event.written == nil else { continue }
            allowance.evolve(record.event)
            guard !allowance.isOutdated else { throw Behind(position: record.position) }
        }
        return allowance
    }

    private static let selectQuota = Statement("SELECT bytes, items, collections FROM apus_quota WHERE user_id = $1")

    /// The key of a collection's claim is the name of its stream.
    static let selectOfOwner = Statement(
        """
        SELECT bytes, items, collections
        FROM   apus_quota
        WHERE  user_id = COALESCE((SELECT holder FROM apus_claim WHERE key = $1), $2{postgres: ::bigint})
        """)

    private static let selectOwnedUsage = Statement(
        """
        SELECT collection.uid, COALESCE(usage.items, 0), COALESCE(usage.bytes, 0)
        FROM   django_etebase_collection collection
        LEFT   JOIN apus_usage usage ON usage.id = collection.id
        WHERE  collection.owner_id = $1
        """)

    /// Whether all is counted up to where the tables are: there is a projector that does not count where not.
    static let isCounted = """
        SELECT counted.position = projection.position
        FROM   apus_counted counted
        JOIN   apus_projection projection ON projection.id = counted.id
        """

    private static let selectIsCounted = Statement(isCounted)

    private static let selectStandings = Statement(
        """
        SELECT account.id, COALESCE(used.bytes, 0), COALESCE(used.items, 0), COALESCE(used.collections, 0),
               quota.user_id IS NOT NULL, quota.bytes, quota.items, quota.collections
        FROM   myauth_user account
        LEFT   JOIN (\(QuotaStanding.used)) used ON used.owner_id = account.id
        LEFT   JOIN apus_quota quota ON quota.user_id = account.id
        WHERE  used.owner_id IS NOT NULL OR quota.user_id IS NOT NULL
        """)
}

extension QuotaStanding {
    /// What the collections of each owner hold.
    fileprivate static let used = """
        SELECT collection.owner_id, count(*) AS collections,
               COALESCE(sum(usage.items), 0){postgres: ::bigint} AS items, COALESCE(sum(usage.bytes), 0){postgres: ::bigint} AS bytes
        FROM   django_etebase_collection collection
        LEFT   JOIN apus_usage usage ON usage.id = collection.id
        GROUP  BY collection.owner_id
        """

    /// How many owners are near a limit of theirs, the one that holds for all being in three parameters: an expression.
    ///
    /// - Parameter first: the number of the first of the parameters.
    static func near(first: Int) -> String {
        let conditions = Quota.Kind.allCases.enumerated().map { index, kind in
            let (column, parameter) = (kind.rawValue, "$\(first + index){postgres: ::bigint}")
            let limit = "CASE WHEN quota.user_id IS NULL THEN \(parameter) ELSE quota.\(column) END"
            return "used.\(column) * 100 >= \(limit) * \(Quota.nearPercent)"
        }
        return """
            (SELECT count(*)
             FROM   (\(used)) used
             LEFT   JOIN apus_quota quota ON quota.user_id = used.owner_id
             WHERE  \(conditions.joined(separator: " OR ")))
            """
    }

    /// How many of those who have limits of their own are near one: only they, and what they own, are looked at.
    static let nearOwn: String = {
        let owned = "FROM django_etebase_collection collection"
        let sums = Quota.Kind.allCases.map { kind in
            kind == .collections
                ? "(SELECT count(*) \(owned) WHERE collection.owner_id = quota.user_id)"
                : """
                (SELECT COALESCE(sum(usage.\(kind.rawValue)), 0) \(owned) JOIN apus_usage usage ON usage.id = collection.id
                 WHERE collection.owner_id = quota.user_id)
                """
        }
        let conditions = zip(Quota.Kind.allCases, sums).map { "\($1) * 100 >= quota.\($0.rawValue) * \(Quota.nearPercent)" }
        return "(SELECT count(*) FROM apus_quota quota WHERE \(conditions.joined(separator: " OR ")))"
    }()

    /// The values of the parameters.
    static func values(_ quota: Quota) -> [Value] { quota.values }
}

extension Usage {
    /// Columns as ``Quota/Kind`` has them.
    init(_ row: any Row, from column: Int) {
        self.init(bytes: row.integer(column), items: row.integer(column + 1), collections: row.integer(column + 2))
    }
}
