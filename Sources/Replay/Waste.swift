package import Contents
package import Database
package import Domain
internal import EventLog

/// Contents of chunks that no event names any more: of collections that are gone for good, and files of appends that failed.
///
/// What an event names is never waste, whether or not a revision does: a client may store a chunk long before the revision that
/// needs it, and the history keeps every revision. What events name is read from the tables that follow from them, so whoever
/// calls this has verified those; and what was in the log when contents were looked for must be in them.
///
/// A content in the table comes with its event, in one transaction. Elsewhere one comes before its event: it is looked at only when it
/// has not been touched for a while, and a writer touches what it is about to name (`ContentStore.remove`).
package struct Waste: Sendable {
    /// What there is to remove, or was removed.
    package struct Report: Sendable {
        /// Contents in the table, as `collection/chunk`.
        package var rows: [String] = []
        /// Files, relative to the folder of all chunks.
        package var files: [String] = []
        /// Objects of an S3 store, below its prefix.
        package var objects: [String] = []
        /// The length of all of them.
        package var bytes = 0
    }

    private let database: any Database
    private let chunks: ContentStores
    private let caughtUp: @Sendable (Position) async throws -> Void

    /// - Parameter caughtUp: returns when the tables are as far as a position.
    package init(database: any Database, chunks: ContentStores, caughtUp: @escaping @Sendable (Position) async throws -> Void) {
        self.database = database
        self.chunks = chunks
        self.caughtUp = caughtUp
    }

    /// Finds what is waste.
    ///
    /// - Parameters:
    ///   - time: files that were touched since are left alone.
    ///   - removes: false to change nothing.
    ///   - pause: how long others are kept from naming what was removed from an S3 store: as long as who has put it there may take.
    /// - Throws: `DatabaseFault`, or what the wait for the tables throws; then nothing was removed.
    package func run(before time: Timestamp, removes: Bool, holding pause: Duration = .zero) async throws -> Report {
        try await sweep(of: nil, before: time, removes: removes, holding: pause)
    }

    /// Removes the contents of collections that were erased, however new they are: an erasure removes files once it is in the log, and
    /// may have been interrupted before it had.
    ///
    /// - Throws: as ``run(before:removes:)`` does, and where a file cannot be removed, once the others are.
    package func finishErasures() async throws -> Report {
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
        return try await sweep(of: Set(erased), before: .always.upperBound, removes: true)
    }

    /// Looks through all stores for what no row names.
    private func sweep(
        of collections: Set<CollectionUID>?, before time: Timestamp, removes: Bool, holding pause: Duration = .zero
    ) async throws -> Report {
        var report = Report()
        var fault: (any Error)?
        for store in chunks.all {
            var removed: [HeldContent] = []
            try await store.list(of: collections, before: time) { page in
                for content in try await unnamed(page) {
                    if removes {
                        do { guard try await store.remove(content, before: time) else { continue } } catch {
                            // One that cannot be removed keeps no other.
                            fault = fault ?? error
                            continue
                        }
                    }
                    report.note(content)
                    if removes, store.place == .objects { removed.append(content) }
                }
            }
            guard !removed.isEmpty else { continue }
            try await Task.sleep(for: pause)
            try await store.conclude(removed)
        }
        if let fault { throw fault }
        report.rows.sort()
        return report
    }

    /// Those of some contents that no row names, in order. Nothing can come to name one of the table meanwhile: it comes with its
    /// event, and the uid of a collection that is gone is never used again.
    private func unnamed(_ page: [HeldContent]) async throws -> [HeldContent] {
        // What an event names that is not in the tables yet looks like waste.
        let head = try await database.read { try EventLog.head($0) }
        try await caughtUp(head.position)
        var (chunks, paths, objects): ([(ChunkUID, CollectionUID)], [ExactText], [ObjectName]) = ([], [], [])
        for content in page {
            switch content.key {
            case .chunk(let chunk, let collection): chunks.append((chunk, collection))
            case .path(let path): paths.append(path)
            case .object(let name): objects.append(name)
            }
        }
        let names = objects
        let (pairs, files): ([Value], [Value]) = (
            [.texts(chunks.map(\.1.rawValue)), .texts(chunks.map(\.0.rawValue))], [.texts(paths.map(\.rawValue))]
        )
        let asksOdd = !paths.isEmpty
        let named = try await database.read { connection in
            let rows = try connection.query(Self.selectNamedChunks, pairs) {
                HeldContent.Key.chunk(ChunkUID($0.text(1)), of: CollectionUID($0.text(0)))
            }
            let unnamed = try names.isEmpty ? [] : TableContents.unnamed(names, connection)
            let held = names.filter { !unnamed.contains($0) }.map { HeldContent.Key.object($0) }
            guard asksOdd else { return Set(rows + held) }
            let exactly = try connection.query(Self.selectNamed, files) { HeldContent.Key.path(ExactText($0.text(0))) }
            let oddly = try connection.query(Self.selectOdd, []) { $0.text(0) }.compactMap(Self.place)
            return Set(rows + held + exactly + oddly.map { .path($0) })
        }
        return page.filter { !named.contains($0.key) }
    }

    /// The file that a row names which is not written as paths of files are found: with blank steps, or with such as lead up.
    private static func place(_ row: String) -> ExactText? {
        var names: [String] = []
        for name in row.parts(separatedBy: "/") where !["", "."].contains(name) {
            if name == ".." { _ = names.popLast() } else { names.append(name) }
        }
        return names.isEmpty ? nil : ExactText(names.joined(separator: "/"))
    }

    private static let selectNamedChunks = Statement(
        """
        SELECT collection.uid, chunk.uid
        FROM   PAIRS [$1 text, $2 text] AS wanted
        THEN JOIN django_etebase_collection collection ON collection.uid = wanted.first
        THEN JOIN django_etebase_collectionitemchunk chunk ON chunk.uid = wanted.second AND chunk.collection_id + 0 = collection.id
        """)

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
        #"SELECT "chunkFile" FROM django_etebase_collectionitemchunk WHERE "chunkFile" IN [$1 text]"#)
}

extension Waste.Report {
    fileprivate mutating func note(_ content: HeldContent) {
        switch content.key {
        case .chunk(let chunk, let collection): rows.append("\(collection)/\(chunk)")
        case .path(let path): files.append(path.rawValue)
        case .object(let name): objects.append(name.text)
        }
        bytes += content.bytes
    }
}
