internal import CSQLite
internal import GRDB
internal import GRDBSQLite
internal import Foundation
internal import Telemetry

/// SQLite through GRDB: one writer and, in WAL mode, several readers, each on a thread of its own; or a temporary one.
///
/// What is acknowledged is on the disk (G1), and nobody sees what is not. With `synchronous = FULL` a commit writes its pages
/// into the log of changes, syncs that, and only then shows them to readers and returns; where the sync fails it shows nothing
/// and throws, and the next commit writes the same places anew, so a sync that the system has forgotten is not relied on.
/// One way is left to see what may not be on the disk: a process that ended between the two, or after a sync that failed, has
/// left pages that only the system's memory holds, and whoever opens the file next takes them for committed. So whoever opens
/// it writes them anew and syncs them, before anything is read (``ChangesLog/rewrite(_:)``). Hence a position that a power cut takes
/// away was seen by nobody, and may be given again in the same epoch.
package final class SQLiteDatabase: Database {
    /// What is done to a file by opening it.
    package enum Access: Sendable {
        /// It is ours: made where it is missing, and put into WAL mode.
        case own
        /// It may be another program's, which may go on with it: it must be there, and keeps the mode that it has.
        case foreign
        /// Nothing, and nothing is made beside it; it must be there.
        case reading
    }

    /// How many snapshots may be read at the same time.
    private static let readers = 4
    /// How long a writer waits for another process (the command line beside a running server).
    private static let busySeconds = 10.0
    /// Pages in the log of changes before they are moved into the file. SQLite's own 1,000 would come every 40 items.
    private static let checkpointPages = 8000

    /// Memory for the pages that the writer uses again and again: SQLite's own 2 MB would read most of them anew for each item.
    private static let writerCacheBytes = 8 << 20
    /// Whether what holds for all databases of the process is set: before the first is opened.
    private static let isConfigured = apus_sqlite_configure() == SQLITE_OK

    /// Memory for the pages of a temporary database; what does not fit goes to the disk.
    private static let temporaryCacheBytes = 64 << 20

    private let pool: any DatabaseWriter
    /// A connection beside the others: moving changes into the file must not make the writer wait. Nil for a temporary
    /// database, and for a file that is not ours.
    private let checkpointer: DatabaseQueue?
    /// Nil for a temporary database, and for a file that is not ours.
    private let localReaders: LocalReaders?
    /// The files that are written, as they were when they were opened: the database and its log of changes.
    private let files: [(path: String, identity: KeptFiles.Identity)]

    /// This one.
    package var engine: DatabaseEngine { .sqlite(self) }

    /// Opens the file.
    ///
    /// - Throws: ``DatabaseFault`` when the file cannot be opened or is no database.
    package init(path: String, as access: Access = .own) throws(DatabaseFault) {
        guard Self.isConfigured else { throw DatabaseFault(.corrupt, "SQLite was in use before it was set up") }
        var configuration = Configuration()
        configuration.maximumReaderCount = Self.readers
        configuration.busyMode = .timeout(Self.busySeconds)
        configuration.label = "apus.sqlite"
        configuration.readonly = access == .reading
        configuration.prepareDatabase { database in
            // A file that is not in WAL mode has committed when its journal is gone, and that is on the disk with EXTRA only.
            try database.execute(sql: "PRAGMA synchronous = EXTRA")
            // What a file that came from elsewhere defines may call nothing but what is harmless.
            try database.execute(sql: "PRAGMA trusted_schema = OFF")
            try database.execute(sql: "PRAGMA wal_autocheckpoint = \(Self.checkpointPages)")
        }
        guard access == .own || FileManager.default.fileExists(atPath: path) else {
            throw DatabaseFault(.unavailable, "there is no file \(path)")
        }
        do {
            switch access {
            case .own:
                try Self.prepare(path)
                let pool = try DatabasePool(path: path, configuration: configuration)
                // The pool sets NORMAL as it enters WAL mode, so this comes after it.
                try pool.writeWithoutTransaction { database in
                    try Self.makeDurable(database)
                    try Self.gather(database)
                    try database.execute(sql: "PRAGMA cache_size = -\(Self.writerCacheBytes >> 10)")
                }
                let checkpointer = try DatabaseQueue(path: path, configuration: configuration)
                try checkpointer.writeWithoutTransaction { database in
                    try Self.makeDurable(database)
                    try Self.settle(database, path)
                }
                files = [path, path + "-wal"].compactMap { path in KeptFiles.Identity(of: path).map { (path, $0) } }
                self.pool = pool
                self.checkpointer = checkpointer
                localReaders = LocalReaders(path: path, configuration: configuration)
            case .foreign:
                // Not made where it is missing, also when it was there a moment ago.
                pool = try DatabaseQueue(path: URL(filePath: path).absoluteString + "?mode=rw", configuration: configuration)
                checkpointer = nil
                localReaders = nil
                files = KeptFiles.Identity(of: path).map { [(path, $0)] } ?? []
            case .reading:
                pool = try DatabaseQueue(path: Self.untouched(path), configuration: configuration)
                checkpointer = nil
                localReaders = nil
                files = []
            }
        } catch { throw DatabaseFault(error) }
    }

    /// Makes a file that is missing, and keeps others from reading it: SQLite gives those beside it the same mode.
    private static func prepare(_ path: String) throws {
        if try KeptFiles.create(path) { try KeptFiles.synchronize(KeptFiles.folder(of: path)) }
        for end in ["", "-wal", "-shm"] { KeptFiles.restrict(path + end) }
    }

    /// A commit, and what is moved into the file, is on the disk when it is acknowledged, not only in the system's memory (G1).
    private static func makeDurable(_ database: GRDB.Database) throws {
        try database.execute(sql: "PRAGMA synchronous = FULL")
        let full = 2
        guard try Int.fetchOne(database, sql: "PRAGMA synchronous") == full else {
            throw DatabaseFault(.corrupt, "SQLite: commits would not be synced")
        }
    }

    /// Lets the pages of a commit go to the disk in few calls. Only for what ``makeDurable(_:)`` has made sure of.
    ///
    /// Safe: the handle is the open connection's, and is not kept.
    private static func gather(_ database: GRDB.Database) throws {
        let code = unsafe apus_sqlite_gather(database.sqliteConnection)
        guard code == SQLITE_OK else { throw DatabaseError(resultCode: ResultCode(rawValue: code)) }
    }

    /// Brings to the disk what the log of changes holds, whoever has written it, before anything of it is read.
    private static func settle(_ database: GRDB.Database, _ path: String) throws {
        try database.inTransaction(.immediate) {
            try ChangesLog.rewrite(path + "-wal")
            return .rollback
        }
    }

    /// Looks whether what is written is kept: the files are still those that their names stand for.
    ///
    /// - Throws: ``DatabaseFault`` where they were removed or replaced: what is written would go with the last that has them open.
    package func check() throws(DatabaseFault) {
        for (path, identity) in files where KeptFiles.Identity(of: path) != identity {
            throw DatabaseFault(
                .unavailable, "SQLite: \(path) was removed or replaced while it was open, and nothing is written any more: start apus anew")
        }
    }

    /// The name under which a file in WAL mode is read without making the two files beside it. Only while those are missing,
    /// so nobody has it open.
    private static func untouched(_ path: String) throws -> String {
        guard try isInWALMode(path), !FileManager.default.fileExists(atPath: path + "-wal") else { return path }
        return URL(filePath: path).absoluteString + "?immutable=1"
    }

    /// Whether the file's header says so: the version of what reads it.
    private static func isInWALMode(_ path: String) throws -> Bool {
        try FileHandle(forReadingAtPath: path)?.read(upToCount: 20)?.last == 2
    }

    /// Opens an empty database for one use, of which nothing is left when it is closed or the process ends, however it does:
    /// its file has no name. It has one connection, and looks after no foreign keys.
    ///
    /// - Throws: ``DatabaseFault`` when there is no place for temporary files.
    package init() throws(DatabaseFault) {
        guard Self.isConfigured else { throw DatabaseFault(.corrupt, "SQLite was in use before it was set up") }
        var configuration = Configuration()
        configuration.label = "apus.sqlite.temporary"
        configuration.foreignKeysEnabled = false
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA cache_size = -\(Self.temporaryCacheBytes >> 10)")
            // A transaction can be rolled back, for which a page is kept as it was; nothing outlives the process anyway.
            try database.execute(sql: "PRAGMA journal_mode = MEMORY")
        }
        // An empty path is SQLite's word for a temporary file.
        do { pool = try DatabaseQueue(path: "", configuration: configuration) } catch { throw DatabaseFault(error) }
        checkpointer = nil
        localReaders = nil
        files = []
    }

    /// Runs `body` in a snapshot: what is small on the thread that asks, where that has a connection of its own.
    package func read<T: Sendable>(_ extent: ReadExtent, _ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        Telemetry.database.note(1, .read, over: .other)
        @Sendable func answer(_ database: GRDB.Database) throws -> T {
            try Telemetry.database.measure(.read) { try body(SQLiteConnection(database: database)) }
        }
        do {
            if extent == .small, let localReaders {
                do {
                    if let here = try localReaders.connection() { return try here.read(answer) }
                } catch  where DatabaseFault(error).isBusy {
                    // Another program has the file for itself; to wait for it is what the reading threads are for.
                }
            }
            return try await pool.read(answer)
        } catch let error as DatabaseError { throw DatabaseFault(error) }
    }

    /// Runs `body` under `BEGIN IMMEDIATE`.
    package func write<T: Sendable>(_ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        try check()
        Telemetry.database.note(1, .write, over: .other)
        do {
            let result = try await pool.writeWithoutTransaction { database in
                var result: T?
                try Telemetry.database.measure(.write) {
                    try database.inTransaction(.immediate) {
                        result = try body(SQLiteConnection(database: database))
                        return .commit
                    }
                }
                guard let result else { throw DatabaseFault(.corrupt, "a transaction was committed without its result") }
                return result
            }
            // Removed while it was written: nobody can say whether it is kept.
            try check()
            return result
        } catch let error as DatabaseError { throw DatabaseFault(error) }
    }

    /// Runs `body` like ``write(_:)``, and holds the caller's thread until it is done: for what is done inside a transaction
    /// of another database, on that one's thread.
    package func writeWithin<T>(_ body: (any Connection) throws -> T) throws -> T {
        do {
            return try pool.write { database in try body(SQLiteConnection(database: database)) }
        } catch let error as DatabaseError { throw DatabaseFault(error) }
    }

    /// Moves what can be moved from the log of changes into the file, without making anyone wait. What failed is done again
    /// the next time.
    package func checkpoint() async throws(DatabaseFault) {
        guard let checkpointer else { return }
        do {
            try await checkpointer.writeWithoutTransaction { database in
                // All that was written was looked at, and most of it for the last time.
                defer { unsafe _ = apus_sqlite_release(database.sqliteConnection) }
                _ = try database.checkpoint(.passive)
            }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            // A commit does the same just now.
        } catch let error where error is CancellationError || (error as? DatabaseError)?.resultCode == .SQLITE_INTERRUPT {
            // Whoever asked does not wait for it any more: it was not begun, or was broken off.
        } catch { throw DatabaseFault(error) }
    }

    /// The connection for what takes long, where there is one.
    private var beside: any DatabaseWriter { checkpointer ?? pool }

    /// Writes what the database holds at one moment into a file that is there and empty. Nobody waits meanwhile, and what
    /// was deleted is not in the copy.
    package func copy(to path: String) async throws(DatabaseFault) {
        do {
            // One that has been removed since is not made again.
            let existing = URL(filePath: path).absoluteString + "?mode=rw"
            try await beside.writeWithoutTransaction { database in
                try database.execute(sql: "VACUUM INTO ?", arguments: [existing])
            }
        } catch { throw DatabaseFault(error) }
    }

    /// Writes the whole file anew, without what was deleted in it or overwritten. Writers wait meanwhile.
    package func compact() async throws(DatabaseFault) {
        do {
            try await patiently { try $0.execute(sql: "VACUUM") }
            try await patiently { _ = try $0.checkpoint(.truncate) }
        } catch { throw DatabaseFault(error) }
    }

    /// Does something again and again while others keep it from being done: SQLite itself does not wait for another's checkpoint.
    private func patiently(_ body: @escaping @Sendable (GRDB.Database) throws -> Void) async throws {
        let deadline = ContinuousClock.now + .seconds(Self.busySeconds)
        while true {
            do { return try await beside.writeWithoutTransaction(body) } catch let error as DatabaseError
                where error.resultCode == .SQLITE_BUSY && .now < deadline
            {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
    }

    /// Closes all connections; running statements finish first.
    func closeConnections() throws(DatabaseFault) {
        do {
            // What was committed is then in the one file, for whoever copies it.
            try checkpointer?.writeWithoutTransaction { database in
                do { _ = try database.checkpoint(.truncate) } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
                    // Another process does it just now, and has the database open.
                }
            }
            try checkpointer?.close()
            try localReaders?.close()
            try pool.close()
        } catch { throw DatabaseFault(error) }
    }

    /// Takes a file that was closed out of WAL mode, for a program that does not use it. As long as another process has it
    /// open it stays as it is.
    package static func leaveWAL(path: String) throws(DatabaseFault) {
        let database = try SQLiteDatabase(path: path, as: .foreign)
        do {
            try database.pool.writeWithoutTransaction { database in
                do { try database.execute(sql: "PRAGMA journal_mode = DELETE") } catch let error as DatabaseError
                    where error.resultCode == .SQLITE_BUSY
                {}
            }
        } catch { throw DatabaseFault(error) }
        try database.close()
    }
}
