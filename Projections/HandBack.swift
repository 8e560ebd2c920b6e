/// Gives a database back to the original server.
///
/// The original reads its own tables only, and those are always what the log says. What it needs besides: contents in files,
/// sequences above all ids, and, since Apus may come back, above all positions too: stokens that the original makes are then
/// above every stoken that clients hold, and the log can go on above them.
public import Chunks
public import Database
internal import Domain
internal import EventLog

/// Brings tables, files and sequences to where the original can go on, and looks whether it can.
public struct HandBack: Sendable {
    private static let pageRows = 100

    private let database: any Database
    private let projection: DjangoProjection
    private let chunks: ChunkStore

    /// What was done and found.
    public struct Report: Sendable {
        /// How many contents were written into files.
        public var files = 0
        /// What the original would stumble over, in words; empty when it can go on.
        public var faults: [String] = []
    }

    /// - Parameter chunks: in whose folder the files are put.
    public init(database: any Database, projection: DjangoProjection, chunks: ChunkStore) {
        self.database = database
        self.projection = projection
        self.chunks = chunks
    }

    /// Does everything but give it up: nobody else may write meanwhile. May be done again.
    ///
    /// - Parameter conclude: what marks the database, in the last transaction, when nothing is wrong.
    /// - Throws: `DatabaseFault`; what was done until then does no harm.
    public func run(_ conclude: @escaping @Sendable (any Connection) throws -> Void) async throws -> Report {
        var report = Report()
        try await project()
        try await writeFiles(&report)
        report.faults += try await database.write { [dialect = database.dialect, chunks] connection in
            try Self.takeTime(connection, dialect)
            if dialect == .postgres { _ = try connection.query(Self.lockHead, []) { $0.integer(0) } }
            let checkpoint = try connection.first(Statement("SELECT position FROM apus_projection"), []) { $0.integer(0) }
            guard try checkpoint == EventLog.head(connection).position.rawValue else {
                throw DatabaseFault(.unavailable, "a server still writes into this database: stop it first")
            }
            try Self.raiseSequences(connection, dialect)
            var faults: [String] = []
            for (question, words) in Self.invariants(dialect) {
                let found = try connection.first(question, []) { $0.integer(0) } ?? 0
                if found > 0 { faults.append("\(found) \(words)") }
            }
            let survey = try Survey(connection, chunks: chunks)
            faults += survey.missingFiles
            if faults.isEmpty { try conclude(connection) }
            return faults
        }
        return report
    }

    /// Brings the read model to the end of the log.
    private func project() async throws {
        var isBehind = true
        while isBehind {
            isBehind = try await database.write { [projection, dialect = database.dialect] connection in
                try Self.takeTime(connection, dialect)
                if dialect == .postgres {
                    let isLeased = try connection.first(Self.selectLease, []) { $0.flag(0) } ?? false
                    guard !isLeased else { throw DatabaseFault(.unavailable, "a server works on this database: stop it first") }
                }
                let checkpoint = try connection.first(Statement("SELECT position FROM apus_projection"), []) { $0.integer(0) }
                let events = try EventLog.events(after: Position(rawValue: checkpoint ?? 0), limit: 1000, connection)
                try projection.apply(events, connection)
                return !events.isEmpty
            }
        }
    }

    /// Puts contents that lie in the table into files, where the original looks for them. They stay in the table too.
    private func writeFiles(_ report: inout Report) async throws {
        var last: Int64 = 0
        while true {
            let page = try await database.read { [last] connection in
                try connection.query(Self.selectContents, [.integer(last), .integer(Int64(Self.pageRows))]) { row in
                    (id: row.integer(0), path: row.text(1), content: row.blob(2))
                }
            }
            guard let end = page.last else { return }
            for (_, path, content) in page {
                if try await chunks.place(content, at: path) {
                    report.files += 1
                } else {
                    report.faults.append("the content of a chunk cannot be put at \(path), which leaves the folder")
                }
            }
            last = end.id
        }
    }

    /// Statements that look at whole tables may take as long as they need.
    private static func takeTime(_ connection: any Connection, _ dialect: Dialect) throws {
        if dialect == .postgres { try connection.run(script: "SET LOCAL statement_timeout = 0") }
    }

    private static func raiseSequences(_ connection: any Connection, _ dialect: Dialect) throws {
        let head = Value.integer(try EventLog.head(connection).position.rawValue)
        for table in AdoptedRecord.Kind.allCases.map({ ReadModelTable.of($0) }) where table.key == "id" {
            switch dialect {
            case .sqlite:
                try connection.execute(
                    Statement("INSERT INTO sqlite_sequence (name, seq) SELECT $1, 0 WHERE $1 NOT IN (SELECT name FROM sqlite_sequence)"),
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

    private static let lockHead = Statement("SELECT position FROM apus_log WHERE id = 1 FOR UPDATE")

    private static let selectLease = Statement(
        "SELECT CASE WHEN lease_until > clock_timestamp() THEN 1 ELSE 0 END FROM apus_projection")

    private static let selectContents = Statement(
        """
        SELECT chunk.id, chunk."chunkFile", stored.content
        FROM   django_etebase_collectionitemchunk chunk
        JOIN   django_etebase_collection collection ON collection.id = chunk.collection_id
        JOIN   apus_chunk stored ON stored.collection = collection.uid AND stored.uid = chunk.uid
        WHERE  chunk.id > $1
        ORDER  BY chunk.id
        LIMIT  $2
        """)

    /// What the original takes for granted of its tables; each counts the rows for which it does not hold.
    private static func invariants(_ dialect: Dialect) -> [(Statement, String)] {
        let everywhere = [
            (
                """
                SELECT count(*) FROM django_etebase_collectionitem item
                WHERE  EXISTS (SELECT 1 FROM django_etebase_collectionitemrevision revision WHERE revision.item_id = item.id)
                AND    1 <> (SELECT count(*) FROM django_etebase_collectionitemrevision revision
                             WHERE revision.item_id = item.id AND revision.current)
                """, "items have not one current revision"
            ),
            (
                "SELECT count(*) FROM django_etebase_collectionitemrevision WHERE NOT current",
                "old revisions are marked with false, not null"
            ),
            (
                """
                SELECT count(*) FROM django_etebase_collection collection
                LEFT   JOIN django_etebase_collectionitem item ON item.id = collection.main_item_id
                WHERE  item.id IS NULL OR item.uid <> collection.uid
                """, "collections have no main item of their name"
            ),
            (
                """
                SELECT count(*) FROM django_etebase_collection collection
                WHERE  NOT EXISTS (SELECT 1 FROM django_etebase_collectionmember member
                                   WHERE member.collection_id = collection.id AND member.user_id = collection.owner_id)
                """, "collections do not have their owner among their members"
            ),
        ]
        let keys = dialect == .sqlite ? [("SELECT count(*) FROM pragma_foreign_key_check", "rows refer to rows that are not there")] : []
        return (everywhere + keys).map { (Statement($0.0), $0.1) }
    }
}
