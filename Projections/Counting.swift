package import Database
package import Domain
internal import EventLog

/// Keeps account of what collections hold: `apus_usage`, for which the sizes of chunks are kept too.
///
/// It is counted along with the rows, in their transaction. `apus_counted` says up to where: where somebody has projected who does not
/// count, as a program from before does, the sizes that are missing are taken from the log, page by page, and then all is summed up
/// again. Both come to the same, for both follow from what the log says now.
package enum Counting {
    /// How much of the log is gone through at once.
    private static let pageEvents = 1000
    private static let pageBytes = 8 << 20

    /// What a collection came to hold.
    struct Growth {
        var items: Int64 = 0
        var bytes: Int64 = 0
    }

    // MARK: Along with the rows

    static func add(_ growth: [Int64: Growth], _ connection: any Connection) throws {
        let rows = growth.sorted { $0.key < $1.key }.map { id, growth -> [Value] in
            [.integer(id), .integer(growth.items), .integer(growth.bytes)]
        }
        try connection.enqueue(addUsage, rows: rows)
    }

    /// Notes sizes of chunks: each row is an id and a number of bytes.
    static func add(sizes rows: [[Value]], _ connection: any Connection) throws { try connection.enqueue(upsertSizes, rows: rows) }

    /// Notes that all is counted up to where the rows are now, if it was up to where they were.
    static func move(from start: Position, to end: Position, _ connection: any Connection) throws {
        try connection.enqueue(moveOn, [.integer(start.rawValue), .integer(end.rawValue)])
    }

    /// Takes off what goes with revisions and chunks that are not kept, before their rows go.
    static func remove(revisions: Value, chunks: Value, of collection: Int64, _ connection: any Connection) throws {
        try connection.enqueue(takeOff, [.integer(collection), revisions, chunks])
        try connection.enqueue(deleteSizesOfChunks, [.integer(collection), chunks])
    }

    /// What goes with a collection, `$1`, before the rows of its chunks.
    static let removeCollection = [
        "DELETE FROM apus_usage WHERE id = $1",
        "DELETE FROM apus_chunk_size WHERE id IN (SELECT id FROM django_etebase_collectionitemchunk WHERE collection_id = $1)",
    ].map { Statement($0) }

    static func delete(sizes ids: [Int64], _ connection: any Connection) throws { try connection.enqueue(deleteSizes, [.integers(ids)]) }
    static func delete(usage ids: [Int64], _ connection: any Connection) throws { try connection.enqueue(deleteUsage, [.integers(ids)]) }

    /// Sums up anew what some collections hold, whose sizes of chunks are there.
    static func sum(_ collections: Set<CollectionUID>, _ connection: any Connection) throws {
        try connection.enqueue(sumSome, [.texts(collections.map(\.rawValue))])
    }

    // MARK: From the log

    /// Whether all is counted up to where the rows are.
    package static func isDone(_ connection: any Connection) throws -> Bool {
        try connection.first(selectIsDone, []) { $0.flag(0) } ?? false
    }

    /// Notes that all is counted up to a position.
    package static func note(_ position: Position, _ connection: any Connection) throws {
        try connection.execute(setPosition, [.integer(position.rawValue)])
    }

    /// Forgets what was counted.
    static func forget(_ connection: any Connection) throws { try note(.none, connection) }

    /// Counts on, in the caller's transaction, in which nobody else projects, with the log beside the rows.
    ///
    /// - Returns: whether there is more.
    package static func goOn(_ connection: any Connection) throws -> Bool {
        // Tables that do not say how far they are wait for a rebuild, which counts all.
        guard let end = try Checkpoint(connection)?.position else { return false }
        let found = try connection.first(selectPosition, []) { Position(rawValue: $0.integer(0)) }
        guard found != end else { return false }
        // What is counted further than the rows are was counted of others.
        let start = found.flatMap { $0 < end ? $0 : nil } ?? .none
        let page = try EventLog.batch(after: start, limit: pageEvents, bytes: pageBytes, connection).events.prefix { $0.position <= end }
        try noteSizes(of: page, connection)
        if let last = page.last?.position, last < end {
            try note(last, connection)
            return true
        }
        try connection.execute(deleteLostSizes, [])
        try connection.execute(deleteAllUsage, [])
        try connection.execute(sumAll, [])
        try note(end, connection)
        return false
    }

    /// Counts all that is not counted, as ``goOn(_:)`` does.
    package static func finish(_ connection: any Connection) throws { while try goOn(connection) {} }

    /// Notes the sizes of those chunks that are there; the last word on each counts.
    private static func noteSizes(of events: some Sequence<RecordedEvent>, _ connection: any Connection) throws {
        var byUID: [CollectionUID: [ChunkUID: Int64]] = [:]
        var byID: [Int64: Int64] = [:]
        for record in events {
            if case .adopted(let adopted) = record.event.content {
                for record in adopted.records { if let chunk = record.storedChunk { byID[record.id] = Int64(chunk.bytes) } }
            } else if case .collection(let uid) = record.stream {
                for chunk in record.event.storedChunks { byUID[uid, default: [:]][chunk.uid] = Int64(chunk.bytes) }
            }
        }
        if !byID.isEmpty { try connection.enqueue(noteByID, [.integers(Array(byID.keys)), .integers(Array(byID.values))]) }
        for (collection, sizes) in byUID {
            try connection.enqueue(
                noteByUID, [.texts(sizes.keys.map(\.rawValue)), .integers(Array(sizes.values)), .text(collection.rawValue)])
        }
    }
}

extension Counting {
    private static let addUsage = SetStatement(
        insertInto: "apus_usage", ["id": .number, "items": .number, "bytes": .number],
        onConflict: """
            ON CONFLICT (id) DO UPDATE SET items = apus_usage.items + excluded.items, bytes = apus_usage.bytes + excluded.bytes
            """)
    private static let upsertSizes = SetStatement(
        insertInto: "apus_chunk_size", ["id": .number, "bytes": .number],
        onConflict: "ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes")
    private static let moveOn = Statement("UPDATE apus_counted SET position = $2 WHERE id = 1 AND position = $1")
    private static let takeOff = Statement(
        """
        UPDATE apus_usage
        SET    bytes = bytes
                       - COALESCE((SELECT sum(length(revision.meta))
                                   FROM   django_etebase_collectionitemrevision revision
                                   WHERE  revision.uid IN [$2 text]), 0)
                       - COALESCE((SELECT sum(size.bytes)
                                   FROM   django_etebase_collectionitemchunk chunk
                                   JOIN   apus_chunk_size size ON size.id = chunk.id
                                   WHERE  chunk.uid IN [$3 text] AND chunk.collection_id + 0 = $1), 0)
        WHERE  id = $1
        """)
    private static let deleteSizesOfChunks = Statement(
        """
        DELETE FROM apus_chunk_size
        WHERE  id IN (SELECT id FROM django_etebase_collectionitemchunk WHERE uid IN [$2 text] AND collection_id + 0 = $1)
        """)
    private static let deleteSizes = Statement("DELETE FROM apus_chunk_size WHERE id IN [$1 bigint]")
    private static let deleteUsage = Statement("DELETE FROM apus_usage WHERE id IN [$1 bigint]")

    private static let selectIsDone = Statement(
        """
        SELECT EXISTS (SELECT 1
                       FROM   apus_counted counted
                       JOIN   apus_projection projection ON projection.id = counted.id AND projection.position = counted.position)
        """)
    static let selectPosition = Statement("SELECT position FROM apus_counted")
    private static let setPosition = Statement(
        "INSERT INTO apus_counted (id, position) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET position = excluded.position")

    private static let noteSizes = "ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes"
    private static let noteByID = Statement(
        """
        INSERT INTO apus_chunk_size (id, bytes)
        SELECT chunk.id, wanted.second
        FROM   PAIRS [$1 bigint, $2 bigint] AS wanted
        THEN JOIN django_etebase_collectionitemchunk chunk ON chunk.id = wanted.first
        WHERE  TRUE
        \(noteSizes)
        """)
    private static let noteByUID = Statement(
        """
        INSERT INTO apus_chunk_size (id, bytes)
        SELECT chunk.id, wanted.second
        FROM   PAIRS [$1 text, $2 bigint] AS wanted
        THEN JOIN django_etebase_collectionitemchunk chunk ON chunk.uid = wanted.first
        WHERE  chunk.collection_id + 0 = (SELECT id FROM django_etebase_collection WHERE uid = $3)
        \(noteSizes)
        """)
    private static let deleteLostSizes = Statement(
        """
        DELETE FROM apus_chunk_size
        WHERE  NOT EXISTS (SELECT 1 FROM django_etebase_collectionitemchunk chunk WHERE chunk.id = apus_chunk_size.id)
        """)
    private static let deleteAllUsage = Statement("DELETE FROM apus_usage")

    private static let sums = """
        INSERT INTO apus_usage (id, items, bytes)
        SELECT collection.id,
               (SELECT count(*) FROM apus_item item WHERE item.collection_id = collection.id AND item.is_main = 0),
               COALESCE((SELECT sum(length(revision.meta))
                         FROM   apus_item item
                         JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id
                         WHERE  item.collection_id = collection.id), 0)
               + COALESCE((SELECT sum(size.bytes)
                           FROM   django_etebase_collectionitemchunk chunk
                           JOIN   apus_chunk_size size ON size.id = chunk.id
                           WHERE  chunk.collection_id = collection.id), 0)
        FROM   django_etebase_collection collection
        """
    private static let sumAll = Statement(sums)
    private static let sumSome = Statement(
        """
        \(sums)
        WHERE  collection.uid IN [$1 text]
        ON CONFLICT (id) DO UPDATE SET items = excluded.items, bytes = excluded.bytes
        """)
}
