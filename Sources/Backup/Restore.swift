internal import Contents
package import Database
package import Domain
internal import EventLog
internal import Foundation
internal import Replay
internal import Schemas
internal import Sodium

/// Makes a server of a backup: into an empty data folder, and an empty database where that is PostgreSQL.
///
/// The backup is checked first, in a copy: the file, every row and every file by their hashes, the log, and that the tables are
/// what a replay of it gives. Only then does anything come to where a server looks for it. Until all is done the data folder
/// holds a folder `restoring`, in which everything is made and beside which no server starts; what goes into PostgreSQL comes
/// last, in one transaction.
package struct Restore: Sendable {
    /// What was restored.
    package struct Report: Sendable {
        /// When the backup was taken.
        package var madeAt: Timestamp
        /// How many events were replayed.
        package var events = 0
        package var files = 0
        /// What `apus verify` would say, where that was no reason to stop.
        package var faults: [String] = []
    }

    private struct Header: Sendable, Unprinted {
        let format: Int64
        let madeAt: Timestamp
        let secret: [UInt8]
    }

    private let folder: String
    private let server: PostgresDatabase?
    private let secret: Hidden<[UInt8]>?

    /// - Parameters:
    ///   - folder: the data folder.
    ///   - server: where database and log go; nil for SQLite in the folder.
    ///   - secret: the one that the server will be given; nil where it is kept in the folder.
    package init(into folder: String, server: PostgresDatabase?, secret: [UInt8]?) {
        self.folder = folder
        self.server = server
        self.secret = secret.map { Hidden($0) }
    }

    /// Whether a restore into the folder was not finished.
    package static func isUnfinished(in folder: String) -> Bool { FileManager.default.fileExists(atPath: folder + "/" + work) }

    /// Restores a backup.
    ///
    /// - Parameters:
    ///   - scratch: an empty database with the schema, which is filled.
    ///   - toleratesFaults: whether to go on where the log and the tables do not agree: they were so when the backup was taken.
    /// - Throws: ``BackupFault`` or `DatabaseFault`; then no server starts on what is there.
    package func run(_ path: String, scratch: SQLiteDatabase, toleratesFaults: Bool, at time: Timestamp) async throws -> Report {
        try await requireEmpty()
        try Self.requireDatabase(path)
        let work = folder + "/" + Self.work
        try Self.make(folder: folder)
        // The folder was empty, and no server starts in it before that one is gone, which is noted first and removed last.
        let unfinished = [work] + Self.made.map { folder + "/" + $0 }
        unfinished.forEach(TemporaryFiles.note)
        defer { unfinished.forEach(TemporaryFiles.forget) }
        try Self.make(folder: work)
        do {
            // In a folder that only we enter, so its mode may come later.
            try FileManager.default.copyItem(atPath: path, toPath: work + "/copy")
            KeptFiles.restrict(work + "/copy")
            return try await restore(work, scratch, toleratesFaults, time)
        } catch {
            for name in [Self.work] + Self.made where FileManager.default.fileExists(atPath: folder + "/" + name) {
                try FileManager.default.removeItem(atPath: folder + "/" + name)
            }
            throw error
        }
    }

    private func restore(_ work: String, _ scratch: SQLiteDatabase, _ toleratesFaults: Bool, _ time: Timestamp) async throws -> Report {
        let copy = try SQLiteDatabase(path: work + "/copy")
        let shape = try await scratch.read { try Shape(of: $0) }
        let header = try await check(copy, shape)
        let chunks = FileContents(folder: work + "/chunks")
        var report = Report(madeAt: header.madeAt)
        report.files = try await copy.write { connection in
            let files = try Self.unpack(connection, into: chunks)
            for table in Self.added { try connection.run(script: "DROP TABLE \(table)") }
            try Schema.create(connection, .sqlite)
            try Epochs.begin(at: time, connection)
            return files
        }
        let verified = try await Verification(
            database: copy, scratch: scratch, stokens: StokenSealer(secret: header.secret),
            chunks: ContentStores(table: TableContents(copy), files: chunks)
        ).run()
        report.events = verified.events
        report.faults = verified.faults
        guard verified.faults.isEmpty || toleratesFaults else {
            throw BackupFault("the backup is not sound, and nothing is restored: \(verified.faults.prefix(5).joined(separator: "; "))")
        }
        try keep(header.secret, in: work)
        if server == nil {
            _ = try KeptFiles.create(work + "/apus.sqlite")
            try await copy.copy(to: work + "/apus.sqlite")
        }
        try publish(work)
        // From here on PostgreSQL may have all of it, and what is here belongs to that.
        for path in [work] + Self.made.map({ folder + "/" + $0 }) { TemporaryFiles.forget(path) }
        if let server { try await Self.load(copy, into: server) }
        try copy.close()
        try FileManager.default.removeItem(atPath: work)
        try KeptFiles.synchronize(folder)
        return report
    }

    // MARK: What there must be

    private func requireEmpty() async throws {
        let present = FileManager.default.fileExists(atPath: folder) ? try FileManager.default.contentsOfDirectory(atPath: folder) : []
        guard !present.contains(Self.work) else {
            throw BackupFault(
                "\(folder) holds what an interrupted restore has left: empty the folder, and the database where it is PostgreSQL")
        }
        // A file system of its own has that one.
        guard present.allSatisfy({ $0 == "lost+found" }) else {
            throw BackupFault("\(folder) is not empty, and is left as it is: a backup is restored into an empty or new folder")
        }
        guard let server else { return }
        let tables = try await server.ask(Self.selectTables, []) { $0.integer(0) }
        guard tables == [0] else {
            throw BackupFault("the database is not empty, and is left as it is: a backup is restored into a new database")
        }
    }

    private static func requireDatabase(_ path: String) throws(BackupFault) {
        guard let file = FileHandle(forReadingAtPath: path) else { throw BackupFault("\(path) cannot be read") }
        let start: Data?
        do { start = try file.read(upToCount: magic.count) } catch { throw BackupFault("\(path) cannot be read") }
        guard start.map(Array.init) == magic else { throw BackupFault("\(path) is no backup") }
    }

    /// Checks that the copy is what was written once.
    private func check(_ copy: SQLiteDatabase, _ shape: Shape) async throws -> Header {
        let header = try await copy.read { connection in
            guard try connection.first(Self.selectBackupTable, [], { $0.integer(0) }) == 1 else {
                throw BackupFault("the file is a database, but no backup")
            }
            try shape.requireNothingElse(in: connection, beside: Self.added)
            guard try connection.query(Self.checkIntegrity, [], { $0.text(0) }) == ["ok"] else { throw Self.damaged }
            guard try connection.query(Self.selectKinds, [], { $0.integer(0) }).isEmpty else { throw Self.damaged }
            let found = try connection.first(Self.selectHeader, []) { row in
                Header(format: row.integer(0), madeAt: Timestamp(rawValue: row.integer(1)), secret: row.blob(2))
            }
            guard let header = found else { throw Self.damaged }
            guard header.format == Backup.format else { throw BackupFault("the backup is of a newer form: use a newer apus") }
            var sums: [String: [UInt8]] = [:]
            for table in try Table.all(connection) { sums[table.name] = try table.sum(connection).digest }
            let kept = try connection.query(Self.selectDigests, []) { ($0.text(0), $0.blob(1)) }
            guard sums == Dictionary(kept, uniquingKeysWith: { first, _ in first }) else { throw Self.damaged }
            return header
        }
        guard secret == nil || secret?.value == header.secret else {
            throw BackupFault("APUS_SECRET is not the secret of the backup: stokens and seals would break. Leave it out, or give that one")
        }
        return header
    }

    private static let damaged = BackupFault("the backup is damaged, and nothing is restored: take another one")

    // MARK: What is made

    private static func unpack(_ connection: any Connection, into chunks: FileContents) throws -> Int {
        var count = 0
        _ = try connection.query(Self.selectFiles, []) { row in
            let content = row.blob(1)
            guard Sodium.blake2b(content) == row.blob(2) else { throw damaged }
            try chunks.write(content, at: row.text(0))
            count += 1
        }
        return count
    }

    /// Loads all rows into an empty PostgreSQL, in one transaction.
    private static func load(_ copy: SQLiteDatabase, into server: PostgresDatabase) async throws {
        try await server.write { target in
            try Schema.create(target, .postgres)
            try copy.writeWithin { source in
                let tables = try Table.all(source)
                for table in tables { try target.run(script: "DELETE FROM \(Shape.quoted(table.name))") }
                for table in tables { try table.rows(source) { try table.insert($0, target) } }
            }
            // The new epoch is written here.
            try target.execute(Self.updatePlace, [])
            let counted = try target.query(selectIdentities, []) { ($0.text(0), $0.text(1)) }
            for (table, column) in counted {
                let values: [Value] = [.text(Shape.quoted(table)), .text(column)]
                let (table, column) = (Shape.quoted(table), Shape.quoted(column))
                try target.execute(
                    Statement(
                        """
                        SELECT setval(pg_get_serial_sequence($1, $2), max(\(column))) FROM \(table) HAVING max(\(column)) IS NOT NULL
                        """), values)
            }
        }
    }

    /// Keeps the secret in the folder, unless the server is given it.
    private func keep(_ kept: [UInt8], in work: String) throws {
        guard secret == nil else { return }
        guard try KeptFiles.create(work + "/secret", kept) else { throw BackupFault("the secret is there already") }
    }

    /// Brings what was made in the folder to where a server looks for it.
    private func publish(_ work: String) throws {
        let made = Self.made.filter { FileManager.default.fileExists(atPath: work + "/" + $0) }
        for name in made { try KeptFiles.synchronize(work + "/" + name) }
        for name in made { try FileManager.default.moveItem(atPath: work + "/" + name, toPath: folder + "/" + name) }
        try KeptFiles.synchronize(folder)
    }

    private static func make(folder: String) throws {
        do { try KeptFiles.makeFolder(folder) } catch { throw BackupFault(error.description) }
    }

    /// Where everything is made.
    private static let work = "restoring"
    /// What may be made there.
    private static let made = ["apus.sqlite", "chunks", "secret"]
    /// How a database of SQLite begins.
    private static let magic = Array("SQLite format 3\0".utf8)

    /// What a backup has beside the tables of a database.
    private static let added: Set<String> = ["apus_backup", "apus_backup_table", "apus_backup_file"]

    private static let selectBackupTable = Statement("SELECT count(*) FROM sqlite_master WHERE name = 'apus_backup'")

    /// What is in those that were not written so.
    private static let selectKinds = Statement(
        """
        SELECT 1 FROM apus_backup
        WHERE  typeof(format) <> 'integer' OR typeof(made_at) <> 'integer' OR typeof(secret) <> 'blob'
        UNION ALL
        SELECT 1 FROM apus_backup_table WHERE typeof(name) <> 'text' OR typeof(digest) <> 'blob'
        UNION ALL
        SELECT 1 FROM apus_backup_file WHERE typeof(path) <> 'text' OR typeof(content) <> 'blob' OR typeof(digest) <> 'blob'
        """)

    private static let selectTables = Statement(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()")

    private static let selectIdentities = Statement(
        """
        SELECT table_name::text, column_name::text
        FROM   information_schema.columns
        WHERE  table_schema = current_schema() AND is_identity = 'YES'
        """)

    private static let checkIntegrity = Statement("PRAGMA integrity_check")

    private static let selectHeader = Statement("SELECT format, made_at, secret FROM apus_backup")

    private static let selectDigests = Statement("SELECT name, digest FROM apus_backup_table")

    private static let selectFiles = Statement("SELECT path, content, digest FROM apus_backup_file")

    private static let updatePlace = Statement(
        "UPDATE apus_epoch SET place = apus_place() WHERE epoch = (SELECT epoch FROM apus_log)")
}
