/// Backups: everything that a server keeps, as of one position, in one file.
///
/// Pattern: the file is an SQLite database with the tables that Apus has on SQLite, whatever engine it was taken from, and
/// three tables beside them, in which contents lie too that lay in an S3 store: what the backup is, with the server's secret; how many rows each table has, and a hash over
/// them; and the contents of chunks that lay in files. So it needs no program but SQLite to be looked into, is taken from one
/// engine and restored on the other, and can be tried before anything is made of it.
///
/// Invariants: a backup is one snapshot of the database. Files of chunks are never changed and are written before the
/// event that names them, so those that the snapshot names are there. A backup gets its name when it is complete and on the
/// disk, and replaces nothing. Whoever can read it has the server's secret: only its owner can.
///
/// A restored log begins a new epoch: clients that have seen what came after the backup are told so (`bad_stoken`), the
/// others go on.
package import Contents
package import Database
package import Domain
package import EventLog
internal import Foundation
internal import Projections
internal import Schemas
internal import Sodium

/// Takes backups.
package struct Backup: Sendable {
    /// What was written.
    package struct Report: Sendable {
        /// Where the log ended.
        package var head: LogHead
        /// How many contents of chunks lay in files.
        package var files = 0
        /// How many lay in an S3 store.
        package var objects = 0
        /// How many of those that should have were not there: `apus verify` names them.
        package var missing = 0
        /// How many of those that were there are not what the log says: `apus verify` names them too.
        package var changed = 0
    }

    static let format: Int64 = 1

    private let database: any Database
    private let chunks: ContentStores
    private let secret: Hidden<[UInt8]>
    /// Told how many contents are copied that do not lie in the database.
    package var advanced: Advanced = { _, _ in }

    package init(of database: any Database, chunks: ContentStores, secret: [UInt8]) {
        self.database = database
        self.chunks = chunks
        self.secret = Hidden(secret)
    }

    /// Takes a backup while the server may go on.
    ///
    /// - Throws: ``BackupFault`` when a file of that name is there, or cannot be written; `DatabaseFault`.
    package func write(to path: String, at time: Timestamp) async throws -> Report {
        let file = try NewFile(path)
        do {
            let report = try await fill(file.temporaryPath, at: time)
            try file.publish()
            return report
        } catch {
            try file.discard()
            throw error
        }
    }

    private func fill(_ path: String, at time: Timestamp) async throws -> Report {
        if case .sqlite(let sqlite) = database.engine { try await sqlite.copy(to: path) }
        // Not in WAL mode, which needs memory that is shared between processes: not every place for backups has it.
        let copy = try SQLiteDatabase(path: path, as: .foreign)
        switch database.engine {
        case .sqlite:
            let shape = try await Self.shape()
            try await copy.write { try shape.removeOthers(from: $0) }
        case .postgres:
            try await copy.write { try Schema.create($0, .sqlite) }
            try await database.read { live in
                try copy.writeWithin { try Self.copyRows(from: live, to: $0) }
            }
        }
        let (head, wanted, digests) = try await copy.write { [chunks, secret = secret.value] connection in
            // A projector may have been on its way.
            try DjangoProjection(stokens: StokenSealer(secret: secret)).applyRest(connection)
            try connection.run(script: Self.tables)
            let wanted = try Self.elsewhere(connection, chunks)
            return (try EventLog.head(connection), wanted, try wanted.isEmpty ? [:] : Self.digests(connection))
        }
        var report = Report(head: head)
        try await add(wanted, digests, to: copy, &report)
        try await copy.write { [secret = secret.value] connection in try Self.finish(connection, head, secret, time) }
        try copy.close()
        return report
    }

    /// The shape of a new database.
    private static func shape() async throws -> Shape {
        let model = try SQLiteDatabase()
        let shape = try await model.write { connection in
            try Schema.create(connection, .sqlite)
            return try Shape(of: connection)
        }
        try model.close()
        return shape
    }

    /// Copies all rows out of a snapshot of PostgreSQL.
    private static func copyRows(from live: any Connection, to copy: any Connection) throws {
        let version = try live.first(Self.selectSchemaVersion, []) { $0.integer(0) }
        guard version == Schema.version else { throw DatabaseFault(.corrupt, "the database has a newer schema: use a newer apus") }
        let tables = try Table.all(copy)
        for table in tables { try copy.run(script: "DELETE FROM \(Shape.quoted(table.name))") }
        for table in tables { try table.rowsOfPostgres(live) { try table.insert($0, copy) } }
    }

    /// A content that does not lie in the database.
    private struct Wanted: Sendable {
        let chunk: Chunk
        let path: String
        /// Nil where it is missing.
        let reference: ContentReference?
    }

    /// The contents that lie elsewhere, each path once.
    private static func elsewhere(_ connection: any Connection, _ chunks: ContentStores) throws -> [Wanted] {
        let wanted = try connection.query(selectElsewhere, []) { row in
            Wanted(
                chunk: Chunk(collection: CollectionUID(row.text(0)), uid: ChunkUID(row.text(1))), path: row.text(2),
                reference: try chunks.reference(row, from: 0))
        }
        var seen: Set<ExactText> = []
        return wanted.filter { $0.reference?.digest != nil || seen.insert(ExactText($0.path)).inserted }
    }

    /// Fetches contents that lie elsewhere, one after the other, and adds them to the copy.
    private func add(
        _ wanted: [Wanted], _ digests: [Chunk: [UInt8]], to copy: SQLiteDatabase, _ report: inout Report
    ) async throws {
        var (rows, bytes): ([[Value]], Int) = ([], 0)
        for (index, content) in wanted.enumerated() {
            try Task.checkCancellation()
            advanced(Int64(index), Int64(wanted.count))
            guard let reference = content.reference, let found = try await chunks.get([reference])[reference] else {
                report.missing += 1
                continue
            }
            if let digest = digests[content.chunk], StoredChunk(uid: content.chunk.uid, content: found).digest != digest {
                report.changed += 1
            }
            if let digest = reference.digest {
                // Whoever restores it has no such store, or another.
                report.objects += 1
                try await copy.write { try TableContents.take(found, of: reference, digest, $0) }
                continue
            }
            report.files += 1
            rows.append([.text(content.path), .blob(found), .blob(Sodium.blake2b(found))])
            bytes += found.count
            guard rows.count == Self.pageFiles || bytes >= Self.pageBytes else { continue }
            try await copy.write { [rows] connection in try connection.enqueue(Self.insertFiles, rows: rows) }
            (rows, bytes) = ([], 0)
        }
        try await copy.write { [rows] connection in try connection.enqueue(Self.insertFiles, rows: rows) }
    }

    /// How many files are written in one transaction, and roughly how many bytes.
    private static let pageFiles = 500
    private static let pageBytes = 16 << 20

    private static func finish(_ connection: any Connection, _ head: LogHead, _ secret: [UInt8], _ time: Timestamp) throws {
        for table in try Table.all(connection) {
            let sum = try table.sum(connection)
            try connection.execute(insertTable, [.text(table.name), .integer(sum.rows), .blob(sum.digest)])
        }
        try connection.execute(
            insertBackup,
            [.integer(format), .integer(time.rawValue), .integer(head.position.rawValue), .integer(head.epoch), .blob(secret)])
    }

    private struct Chunk: Hashable {
        let collection: CollectionUID
        let uid: ChunkUID
    }

    /// The digests of contents that the log knows.
    private static func digests(_ connection: any Connection) throws -> [Chunk: [UInt8]] {
        var digests: [Chunk: [UInt8]] = [:]
        var last = Position.none
        while true {
            let page = try EventLog.events(after: last, limit: pageEvents, connection)
            guard let end = page.last else { return digests }
            for record in page {
                guard case .collection(let collection) = record.stream else { continue }
                for chunk in record.event.storedChunks where !chunk.digest.isEmpty {
                    digests[Chunk(collection: collection, uid: chunk.uid)] = chunk.digest
                }
            }
            last = end.position
        }
    }

    private static let pageEvents = 500

    private static let tables = """
        CREATE TABLE apus_backup (
            format   INTEGER NOT NULL,
            made_at  INTEGER NOT NULL,
            position INTEGER NOT NULL,
            epoch    INTEGER NOT NULL,
            secret   BLOB    NOT NULL
        ) STRICT;
        CREATE TABLE apus_backup_table (
            name   TEXT    NOT NULL PRIMARY KEY,
            rows   INTEGER NOT NULL,
            digest BLOB    NOT NULL
        ) STRICT;
        CREATE TABLE apus_backup_file (
            path    TEXT NOT NULL PRIMARY KEY,
            content BLOB NOT NULL,
            digest  BLOB NOT NULL
        ) STRICT
        """

    /// The contents that have no row.
    private static let selectElsewhere = Statement(
        """
        SELECT \(ContentStores.columns)
        FROM   django_etebase_collectionitemchunk chunk
        JOIN   django_etebase_collection collection ON collection.id = chunk.collection_id
        \(ContentStores.join())
        WHERE  stored.uid IS NULL OR stored.digest IS NOT NULL
        """)

    private static let insertFiles = SetStatement(
        insertInto: "apus_backup_file", ["path": .text, "content": .bytes, "digest": .bytes])
    private static let insertTable = Statement("INSERT INTO apus_backup_table (name, rows, digest) VALUES ($1, $2, $3)")
    private static let insertBackup = Statement(
        "INSERT INTO apus_backup (format, made_at, position, epoch, secret) VALUES ($1, $2, $3, $4, $5)")

    private static let selectSchemaVersion = Statement("SELECT max(version) FROM apus_schema")
}

/// Why a backup is not taken or not restored. The description says what to do.
package struct BackupFault: Error, CustomStringConvertible, Sendable {
    package let description: String
    init(_ description: String) { self.description = description }
}
