internal import CPostgres
internal import Dispatch

/// A connection to PostgreSQL, used by one transaction at a time, on a thread of its own.
actor PostgresConnection {
    /// Runs an actor's work on a serial queue, so that libpq's blocking calls never hold a thread of the cooperative pool.
    private final class QueueExecutor: SerialExecutor {
        private let queue: DispatchQueue

        init(label: String) { queue = DispatchQueue(label: label) }

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            queue.async { unsafe job.runSynchronously(on: self.asUnownedSerialExecutor()) }
        }
    }

    private let url: String
    private let executor: QueueExecutor
    private var session: PostgresSession?

    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    init(url: String, number: Int) {
        self.url = url
        executor = QueueExecutor(label: "apus.postgres.\(number)")
    }

    /// Runs `body` between `begin` and a commit. When the connection breaks, the next use opens another.
    ///
    /// A transaction whose commit got no answer may have happened; its caller learns only that the database is away.
    func transact<T: Sendable>(_ begin: String, _ body: @Sendable (any Connection) throws -> T) throws -> T {
        let session = try openSession()
        do {
            try session.run(script: begin)
            let result = try body(session)
            try session.run(script: "COMMIT")
            return result
        } catch {
            session.discard()
            if session.isBroken {
                self.session = nil
                throw DatabaseFault(.unavailable, "PostgreSQL: the connection was lost")
            }
            try session.run(script: "ROLLBACK")
            throw error
        }
    }

    /// Runs statements as one transaction of its own, in one round trip, and makes something of the last one's first row.
    func atomically<T: Sendable>(
        _ batch: [(statement: Statement, values: [Value])], _ row: @Sendable (any Row) throws -> T
    ) throws -> T {
        let session = try openSession()
        do {
            guard let last = try session.pipeline(batch).last, last.count > 0 else {
                throw DatabaseFault(.corrupt, "PostgreSQL: an answer has no row")
            }
            return try row(PostgresRow(result: last, row: 0))
        } catch {
            if session.isBroken { self.session = nil }
            throw error
        }
    }

    private func openSession() throws(DatabaseFault) -> PostgresSession {
        if let session, !session.isBroken { return session }
        let opened = try PostgresSession(url: url)
        session = opened
        return opened
    }
}

/// One session with the server: the handle of libpq and what was prepared on it. Never leaves the actor that opened it.
///
/// Safe: the handle is opened and closed here, and lives as long as the object.
@safe final class PostgresSession: Connection {
    /// Bounds on what the server may make us wait for.
    private static let settings = """
        SET client_min_messages = warning;
        SET TimeZone = 'UTC';
        SET lock_timeout = '5s';
        SET statement_timeout = '30s';
        SET idle_in_transaction_session_timeout = '60s'
        """

    /// How many statements are sent before their answers are taken: more could fill both sides' buffers and stop both.
    private static let pipelineLimit = 64

    private let handle: OpaquePointer
    private var prepared: [String: String] = [:]
    /// What was enqueued and not sent yet.
    private var queue: [(statement: Statement, values: [Value], rows: Int?)] = []

    init(url: String) throws(DatabaseFault) {
        guard let handle = unsafe PQconnectdb(Self.bounded(url)) else {
            throw DatabaseFault(.unavailable, "PostgreSQL: out of memory")
        }
        unsafe self.handle = handle
        guard unsafe PQstatus(handle) == CONNECTION_OK else {
            throw DatabaseFault(.unavailable, "PostgreSQL: no connection")
        }
        try run(script: Self.settings)
    }

    deinit { unsafe PQfinish(handle) }

    /// Whether the server is gone.
    var isBroken: Bool { unsafe PQstatus(handle) != CONNECTION_OK }

    @discardableResult
    func execute(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> Int {
        try perform(statement, values).changed
    }

    func enqueue(_ statement: Statement, _ values: [Value], changing rows: Int?) throws(DatabaseFault) {
        queue.append((statement, values, rows))
        if queue.count >= Self.pipelineLimit { try flush() }
    }

    func query<T>(_ statement: Statement, _ values: [Value], _ row: (any Row) throws -> T) throws -> [T] {
        let result = try perform(statement, values)
        return try (0..<result.count).map { try row(PostgresRow(result: result, row: $0)) }
    }

    func run(script: String) throws(DatabaseFault) {
        try flush()
        _ = unsafe try PostgresResult(PQexec(handle, script))
    }

    /// Sends what was enqueued in one go. Outside of a transaction all of it is one, with what comes before the end of the
    /// pipeline.
    func flush() throws(DatabaseFault) {
        let batch = queue
        queue = []
        guard !batch.isEmpty else { return }
        for (statement, _, _) in batch { _ = try prepare(statement.postgres) }
        let results = try pipeline(batch.map { ($0.statement, $0.values) })
        for (result, (_, _, rows)) in zip(results, batch) {
            if let rows, result.changed != rows {
                throw DatabaseFault(.corrupt, "a statement changed \(result.changed) rows, not \(rows)")
            }
        }
    }

    /// Forgets what was enqueued: the transaction is given up.
    func discard() { queue = [] }

    /// Runs several statements in one round trip. Outside of a transaction they are one.
    ///
    /// - Throws: the fault of the first that failed; those after it were not run.
    func pipeline(_ batch: [(statement: Statement, values: [Value])]) throws(DatabaseFault) -> [PostgresResult] {
        let names = try batch.map { item throws(DatabaseFault) in try prepare(item.statement.postgres) }
        guard unsafe PQenterPipelineMode(handle) == 1 else { throw DatabaseFault(.unavailable, "PostgreSQL: no pipeline") }
        defer { _ = unsafe PQexitPipelineMode(handle) }
        for (name, item) in zip(names, batch) {
            let isSent = unsafe withParameters(item.values) { pointers, lengths, formats in
                unsafe PQsendQueryPrepared(handle, name, Int32(item.values.count), pointers, lengths, formats, 1) == 1
            }
            guard isSent else { throw DatabaseFault(.unavailable, "PostgreSQL: nothing can be sent") }
        }
        guard unsafe PQpipelineSync(handle) == 1 else { throw DatabaseFault(.unavailable, "PostgreSQL: nothing can be sent") }
        var outcome: Result<[PostgresResult], DatabaseFault> = .success([])
        for _ in batch {
            let answer = unsafe PQgetResult(handle)
            do throws(DatabaseFault) {
                let result = try unsafe PostgresResult(answer)
                outcome = outcome.map { $0 + [result] }
            } catch {
                if case .success = outcome { outcome = .failure(error) }
            }
            // Each answer is followed by a null.
            guard unsafe answer != nil else { throw DatabaseFault(.unavailable, "PostgreSQL: no answer") }
            _ = unsafe PQgetResult(handle)
        }
        unsafe PQclear(PQgetResult(handle))
        return try outcome.get()
    }

    private func perform(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> PostgresResult {
        try flush()
        let name = try prepare(statement.postgres)
        let answer = unsafe withParameters(values) { pointers, lengths, formats in
            unsafe PQexecPrepared(handle, name, Int32(values.count), pointers, lengths, formats, 1)
        }
        return unsafe try PostgresResult(answer)
    }

    /// Values as libpq wants them: pointers, lengths, formats. The pointers are good while the closure runs.
    private func withParameters<T>(_ values: [Value], _ body: ([UnsafePointer<CChar>?], [Int32], [Int32]) -> T) -> T {
        // All lie in one buffer, each ended by a zero, as libpq wants its texts.
        var buffer: [UInt8] = []
        var starts: [Int?] = []
        var lengths: [Int32] = []
        var formats: [Int32] = []
        for (bytes, isBinary) in values.map(\.parameter) {
            starts.append(bytes == nil ? nil : buffer.count)
            lengths.append(Int32(bytes?.count ?? 0))
            formats.append(isBinary ? 1 : 0)
            buffer += bytes ?? []
            buffer.append(0)
        }
        return unsafe buffer.withUnsafeBytes { buffer in
            let pointers = unsafe starts.map { start in
                unsafe start.flatMap { unsafe buffer.baseAddress?.advanced(by: $0).assumingMemoryBound(to: CChar.self) }
            }
            return unsafe body(pointers, lengths, formats)
        }
    }

    /// The name under which a statement is prepared in this session.
    private func prepare(_ sql: String) throws(DatabaseFault) -> String {
        if let name = prepared[sql] { return name }
        let name = "s\(prepared.count)"
        _ = unsafe try PostgresResult(PQprepare(handle, name, sql, 0, nil))
        prepared[sql] = name
        return name
    }

    /// The address, with bounds on how long a dead server can hold us.
    private static func bounded(_ url: String) -> String {
        let bounds = "connect_timeout=5&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=15000"
        return url + (url.contains("?") ? "&" : "?") + bounds + "&application_name=apus"
    }
}

/// An answer of the server, freed with its last reference.
///
/// Safe: the pointer is checked, freed once, and lives as long as the object.
@safe final class PostgresResult {
    let pointer: OpaquePointer

    /// - Throws: ``DatabaseFault`` by the answer's SQLSTATE; no text of the server, which may hold values.
    init(_ pointer: OpaquePointer?) throws(DatabaseFault) {
        guard let pointer = unsafe pointer else { throw DatabaseFault(.unavailable, "PostgreSQL: no answer") }
        unsafe self.pointer = pointer
        let status = unsafe PQresultStatus(pointer)
        guard ![PGRES_COMMAND_OK, PGRES_TUPLES_OK].contains(status) else { return }
        let state = unsafe PQresultErrorField(pointer, Self.sqlState).map { unsafe String(cString: $0) } ?? "no connection"
        guard state.hasPrefix("AP"), let message = unsafe PQresultErrorField(pointer, Self.message) else {
            throw DatabaseFault(Self.kind(of: state), "PostgreSQL: \(state)")
        }
        throw DatabaseFault(.raised(code: state, message: unsafe String(cString: message)), "PostgreSQL: \(state)")
    }

    deinit { unsafe PQclear(pointer) }

    /// How many rows it holds.
    var count: Int { Int(unsafe PQntuples(pointer)) }

    /// How many rows the statement changed.
    var changed: Int {
        guard let count = unsafe PQcmdTuples(pointer) else { return 0 }
        return unsafe Int(String(cString: count)) ?? 0
    }

    /// `PG_DIAG_SQLSTATE` and `PG_DIAG_MESSAGE_PRIMARY`, macros that are not imported.
    private static let sqlState = Int32(UInt8(ascii: "C"))
    private static let message = Int32(UInt8(ascii: "M"))

    private static func kind(of state: String) -> DatabaseFault.Kind {
        switch state.prefix(2) {
        case "23": .constraint
        case "22", "42", "XX": .corrupt
        default: .unavailable
        }
    }
}

private struct PostgresRow: Row {
    let result: PostgresResult
    let row: Int

    func integer(_ column: Int) -> Int64 {
        guard let number = integerOrNil(column) else { preconditionFailure("column \(column) is null") }
        return number
    }

    func integerOrNil(_ column: Int) -> Int64? {
        guard let bytes = blobOrNil(column) else { return nil }
        precondition(bytes.count <= 8, "column \(column) is no number")
        // Big-endian, of 1 (boolean), 2, 4 or 8 bytes.
        let isNegative = bytes.count > 1 && (bytes.first ?? 0) > 0x7f
        return bytes.reduce(isNegative ? -1 : 0) { $0 << 8 | Int64($1) }
    }

    func text(_ column: Int) -> String {
        guard let text = textOrNil(column) else { preconditionFailure("column \(column) is null") }
        return text
    }

    func textOrNil(_ column: Int) -> String? { blobOrNil(column).map { String(decoding: $0, as: UTF8.self) } }

    func blob(_ column: Int) -> [UInt8] {
        guard let bytes = blobOrNil(column) else { preconditionFailure("column \(column) is null") }
        return bytes
    }

    func blobOrNil(_ column: Int) -> [UInt8]? {
        let (row, column) = (Int32(row), Int32(column))
        guard unsafe PQgetisnull(result.pointer, row, column) == 0, let value = unsafe PQgetvalue(result.pointer, row, column)
        else { return nil }
        let count = Int(unsafe PQgetlength(result.pointer, row, column))
        return unsafe [UInt8](UnsafeRawBufferPointer(start: value, count: count))
    }
}

extension Value {
    /// What goes to the server: bytes as they are, everything else as text, which takes on the type of its place.
    fileprivate var parameter: (bytes: [UInt8]?, isBinary: Bool) {
        switch self {
        case .null: (nil, false)
        case .integer(let number): (Array(String(number).utf8), false)
        case .text(let text): (Array(text.withoutNUL.utf8), false)
        case .blob(let bytes): (bytes, true)
        case .texts(let texts): (Self.array(texts.map { $0.map(Self.quoted) }), false)
        case .integers(let numbers): (Self.array(numbers.map { $0.map { String($0) } }), false)
        case .blobs(let blobs): (Self.array(blobs), true)
        }
    }

    private static func array(_ elements: [String?]) -> [UInt8] {
        Array(("{" + elements.map { $0 ?? "NULL" }.joined(separator: ",") + "}").utf8)
    }

    /// `bytea[]` in PostgreSQL's binary form: dimensions, whether there are nulls, the type of the elements, length and
    /// lower bound, then each element behind its length.
    private static func array(_ elements: [[UInt8]?]) -> [UInt8] {
        let byteaType: Int32 = 17
        var bytes = words([elements.isEmpty ? 0 : 1, elements.contains { $0 == nil } ? 1 : 0, byteaType])
        guard !elements.isEmpty else { return bytes }
        bytes += words([Int32(elements.count), 1])
        for element in elements {
            bytes += words([element.map { Int32($0.count) } ?? -1])
            bytes += element ?? []
        }
        return bytes
    }

    private static func words(_ words: [Int32]) -> [UInt8] {
        words.flatMap { word in stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> Int32($0)) } }
    }

    private static func quoted(_ text: String) -> String {
        "\"" + text.withoutNUL.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
