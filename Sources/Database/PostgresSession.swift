internal import CPostgres

/// One session with the server: its wire and what was prepared on it. Never leaves the actor that opened it.
///
/// Safe: the handle of libpq is its wire's, which lives as long as the session.
@safe final class PostgresSession: Connection {
    /// How many statements are sent before their answers are taken: more could fill both sides' buffers and stop both.
    private static let pipelineLimit = 64

    var dialect: Dialect { .postgres }

    /// How often sessions had become suspect when it was opened (``PostgresAddress/suspicions``).
    let suspicions: Int
    /// What tells it from all others; nil behind a pooler, and where somebody has called a commit off that waited for its standbys:
    /// whether they have it then nobody can say before they are back.
    var mark: SessionMark? { wire.isCalledOff ? nil : known }
    private var known: SessionMark?
    private let wire: PostgresWire
    private var handle: OpaquePointer { unsafe wire.handle }
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
    /// How many round trips were made whose answers were waited for.
    private(set) var trips = 0
    /// How many of them have prepared a statement.
    private(set) var preparations = 0

    init(_ address: PostgresAddress) throws {
        suspicions = address.suspicions
        wire = try address.connect()
        // A pooler tells us a process of its own making.
        let server = try query(Self.selectServer, []) { (process: $0.integer(0), identity: $0.text(1)) }.first
        isPooled = unsafe server?.process != Int64(PQbackendPID(handle))
        let identity = isPooled ? nil : server?.identity
        known = identity.flatMap { identity in server.map { SessionMark(server: identity, process: $0.process) } }
        let pulse = PostgresPulse(parameters: address.parameters(of: wire), identity: identity)
        wire.hasPulse = { pulse.isThere() }
        if !isPooled { try execute(PostgresSettings.setForSession, []) }
    }

    private static let selectServer = Statement("SELECT pg_backend_pid(), \(PostgresPulse.identity)")

    /// With which of an address's servers it is.
    var host: PostgresAddress.Host { wire.host }

    /// Why nothing can be said in the session any more; nil as long as something can.
    var breakage: DatabaseFault? {
        wire.isWhole ? nil : wire.fault ?? DatabaseFault(.unavailable, "PostgreSQL: the connection was lost", isAway: true)
    }

    /// Whether the server has not ended it while it stood idle, as far as that is known here.
    var isThere: Bool { wire.isThere }

    // MARK: Transactions

    /// Begins a transaction with its first statement, in the same round trip.
    func begin(_ statement: Statement) throws(DatabaseFault) {
        try settle()
        wire.limit = PostgresWire.limitOfStatements
        begin = statement
    }

    /// Ends a transaction that has only read, without waiting for the answer: there is nothing to learn from it.
    func endReading() throws(DatabaseFault) {
        // Without a statement nothing has begun.
        guard begin == nil else { return begin = nil }
        wire.beginTrip()
        try wire.sent(unsafe PQsendQuery(handle, "COMMIT"))
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
    private func settle() throws(DatabaseFault) {
        guard isEnding else { return }
        isEnding = false
        try wire.flush()
        while let answer = unsafe try wire.answer() { unsafe PQclear(answer) }
    }

    /// Notes what lifts the server's time limit for the transaction: then there is none here either, as long as the server
    /// shows that it lives.
    private func note(_ sql: String) {
        if sql.contains("statement_timeout = 0") { wire.limit = nil }
    }

    // MARK: Statements

    @discardableResult
    func execute(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> Int {
        try perform(statement, values).changed
    }

    func enqueue(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) {
        if statement.postgres.hasPrefix("SET LOCAL") { note(statement.postgres) }
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
        try flush()
        note(script)
        _ = try ask { unsafe PQsendQuery(handle, script) }
    }

    /// Sends something that is no part of a pipeline, and takes the last of its answers.
    private func ask(_ send: () throws(DatabaseFault) -> Int32) throws(DatabaseFault) -> PostgresResult {
        try settle()
        trips += 1
        wire.beginTrip()
        try wire.sent(try send())
        try wire.flush()
        var last: OpaquePointer?
        while let next = unsafe try wire.answer() {
            unsafe PQclear(last)
            unsafe last = next
        }
        return unsafe try PostgresResult(last)
    }

    private func perform(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> PostgresResult {
        if begin != nil || !queue.isEmpty { return try flush(and: statement, values) }
        let name = try prepare(statement.postgres)
        return try ask { () throws(DatabaseFault) in try send(statement, values, name) }
    }

    /// Hands a statement to libpq: 1 where it took it.
    private func send(_ statement: Statement, _ values: [Value], _ name: String?) throws(DatabaseFault) -> Int32 {
        try unsafe withParameters(values) { count, pointers, lengths, formats in
            guard let name else {
                return unsafe PQsendQueryParams(handle, statement.postgres, count, nil, pointers, lengths, formats, 1)
            }
            return unsafe PQsendQueryPrepared(handle, name, count, pointers, lengths, formats, 1)
        }
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
            throw DatabaseFault(.unavailable, "PostgreSQL: no answer", isAway: true)
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
    /// - Parameter limit: how long that may take.
    /// - Throws: the fault of the first that failed; then nothing has changed.
    func runAlone(
        _ batch: [(statement: Statement, values: [Value])], within limit: Duration = PostgresWire.limitOfStatements
    ) throws(DatabaseFault) -> [PostgresResult] {
        wire.limit = limit
        guard isPooled else { return try pipeline(batch) }
        return Array(try pipeline([(PostgresSettings.setForTransaction, [])] + batch).dropFirst())
    }

    /// Asks several questions in one round trip, in a snapshot of their own.
    ///
    /// - Parameter limit: how long that may take.
    /// - Throws: the fault of the first that failed; then the transaction is to be rolled back.
    func read(
        _ batch: [(statement: Statement, values: [Value])], _ begin: Statement, within limit: Duration
    ) throws(DatabaseFault) -> [PostgresResult] {
        wire.limit = limit
        let before = [(begin, [])] + (isPooled ? [(PostgresSettings.setForTransaction, [Value]())] : [])
        return Array(try pipeline(before + batch + [(Self.commitStatement, [])]).dropFirst(before.count).dropLast())
    }

    /// Runs several statements in one round trip.
    ///
    /// - Throws: the fault of the first that failed; those after it were not run.
    private func pipeline(_ batch: [(statement: Statement, values: [Value])]) throws(DatabaseFault) -> [PostgresResult] {
        let names = try batch.map { item throws(DatabaseFault) in try prepare(item.statement.postgres) }
        try settle()
        trips += 1
        wire.beginTrip()
        try wire.sent(unsafe PQenterPipelineMode(handle))
        for (name, item) in zip(names, batch) {
            do throws(DatabaseFault) { try wire.sent(try send(item.statement, item.values, name)) } catch {
                // What was sent before it must not take effect.
                wire.giveUp("not all could be sent")
                throw error
            }
        }
        try wire.sent(unsafe PQpipelineSync(handle))
        try wire.flush()
        var results: [PostgresResult] = []
        results.reserveCapacity(batch.count)
        var fault: DatabaseFault?
        for _ in batch {
            let answer = unsafe try wire.answer()
            guard unsafe answer != nil else { throw wire.giveUp("no answer") }
            do throws(DatabaseFault) { results.append(try unsafe PostgresResult(answer)) } catch { fault = fault ?? error }
            // Each answer is followed by a null.
            unsafe PQclear(try wire.answer())
        }
        unsafe PQclear(try wire.answer())
        try wire.sent(unsafe PQexitPipelineMode(handle))
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
        preparations += 1
        _ = try ask { unsafe PQsendPrepare(handle, name, sql, 0, nil) }
        prepared[sql] = name
        return name
    }
}
