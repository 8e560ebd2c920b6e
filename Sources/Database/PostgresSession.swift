internal import CPostgres
internal import Logging

/// One session with the server: the handle of libpq and what was prepared on it. Never leaves the actor that opened it.
///
/// Safe: the handle is opened and closed here, and lives as long as the object.
@safe final class PostgresSession: Connection {
    /// How many statements are sent before their answers are taken: more could fill both sides' buffers and stop both.
    private static let pipelineLimit = 64

    private let handle: OpaquePointer
    /// Whether a pooler stands between us and the server, which gives each transaction to another of its sessions: then
    /// nothing is kept in the session, neither settings nor prepared statements.
    private var isPooled = true
    private var prepared: [String: String] = [:]
    /// What was enqueued and not sent yet.
    private var queue: [(statement: Statement, values: [Value])] = []
    /// What begins the transaction, until its first statement takes it along.
    private var begin: Statement?
    /// Whether the end of a transaction was sent whose answer was not taken yet.
    private var isEnding = false

    init(url: String) throws {
        guard let handle = unsafe try PostgresAddress(url).connect() else {
            throw DatabaseFault(.unavailable, "PostgreSQL: out of memory")
        }
        unsafe self.handle = handle
        // libpq would write them to the standard error stream.
        _ = unsafe PQsetNoticeProcessor(
            handle,
            { _, text in
                guard let text = unsafe text else { return }
                let words = unsafe String(cString: text).split(whereSeparator: \.isNewline).joined(separator: " ")
                Logger(label: "apus").warning("PostgreSQL says something", metadata: ["notice": "\(words)"])
            }, nil)
        guard unsafe PQstatus(handle) == CONNECTION_OK else {
            throw DatabaseFault(.unavailable, "PostgreSQL: no connection: \(unsafe Self.reason(of: handle))")
        }
        // A pooler tells us a process of its own making.
        let process = try query(Statement("SELECT pg_backend_pid()"), []) { $0.integer(0) }
        isPooled = unsafe process != [Int64(PQbackendPID(handle))]
        if !isPooled { try execute(PostgresSettings.setForSession, []) }
    }

    deinit { unsafe PQfinish(handle) }

    /// Why no connection came about: who, where and what the server said.
    private static func reason(of handle: OpaquePointer) -> String {
        guard let message = unsafe PQerrorMessage(handle) else { return "no reason is known" }
        // A line for each address that was tried; questions to the reader are indented.
        return unsafe String(cString: message).split(separator: "\n").filter { !$0.hasPrefix("\t") }.joined(separator: "; ")
    }

    /// Whether the server is gone.
    var isBroken: Bool { unsafe PQstatus(handle) != CONNECTION_OK }

    // MARK: Transactions

    /// Begins a transaction with its first statement, in the same round trip.
    func begin(_ statement: Statement) {
        settle()
        begin = statement
    }

    /// Ends a transaction that has only read, without waiting for the answer: there is nothing to learn from it.
    func endReading() throws(DatabaseFault) {
        // Without a statement nothing has begun.
        guard begin == nil else { return begin = nil }
        guard unsafe PQsendQuery(handle, "COMMIT") == 1 else { throw DatabaseFault(.unavailable, "PostgreSQL: nothing can be sent") }
        isEnding = true
    }

    /// Commits, in one round trip with what was enqueued.
    func commit() throws(DatabaseFault) {
        if begin != nil, queue.isEmpty { return begin = nil }
        try flush(and: Self.commitStatement)
    }

    /// Gives the transaction up, as far as it has begun.
    func rollBack() throws(DatabaseFault) {
        queue = []
        guard begin == nil else { return begin = nil }
        try run(script: "ROLLBACK")
    }

    private static let commitStatement = Statement("COMMIT")

    /// Takes the answer that ``endReading()`` has not waited for.
    private func settle() {
        guard isEnding else { return }
        isEnding = false
        while let answer = unsafe PQgetResult(handle) { unsafe PQclear(answer) }
    }

    // MARK: Statements

    @discardableResult
    func execute(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> Int {
        try perform(statement, values).changed
    }

    func enqueue(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) {
        queue.append((statement, values))
        if queue.count >= Self.pipelineLimit { try flush() }
    }

    func enqueue(_ statement: SetStatement, rows: [[Value]]) throws(DatabaseFault) {
        if !rows.isEmpty { try enqueue(statement.whole, statement.columns(of: rows)) }
    }

    func query<T>(_ statement: Statement, _ values: [Value], _ row: (any Row) throws -> T) throws -> [T] {
        try perform(statement, values).rows.map(row)
    }

    func run(_ queries: [Query]) throws {
        let before = takeQueue()
        let results = try pipeline(before + queries.map { ($0.statement, $0.values) })
        for (query, result) in zip(queries, results.dropFirst(before.count)) { try result.rows.forEach(query.read) }
    }

    func run(script: String) throws(DatabaseFault) {
        settle()
        try flush()
        _ = unsafe try PostgresResult(PQexec(handle, script))
    }

    private func perform(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> PostgresResult {
        if begin != nil || !queue.isEmpty { return try flush(and: statement, values) }
        settle()
        let name = try prepare(statement.postgres)
        let answer = try unsafe withParameters(values) { count, pointers, lengths, formats in
            guard let name else {
                return unsafe PQexecParams(handle, statement.postgres, count, nil, pointers, lengths, formats, 1)
            }
            return unsafe PQexecPrepared(handle, name, count, pointers, lengths, formats, 1)
        }
        return unsafe try PostgresResult(answer)
    }

    /// Sends what was enqueued in one go.
    private func flush() throws(DatabaseFault) {
        let batch = takeQueue()
        if !batch.isEmpty { _ = try pipeline(batch) }
    }

    /// Sends what was enqueued and a statement behind it in one go; the answer is that statement's.
    @discardableResult
    private func flush(and statement: Statement, _ values: [Value] = []) throws(DatabaseFault) -> PostgresResult {
        guard let last = try pipeline(takeQueue() + [(statement, values)]).last else {
            throw DatabaseFault(.unavailable, "PostgreSQL: no answer")
        }
        return last
    }

    private func takeQueue() -> [(statement: Statement, values: [Value])] {
        defer { (begin, queue) = (nil, []) }
        guard let begin else { return queue }
        return [(begin, [])] + (isPooled ? [(PostgresSettings.setForTransaction, [])] : []) + queue
    }

    /// Runs several statements in one round trip, as a transaction of their own.
    ///
    /// - Throws: the fault of the first that failed; then nothing has changed.
    func runAlone(_ batch: [(statement: Statement, values: [Value])]) throws(DatabaseFault) -> [PostgresResult] {
        guard isPooled else { return try pipeline(batch) }
        return Array(try pipeline([(PostgresSettings.setForTransaction, [])] + batch).dropFirst())
    }

    /// Runs several statements in one round trip.
    ///
    /// - Throws: the fault of the first that failed; those after it were not run.
    private func pipeline(_ batch: [(statement: Statement, values: [Value])]) throws(DatabaseFault) -> [PostgresResult] {
        settle()
        let names = try batch.map { item throws(DatabaseFault) in try prepare(item.statement.postgres) }
        guard unsafe PQenterPipelineMode(handle) == 1 else { throw DatabaseFault(.unavailable, "PostgreSQL: no pipeline") }
        defer { _ = unsafe PQexitPipelineMode(handle) }
        for (name, item) in zip(names, batch) {
            let isSent = try unsafe withParameters(item.values) { count, pointers, lengths, formats in
                guard let name else {
                    return unsafe PQsendQueryParams(handle, item.statement.postgres, count, nil, pointers, lengths, formats, 1)
                }
                return unsafe PQsendQueryPrepared(handle, name, count, pointers, lengths, formats, 1)
            }
            guard isSent == 1 else { throw DatabaseFault(.unavailable, "PostgreSQL: nothing can be sent") }
        }
        guard unsafe PQpipelineSync(handle) == 1 else { throw DatabaseFault(.unavailable, "PostgreSQL: nothing can be sent") }
        var results: [PostgresResult] = []
        results.reserveCapacity(batch.count)
        var fault: DatabaseFault?
        for _ in batch {
            let answer = unsafe PQgetResult(handle)
            do throws(DatabaseFault) { results.append(try unsafe PostgresResult(answer)) } catch { fault = fault ?? error }
            // Each answer is followed by a null.
            guard unsafe answer != nil else { throw DatabaseFault(.unavailable, "PostgreSQL: no answer") }
            _ = unsafe PQgetResult(handle)
        }
        unsafe PQclear(PQgetResult(handle))
        if let fault { throw fault }
        return results
    }

    /// Values as libpq wants them: their number, pointers, lengths, formats. The pointers are good while the closure runs.
    ///
    /// - Throws: ``DatabaseFault`` when one is longer than libpq can say; then nothing was sent of it.
    private func withParameters<T>(
        _ values: [Value], _ body: (Int32, [UnsafePointer<CChar>?], [Int32], [Int32]) -> T
    ) throws(DatabaseFault) -> T {
        // All lie in one buffer, each ended by a zero, as libpq wants its texts.
        var buffer: [UInt8] = []
        var starts: [Int?] = []
        var lengths: [Int32] = []
        var formats: [Int32] = []
        for value in values {
            let (bytes, isBinary) = try value.parameter()
            starts.append(bytes == nil ? nil : buffer.count)
            lengths.append(try ValueLength.checked(bytes?.count ?? 0))
            formats.append(isBinary ? 1 : 0)
            buffer += bytes ?? []
            buffer.append(0)
        }
        return unsafe buffer.withUnsafeBytes { buffer in
            let pointers = unsafe starts.map { start in
                unsafe start.flatMap { unsafe buffer.baseAddress?.advanced(by: $0).assumingMemoryBound(to: CChar.self) }
            }
            return unsafe body(Int32(values.count), pointers, lengths, formats)
        }
    }

    /// The name under which a statement is prepared in this session; nil where it must go with its text each time.
    private func prepare(_ sql: String) throws(DatabaseFault) -> String? {
        if isPooled { return nil }
        if let name = prepared[sql] { return name }
        let name = "s\(prepared.count)"
        _ = unsafe try PostgresResult(PQprepare(handle, name, sql, 0, nil))
        prepared[sql] = name
        return name
    }
}
