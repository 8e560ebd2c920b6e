internal import Database
internal import Domain
internal import EventLog

/// The rows that a run of events of content names: looked up for all of them at once, in one round trip with what else is asked.
final class NamedRows {
    private(set) var collections: [CollectionUID: Batch.Collection] = [:]
    private(set) var revisions: [RevisionUID: Int64] = [:]
    private(set) var items: [(collection: CollectionUID, uid: ItemUID, id: Int64)] = []
    private(set) var chunks: [(collection: CollectionUID, uid: ChunkUID, id: Int64)] = []
    private let names: ContentNames

    /// Nothing is looked up yet. Nil where so much is named that finding out what takes its time.
    init?(_ run: [ContentEntry]) {
        guard let names = ContentNames(of: run) else { return nil }
        self.names = names
    }

    /// Looks all of it up. The session shows that it lives while what is named is found out.
    init(_ run: [ContentEntry], in connection: any Connection) throws {
        names = try ContentNames(of: run) { try connection.run([]) }
        let queries = queries
        if !queries.isEmpty { try connection.run(queries) }
    }

    /// What looks it up. What is not there is missing in the answers.
    var queries: [Query] {
        var queries: [Query] = []
        if !names.collections.isEmpty {
            queries.append(Batch.query(collections: names.collections) { self.collections[$0.uid] = $0 })
        }
        if !names.revisions.isEmpty {
            queries.append(
                Query(Self.selectRevisions, [.texts(names.revisions.map(\.rawValue))]) { row in
                    self.revisions[RevisionUID(row.text(0))] = row.integer(1)
                })
        }
        add(names.items, Self.selectItems, &queries) { self.items.append(($0, ItemUID($1), $2)) }
        add(names.chunks, Self.selectChunks, &queries) { self.chunks.append(($0, ChunkUID($1), $2)) }
        return queries
    }

    private func add<UID: Identifier>(
        _ names: [CollectionUID: Set<UID>], _ statement: Statement, _ queries: inout [Query],
        _ read: @escaping (CollectionUID, String, Int64) -> Void
    ) {
        let wanted = names.flatMap { collection, uids in uids.map { (collection.rawValue, $0.rawValue) } }
        guard !wanted.isEmpty else { return }
        queries.append(
            Query(statement, [.texts(wanted.map(\.0)), .texts(wanted.map(\.1))]) { row in
                read(CollectionUID(row.text(0)), row.text(1), row.integer(2))
            })
    }

    private static let selectRevisions = Statement(
        "SELECT uid, id FROM django_etebase_collectionitemrevision WHERE uid IN [$1 text]")
    private static let selectItems = select(from: "django_etebase_collectionitem")
    private static let selectChunks = select(from: "django_etebase_collectionitemchunk")

    /// Collections and uids come as two lists of the same length.
    private static func select(from table: String) -> Statement {
        Statement(
            """
            SELECT collection.uid, found.uid, found.id
            FROM   PAIRS [$1 text, $2 text] AS wanted
            THEN JOIN django_etebase_collection collection ON collection.uid = wanted.first
            THEN JOIN \(table) found ON found.uid = wanted.second AND found.collection_id + 0 = collection.id
            """)
    }
}
