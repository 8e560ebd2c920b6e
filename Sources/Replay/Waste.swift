public import Chunks
public import Database
public import Domain
internal import EventLog

/// Contents of chunks that no event names any more: of collections that are gone for good, and files of appends that failed.
///
/// What an event names is never waste, whether or not a revision does: a client may store a chunk long before the revision that
/// needs it, and the history keeps every revision. What events name is read from the tables that follow from them, so whoever
/// calls this has verified those; and what was in the log when contents were looked for must be in them.
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
    private let caughtUp: @Sendable (Position) async throws -> Void

    /// - Parameter caughtUp: returns when the tables are as far as a position.
    public init(database: any Database, chunks: ChunkStore, caughtUp: @escaping @Sendable (Position) async throws -> Void) {
        self.database = database
        self.chunks = chunks
        self.caughtUp = caughtUp
    }

    /// Finds what is waste.
    ///
    /// - Parameters:
    ///   - time: files that were touched since are left alone.
    ///   - removes: false to change nothing.
    /// - Throws: `DatabaseFault`, or what the wait for the tables throws; then nothing was removed.
    public func run(before time: Timestamp, removes: Bool) async throws -> Report {
        var report = Report()
        // What an event names that is not in the tables yet looks like waste.
        let files = try chunks.files(before: time)
        let (suspects, head) = try await database.read { connection in (try Self.rows(connection), try EventLog.head(connection)) }
        try await caughtUp(head.position)
        let rows = try await database.read(Self.rows).intersection(suspects)
        for row in rows.sorted(by: { ($0.collection, $0.uid) < ($1.collection, $1.uid) }) {
            // Nothing can come to name it meanwhile: the uid of a collection that is gone is never used again.
            if removes {
                try await database.write { connection in
                    _ = try connection.execute(Self.deleteRow, [.text(row.collection.rawValue), .text(row.uid.rawValue)])
                }
            }
            report.rows.append("\(row.collection)/\(row.uid)")
            report.bytes += Int(row.bytes)
        }
        try await sweep(files, before: time, removes: removes, &report)
        return report
    }

    /// Removes the files of collections that were erased, however new they are: an erasure removes them once it is in the log, and may
    /// have been interrupted before it had.
    ///
    /// - Throws: as ``run(before:removes:)`` does, and where a file cannot be removed, once the others are.
    public func finishErasures() async throws -> Report {
        let head = try await database.read { try EventLog.head($0) }
        try await caughtUp(head.position)
        let erased = try await database.read { connection in
            let positions = try connection.query(Self.selectErasures, [.text(EventType.userErased.rawValue), .text(Erasure.mark + "%")]) {
                Position(rawValue: $0.integer(0))
            }
            return try EventLog.history(at: positions, connection).flatMap { record -> [CollectionUID] in
                if case .userErased(let event) = record.event { event.collections } else { [] }
            }
        }
        var report = Report()
        try await sweep(try chunks.files(of: Set(erased)), before: .always.upperBound, removes: true, &report)
        return report
    }

    /// Removes those of some files that no row names.
    private func sweep(
        _ files: [(path: String, bytes: Int)], before time: Timestamp, removes: Bool, _ report: inout Report
    ) async throws {
        guard !files.isEmpty else { return }
        let oddly = Set(
            try await database.read { connection in try connection.query(Self.selectOdd, []) { $0.text(0) } }.compactMap(Self.place))
        var fault: (any Error)?
        var rest = files[...]
        while !rest.isEmpty {
            let page = Array(rest.prefix(Self.pageFiles))
            rest = rest.dropFirst(page.count)
            let named = try await database.read { connection in
                Set(try connection.query(Self.selectNamed, [.texts(page.map(\.path))]) { ExactText($0.text(0)) })
            }
            for file in page where !named.contains(ExactText(file.path)) && !oddly.contains(ExactText(file.path)) {
                if removes {
                    do { guard try chunks.remove(file.path, before: time) else { continue } } catch {
                        // One that cannot be removed keeps no other.
                        fault = fault ?? error
                        continue
                    }
                }
                report.files.append(file.path)
                report.bytes += file.bytes
            }
        }
        if let fault { throw fault }
    }

    /// A content in the table that the other tables do not name.
    private struct StoredContent: Hashable {
        let collection: CollectionUID
        let uid: ChunkUID
        let bytes: Int64
    }

    /// The file that a row names which is not written as paths of files are found: with blank steps, or with such as lead up.
    private static func place(_ row: String) -> ExactText? {
        var names: [String] = []
        for name in row.parts(separatedBy: "/") where !["", "."].contains(name) {
            if name == ".." { _ = names.popLast() } else { names.append(name) }
        }
        return names.isEmpty ? nil : ExactText(names.joined(separator: "/"))
    }

    private static func rows(_ connection: any Connection) throws -> Set<StoredContent> {
        Set(
            try connection.query(selectRows, []) {
                StoredContent(collection: CollectionUID($0.text(0)), uid: ChunkUID($0.text(1)), bytes: $0.integer(2))
            })
    }

    private static let selectRows = Statement(
        "SELECT collection, uid, length(content) FROM apus_chunk WHERE \(ChunkTable.isUnnamed)")

    private static let deleteRow = Statement("DELETE FROM apus_chunk WHERE collection = $1 AND uid = $2")

    private static let selectErasures = Statement(
        """
        SELECT event.position
        FROM   myauth_user account
        JOIN   apus_stream_event touched ON touched.stream = 'user/' || account.id
        JOIN   apus_event event ON event.position = touched.position AND event.type = $1
        WHERE  account.username LIKE $2
        ORDER  BY event.position
        """)

    private static let selectOdd = Statement(
        """
        SELECT "chunkFile"
        FROM   (SELECT "chunkFile", '/' || "chunkFile" || '/' AS steps FROM django_etebase_collectionitemchunk) chunk
        WHERE  steps LIKE '%//%' OR steps LIKE '%/./%' OR steps LIKE '%/../%'
        """)

    private static let selectNamed = Statement(
        list: #"SELECT "chunkFile" FROM django_etebase_collectionitemchunk WHERE "chunkFile" IN [$1 text]"#)
}
