internal import CPostgres

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
