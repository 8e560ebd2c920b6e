internal import GRDB
internal import Foundation

/// SQLite in WAL mode through GRDB: one writer, several readers, each on a thread of its own.
public final class SQLiteDatabase: Database {
    /// How many snapshots may be read at the same time.
    private static let readers = 4
    /// How long a writer waits for another process (the command line beside a running server).
    private static let busySeconds = 10.0
    /// Pages in the log of changes before they are moved into the file. SQLite's own 1,000 would come every 40 items.
    private static let checkpointPages = 8000

    private let pool: DatabasePool
    /// A connection beside the pool: moving changes into the file must not make the writer wait.
    private let checkpointer: DatabaseQueue

    /// The engine's dialect.
    public var dialect: Dialect { .sqlite }

    /// Opens the file, or makes it.
    ///
    /// - Throws: ``DatabaseFault`` when the file cannot be opened or is no database.
    public init(path: String) throws(DatabaseFault) {
        var configuration = Configuration()
        configuration.maximumReaderCount = Self.readers
        configuration.busyMode = .timeout(Self.busySeconds)
        configuration.label = "apus.sqlite"
        configuration.prepareDatabase { database in
            // FULL: a commit is on the disk when it is acknowledged, not only in the operating system's hands (G1).
            try database.execute(sql: "PRAGMA synchronous = FULL")
            try database.execute(sql: "PRAGMA wal_autocheckpoint = \(Self.checkpointPages)")
        }
        do {
            pool = try DatabasePool(path: path, configuration: configuration)
            checkpointer = try DatabaseQueue(path: path, configuration: configuration)
        } catch { throw DatabaseFault(error) }
    }

    /// Runs `body` in a snapshot.
    public func read<T: Sendable>(_ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        do {
            return try await pool.read { database in try body(SQLiteConnection(database: database)) }
        } catch let error as DatabaseError { throw DatabaseFault(error) }
    }

    /// Runs `body` under `BEGIN IMMEDIATE`.
    public func write<T: Sendable>(_ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        do {
            return try await pool.writeWithoutTransaction { database in
                var result: T?
                try database.inTransaction(.immediate) {
                    result = try body(SQLiteConnection(database: database))
                    return .commit
                }
                guard let result else { throw DatabaseFault(.corrupt, "a transaction was committed without its result") }
                return result
            }
        } catch let error as DatabaseError { throw DatabaseFault(error) }
    }

    /// Runs `body` like ``write(_:)``, and holds the caller's thread until it is done: for what is done inside a transaction
    /// of another database, on that one's thread.
    public func writeWithin<T>(_ body: (any Connection) throws -> T) throws -> T {
        do {
            return try pool.write { database in try body(SQLiteConnection(database: database)) }
        } catch let error as DatabaseError { throw DatabaseFault(error) }
    }

    /// Moves what can be moved from the log of changes into the file, without making anyone wait.
    public func checkpoint() async throws(DatabaseFault) {
        do {
            try await checkpointer.writeWithoutTransaction { database in _ = try database.checkpoint(.passive) }
        } catch { throw DatabaseFault(error) }
    }

    /// Writes what the database holds at one moment into a file that is empty or not there. Nobody waits meanwhile, and what
    /// was deleted is not in the copy.
    public func copy(to path: String) async throws(DatabaseFault) {
        do {
            try await checkpointer.writeWithoutTransaction { database in
                try database.execute(sql: "VACUUM INTO ?", arguments: [path])
            }
        } catch { throw DatabaseFault(error) }
    }

    /// Writes the whole file anew, without what was deleted in it or overwritten. Writers wait meanwhile.
    public func compact() async throws(DatabaseFault) {
        do {
            try await checkpointer.writeWithoutTransaction { database in
                try database.execute(sql: "VACUUM")
                _ = try database.checkpoint(.truncate)
            }
        } catch { throw DatabaseFault(error) }
    }

    /// Closes all connections; running statements finish first.
    public func close() throws(DatabaseFault) {
        do {
            // What was committed is then in the one file, for whoever copies it.
            try checkpointer.writeWithoutTransaction { database in
                do { _ = try database.checkpoint(.truncate) } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
                    // Another process does it just now, and has the database open.
                }
            }
            try checkpointer.close()
            try pool.close()
        } catch { throw DatabaseFault(error) }
    }
}

private struct SQLiteConnection: Connection {
    let database: GRDB.Database

    @discardableResult
    func execute(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> Int {
        do {
            try database.cachedStatement(sql: statement.sqlite).execute(arguments: StatementArguments(values.map { try $0.sqlite }))
            return database.changesCount
        } catch { throw DatabaseFault(error) }
    }

    func enqueue(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) { try execute(statement, values) }

    func enqueue(_ statement: SetStatement, rows: [[Value]]) throws(DatabaseFault) {
        for row in rows { try execute(statement.each, row) }
    }

    func query<T>(_ statement: Statement, _ values: [Value], _ row: (any Row) throws -> T) throws -> [T] {
        do {
            let cursor = try GRDB.Row.fetchCursor(
                database.cachedStatement(sql: statement.sqlite), arguments: StatementArguments(values.map { try $0.sqlite }))
            var results: [T] = []
            while let next = try cursor.next() { results.append(try row(SQLiteRow(row: next))) }
            return results
        } catch let error as DatabaseError { throw DatabaseFault(error) }
    }

    func run(script: String) throws(DatabaseFault) {
        do { try database.execute(sql: script) } catch { throw DatabaseFault(error) }
    }
}

private struct SQLiteRow: Row {
    let row: GRDB.Row

    func integer(_ column: Int) -> Int64 { row[column] }
    func integerOrNil(_ column: Int) -> Int64? { row[column] }
    func text(_ column: Int) -> String { row[column] }
    func textOrNil(_ column: Int) -> String? { row[column] }
    func blobOrNil(_ column: Int) -> [UInt8]? {
        do { return try row.withUnsafeData(atIndex: column) { $0.map { [UInt8]($0) } } } catch {
            preconditionFailure("column \(column) holds no bytes")
        }
    }

    func blob(_ column: Int) -> [UInt8] {
        guard let bytes = blobOrNil(column) else { preconditionFailure("column \(column) is null") }
        return bytes
    }
}

extension Value {
    fileprivate var sqlite: DatabaseValue {
        get throws {
            switch self {
            case .null: .null
            case .integer(let number): number.databaseValue
            case .text(let text): text.withoutNUL.databaseValue
            case .blob(let bytes): Data(bytes).databaseValue
            // `json_each` takes lists apart again.
            case .texts(let texts): String(decoding: try JSONEncoder().encode(texts.map { $0?.withoutNUL }), as: UTF8.self).databaseValue
            case .integers(let numbers): String(decoding: try JSONEncoder().encode(numbers), as: UTF8.self).databaseValue
            case .blobs: preconditionFailure("SQLite has no lists of byte strings")
            }
        }
    }
}

extension DatabaseFault {
    init(_ error: any Error) {
        guard let error = error as? DatabaseError else {
            self = (error as? DatabaseFault) ?? DatabaseFault(.unavailable, "\(type(of: error))")
            return
        }
        // Result codes only: messages may hold values.
        let kind: Kind =
            switch error.resultCode {
            case .SQLITE_CONSTRAINT: .constraint
            case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR, .SQLITE_MISMATCH, .SQLITE_MISUSE: .corrupt
            default: .unavailable
            }
        self.init(kind, "SQLite: \(error.resultCode) (\(error.extendedResultCode.rawValue))")
    }
}
