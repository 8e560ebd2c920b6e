/// Gives a database back to the original server.
///
/// The original reads its own tables only, and those are always what the log says. What it needs besides: contents in files,
/// sequences above all ids, and, since Apus may come back, above all positions too: stokens that the original makes are then
/// above every stoken that clients hold, and the log can go on above them.
package import Contents
package import Database
internal import Domain
internal import EventLog
package import Projections

/// Brings tables, files and sequences to where the original can go on, and looks whether it can.
package struct HandBack: Sendable {
    /// Contents are written into files in pages of so many, and not much more than so many bytes.
    private static let pageRows = 500
    private static let pageBytes: Int64 = 8 << 20

    private let database: any Database
    private let projection: DjangoProjection
    private let stores: ContentStores
    private var chunks: FileContents { stores.files }

    /// What was done and found.
    package struct Report: Sendable {
        /// How many contents were written into files.
        package var files = 0
        /// What the original would stumble over, in words; empty when it can go on.
        package var faults: [String] = []
        /// What the original will not find and is no reason to stop, in words.
        package var notes: [String] = []
    }

    /// - Parameter chunks: in the folder of its files all are put.
    package init(database: any Database, projection: DjangoProjection, chunks: ContentStores) {
        self.database = database
        self.projection = projection
        stores = chunks
    }

    /// Does everything but give it up: nobody else may write meanwhile. May be done again.
    ///
    /// - Parameters:
    ///   - toleratesMissingFiles: whether to go on where files of chunks are missing: they may have been when the database
    ///     was adopted.
    ///   - conclude: what marks the database, in the last transaction, when nothing is wrong.
    /// - Throws: `DatabaseFault`; what was done until then does no harm.
    package func run(
        toleratesMissingFiles: Bool = false, _ conclude: @escaping @Sendable (any Connection) throws -> Void
    ) async throws -> Report {
        var report = Report()
        try await project()
        let unplaced = try await writeFiles(&report)
        let (faults, missing) = try await database.write { [dialect = database.dialect, chunks] connection in
            try connection.set(.mayTakeLong)
            try EventLog.lockHead(connection)
            let checkpoint = try Checkpoint(connection)?.position
            guard try checkpoint == EventLog.head(connection).position else {
                throw DatabaseFault(.unavailable, "a server still writes into this database: stop it first")
            }
            try Self.raiseSequences(connection, dialect)
            let faults = try Soundness.faults(connection, dialect)
            let missing = unplaced + (try Survey(filesOf: connection, in: chunks).missingFiles)
            if faults.isEmpty, missing.isEmpty || toleratesMissingFiles { try conclude(connection) }
            return (faults, missing)
        }
        report.faults += faults
        if toleratesMissingFiles { report.notes += missing } else { report.faults += missing }
        return report
    }

    /// Brings the read model to the end of the log.
    private func project() async throws {
        var isBehind = true
        while isBehind {
            isBehind = try await database.write { [projection, dialect = database.dialect] connection in
                try connection.set(.mayTakeLong)
                if dialect == .postgres {
                    let isLeased = try connection.first(Self.selectLease, []) { $0.flag(0) } ?? false
                    guard !isLeased else { throw DatabaseFault(.unavailable, "a server works on this database: stop it first") }
                }
                return try projection.applyNext(connection)
            }
        }
    }

    /// Puts contents that lie in the table, or in an S3 store, into files, where the original looks for them. They stay in the table too.
    ///
    /// - Returns: what could not be put there, in words: that is no reason not to put the others.
    private func writeFiles(_ report: inout Report) async throws -> [String] {
        var last: Int64 = 0
        var unplaced = Unplaced()
        while true {
            let (end, references) = try await database.read { [last, stores] connection in
                let sizes = try connection.query(Self.selectSizes, [.integer(last), .integer(Int64(Self.pageRows))]) { row in
                    (id: row.integer(0), bytes: row.integer(1))
                }
                var bytes: Int64 = 0
                let fitting = sizes.prefix { size in
                    bytes += size.bytes
                    return bytes <= Self.pageBytes
                }
                let end = (fitting.last ?? sizes.first)?.id ?? last
                let references = try connection.query(Self.selectContents, [.integer(last), .integer(end)]) {
                    try stores.reference($0, from: 0)
                }
                return (end, references.compactMap { $0 })
            }
            guard end > last else { return unplaced.words }
            let contents = try await stores.get(references)
            for reference in references where contents[reference] == nil { unplaced.add(reference.name.path.rawValue, "for it is missing") }
            let page = references.compactMap { reference in
                contents[reference].map { (path: reference.name.path.rawValue, content: $0) }
            }
            // A file with another content is one that was left over, unless it is another chunk's.
            let occupied = try await chunks.occupied(page)
            let shared: Set<ExactText> =
                occupied.isEmpty
                ? []
                : try await database.read { connection in
                    try connection.set(.mayTakeLong)
                    return Set(try connection.query(Self.selectShared, [.texts(occupied)]) { ExactText($0.text(0)) })
                }
            let own = page.filter { !shared.contains(ExactText($0.path)) }
            let refused = try await chunks.place(own)
            for path in refused { unplaced.add(path, "which is no place for a file") }
            for path in page.map(\.path) where shared.contains(ExactText(path)) { unplaced.add(path, "where another's lies") }
            report.files += own.count - refused.count
            last = end
        }
    }

    /// Contents that could not be put where their rows say.
    private struct Unplaced {
        /// How many are named.
        private static let named = 10

        private var count = 0
        private var first: [String] = []

        mutating func add(_ path: String, _ reason: String) {
            count += 1
            if count <= Self.named { first.append("the content of a chunk is not put at \(path.visible), \(reason)") }
        }

        var words: [String] {
            guard count > 0 else { return [] }
            return first + ["\(count) contents are not put into files: apus rebuild gives them places where the log says so"]
        }
    }

    private static func raiseSequences(_ connection: any Connection, _ dialect: Dialect) throws {
        let head = Value.integer(try EventLog.head(connection).position.rawValue)
        for table in AdoptedRecord.Kind.allCases.map({ ReadModelTable.of($0) }) where table.key == "id" {
            switch dialect {
            case .sqlite:
                try connection.execute(
                    Self.insertSequence,
                    [.text(table.name)])
                try connection.execute(
                    Statement(
                        "UPDATE sqlite_sequence SET seq = max(seq, $2, (SELECT COALESCE(max(id), 0) FROM \(table.name))) WHERE name = $1"),
                    [.text(table.name), head])
            case .postgres:
                _ = try connection.query(
                    Statement(
                        """
                        SELECT setval(pg_get_serial_sequence('\(table.name)', 'id'),
                                      GREATEST($1, (SELECT COALESCE(max(id), 0) FROM \(table.name)),
                                               COALESCE(pg_sequence_last_value(pg_get_serial_sequence('\(table.name)', 'id')::regclass), 0)))
                        """), [head]
                ) { $0.integer(0) }
            }
        }
    }

    private static let selectLease = Statement(
        "SELECT CASE WHEN lease_until > clock_timestamp() THEN 1 ELSE 0 END FROM apus_projection")

    private static let selectSizes = Statement(
        "SELECT chunk.id, COALESCE(stored.bytes, length(stored.content)) " + stored + " AND chunk.id > $1 ORDER BY chunk.id LIMIT $2")

    private static let selectShared = Statement(
        """
        SELECT   "chunkFile"
        FROM     django_etebase_collectionitemchunk
        WHERE    "chunkFile" IN [$1 text]
        GROUP BY "chunkFile"
        HAVING   count(*) > 1
        """)

    private static let selectContents = Statement(
        "SELECT \(ContentStores.columns) " + stored + " AND chunk.id > $1 AND chunk.id <= $2 ORDER BY chunk.id")

    /// The chunks whose contents lie in the table, or of which it says where they lie.
    private static let stored = """
        FROM   django_etebase_collectionitemchunk chunk
        JOIN   django_etebase_collection collection ON collection.id = chunk.collection_id
        \(TableContents.join)
        WHERE  TRUE
        """

    private static let insertSequence = Statement(
        "INSERT INTO sqlite_sequence (name, seq) SELECT $1, 0 WHERE $1 NOT IN (SELECT name FROM sqlite_sequence)")
}
