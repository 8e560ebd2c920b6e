public import Chunks
public import Database
public import Domain
internal import EventLog

/// Contents of chunks that no event names any more: of collections that are gone for good, and files of appends that failed.
///
/// What an event names is never waste, whether or not a revision does: a client may store a chunk long before the revision that
/// needs it, and the history keeps every revision. What events name is read from the tables that follow from them, so whoever
/// calls this has verified those; and they must be where the log ends.
///
/// A content in the table comes with its event, in one transaction. A file comes before its event: it is looked at only when it
/// has not been touched for a while, and a writer touches what it is about to name (``ChunkStore/remove(_:before:)``).
public struct Waste: Sendable {
    /// What there is to remove, or was removed.
    public struct Report: Sendable {
        /// Contents in the table, as `collection/chunk`.
        public var rows: [String] = []
        /// Files, relative to the folder of all chunks.
        public var files: [String] = []
        /// The length of all of them.
        public var bytes = 0
    }

    /// How many files are asked about at once.
    private static let pageFiles = 500

    private let database: any Database
    private let chunks: ChunkStore

    public init(database: any Database, chunks: ChunkStore) {
        self.database = database
        self.chunks = chunks
    }

    /// Finds what is waste.
    ///
    /// - Parameters:
    ///   - time: files that were touched since are left alone.
    ///   - removes: false to change nothing.
    /// - Throws: `DatabaseFault`, also when the tables are behind the log: then nothing is removed.
    public func run(before time: Timestamp, removes: Bool) async throws -> Report {
        var report = Report()
        let rows = try await database.read { connection in
            try Self.requireEnd(connection)
            return try connection.query(Self.selectRows, []) { (collection: $0.text(0), uid: $0.text(1), bytes: $0.integer(2)) }
        }
        for row in rows {
            // Nothing can come to name it meanwhile: the uid of a collection that is gone is never used again.
            if removes {
                try await database.write { connection in
                    _ = try connection.execute(Self.deleteRow, [.text(row.collection), .text(row.uid)])
                }
            }
            report.rows.append("\(row.collection)/\(row.uid)")
            report.bytes += Int(row.bytes)
        }
        var rest = try chunks.files(before: time)[...]
        while !rest.isEmpty {
            let page = Array(rest.prefix(Self.pageFiles))
            rest = rest.dropFirst(page.count)
            let named = try await database.read { connection in
                try Self.requireEnd(connection)
                return Set(try connection.query(Self.selectNamed, [.texts(page.map(\.path))]) { $0.text(0) })
            }
            for file in page where file.isUnfinished || !named.contains(file.path) {
                if removes { guard try chunks.remove(file.path, before: time) else { continue } }
                report.files.append(file.path)
                report.bytes += file.bytes
            }
        }
        return report
    }

    private static func requireEnd(_ connection: any Connection) throws {
        let lag = try connection.first(selectLag, []) { $0.integer(0) }
        guard lag == 0 else { throw DatabaseFault(.unavailable, "the tables are behind the log: try again when a projector has caught up") }
    }

    private static let selectLag = Statement(
        "SELECT log.position - projection.position FROM apus_log log, apus_projection projection")

    private static let selectRows = Statement(
        """
        SELECT stored.collection, stored.uid, length(stored.content)
        FROM   apus_chunk stored
        WHERE  NOT EXISTS (
                   SELECT 1
                   FROM   django_etebase_collection collection
                   JOIN   django_etebase_collectionitemchunk chunk ON chunk.collection_id = collection.id
                   WHERE  collection.uid = stored.collection AND chunk.uid = stored.uid)
        ORDER  BY stored.collection, stored.uid
        """)

    private static let deleteRow = Statement("DELETE FROM apus_chunk WHERE collection = $1 AND uid = $2")

    private static let selectNamed = Statement(
        list: #"SELECT "chunkFile" FROM django_etebase_collectionitemchunk WHERE "chunkFile" IN [$1 text]"#)
}
