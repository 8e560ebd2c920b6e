package import Telemetry

/// PostgreSQL over libpq: a pool of connections, each with a thread of its own for libpq's blocking calls.
///
/// A connection that broke is closed and opened again at its next use, so the process outlives the server. So is one to a server
/// that answers no more, or cannot be written any more (``PostgresAddress``, ``PostgresWire``). Where there is no server, what can be
/// asked later waits, for the first ``moveLimit`` of its absence if so wanted: a primary that is moved on purpose is back by then.
/// After that, until there is one, all who ask get ``DatabaseFault/Kind/unavailable`` at once; so do those whose write met the break.
package final class PostgresDatabase: RemoteDatabase {
    /// Which of the servers that an address may lead to are meant.
    package enum Role: Sendable {
        /// The one that can be written, unless the address says otherwise with `target_session_attrs`.
        case writable
        /// Any that answers, standbys among them.
        case any
    }

    /// How long those who serve requests wait for a primary that moves.
    package static let moveLimit = Duration.seconds(5)

    /// How many sessions there are for what is asked together, beside those of transactions. They are opened when they are needed.
    private static let questioners = 3

    private let address: PostgresAddress
    private let patience: Duration
    private let pool: ConnectionPool
    /// Nil where nobody is there to ask together with.
    private let questions: PostgresQuestions?

    /// This one.
    package var engine: DatabaseEngine { .postgres(self) }

    /// Prepares a pool; nothing is opened yet.
    ///
    /// - Parameters:
    ///   - url: `postgres://…`, in any form that libpq understands.
    ///   - connections: how many transactions may run at the same time.
    ///   - pool: as what the connections are counted.
    ///   - patience: how long one waits for a connection before being told to come again. Time in which a server is waited for does not
    ///     count.
    ///   - moveLimit: how long a server is waited for that is away; not at all where a person waits, who would rather know.
    package convenience init(
        url: String, connections: Int = 4, role: Role = .writable, as pool: DatabaseMetrics.Pool = .other, patience: Duration = .seconds(3),
        moveLimit: Duration = .zero
    ) {
        self.init(PostgresAddress(url: url, role: role, moveLimit: moveLimit), connections, pool, patience, asksTogether: true)
    }

    private init(
        _ address: PostgresAddress, _ connections: Int, _ name: DatabaseMetrics.Pool, _ patience: Duration, asksTogether: Bool
    ) {
        self.address = address
        self.patience = patience
        pool = ConnectionPool(address, size: connections, as: name, patience: patience)
        let others = (0..<Self.questioners).map { PostgresConnection(address, number: connections + $0, of: name) }
        questions = asksTogether ? PostgresQuestions(address, connections: others, as: name, patience: patience) : nil
    }

    /// Whether there is no server, for so short a time that those who need one wait for it.
    package var isMoving: Bool { address.isMoving }

    /// Whether libpq understands an address.
    package static func understands(_ url: String) -> Bool { PostgresAddress(url: url, role: .any).isUnderstood }

    /// The files of certificates that an address names.
    package static func certificateFiles(of url: String) -> [String] {
        let address = PostgresAddress(url: url, role: .any)
        // `system` stands for the system's own.
        return ["sslrootcert", "sslcert"].compactMap { address.parameter($0) }.filter { !$0.isEmpty && $0 != "system" }
    }

    /// Another pool for the same servers, for work that few do: what one finds out about them, both know.
    package func sibling(connections: Int, as pool: DatabaseMetrics.Pool = .other) -> PostgresDatabase {
        PostgresDatabase(address, connections, pool, patience, asksTogether: false)
    }

    /// Runs `body` in a snapshot.
    package func read<T: Sendable>(_ extent: ReadExtent, _ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        try await transact(.reading, body)
    }

    /// Runs `body` in a transaction that is durable when this returns.
    package func write<T: Sendable>(_ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        try await transact(.writing, body)
    }

    /// Asks one statement, in one round trip together with what others ask.
    package func ask<T: Sendable>(
        _ statement: Statement, _ values: [Value], _ row: @escaping @Sendable (any Row) throws -> T
    ) async throws -> [T] {
        guard let questions else { return try await borrow { try await $0.answers([(statement, values)]) }[0].rows.map(row) }
        return try await questions.ask(statement, values, row)
    }

    /// Runs `body` on what is asked ahead, in one round trip together with what others ask; where that is not enough, in a snapshot.
    package func read<T: Sendable>(
        _ extent: ReadExtent, asking inquiry: () -> Inquiry?, _ body: @escaping @Sendable (any Connection) throws -> T
    ) async throws -> T {
        guard let inquiry = inquiry(), inquiry.count > 0 else { return try await read(extent, body) }
        let results =
            if let questions {
                try await questions.ask(inquiry.statements, extent)
            } else {
                try await borrow { try await $0.answers(inquiry.statements) }
            }
        let answers = AnswersConnection(inquiry, results)
        do {
            let result = try body(answers)
            if !answers.isIncomplete { return result }
        } catch {
            guard answers.isIncomplete else { throw error }
        }
        return try await read(extent, body)
    }

    /// Runs statements as one transaction of its own, in one round trip, and makes something of the last one's first row:
    /// no lock that they take spans a round trip of ours.
    package func atomically<T: Sendable>(
        _ batch: [(statement: Statement, values: [Value])], _ row: @escaping @Sendable (any Row) throws -> T
    ) async throws -> T {
        try await borrow { connection in try await connection.atomically(batch, row) }
    }

    private func transact<T: Sendable>(
        _ kind: TransactionKind, _ body: @escaping @Sendable (any Connection) throws -> T
    ) async throws -> T {
        try await borrow { connection in try await connection.transact(kind, body) }
    }

    private func borrow<T: Sendable>(_ body: (PostgresConnection) async throws -> T) async throws -> T {
        let connection = try await pool.acquire()
        let result: Result<T, any Error>
        do { result = .success(try await body(connection)) } catch { result = .failure(error) }
        await pool.release(connection)
        return try result.get()
    }
}

/// Lends connections; those who find none wait in line, a bounded time and number of them.
actor ConnectionPool {
    /// How many may wait for a connection; more are told to come again.
    private static let waitersLimit = 1024

    private typealias Waiter = CheckedContinuation<PostgresConnection?, Never>

    private var idle: [PostgresConnection]
    /// In the order in which they came.
    private var waiters: [(ticket: Int, waiter: Waiter)] = []
    private var lastTicket = 0
    private let size: Int
    private let name: DatabaseMetrics.Pool
    private let address: PostgresAddress
    /// How long one waits, by the time of the address.
    private let patience: Duration

    init(_ address: PostgresAddress, size: Int, as name: DatabaseMetrics.Pool, patience: Duration) {
        idle = (0..<size).map { PostgresConnection(address, number: $0, of: name) }
        self.size = size
        self.name = name
        self.address = address
        self.patience = patience
        Telemetry.database.connections[name].add(size)
    }

    deinit { Telemetry.database.connections[name].add(-size) }

    func acquire() async throws(DatabaseFault) -> PostgresConnection {
        if let connection = idle.popLast() {
            Telemetry.database.lent[name].increment()
            return connection
        }
        guard waiters.count < Self.waitersLimit, let connection = await wait() else {
            Telemetry.database.timeouts[name].increment()
            throw DatabaseFault(.unavailable, "PostgreSQL: no connection is free", isAway: true)
        }
        return connection
    }

    func release(_ connection: PostgresConnection) {
        guard waiters.isEmpty else { return waiters.removeFirst().waiter.resume(returning: connection) }
        idle.append(connection)
        Telemetry.database.lent[name].decrement()
    }

    /// The next free connection, or nil when there is none in time.
    private func wait() async -> PostgresConnection? {
        lastTicket += 1
        let ticket = lastTicket
        Telemetry.database.waiting[name].increment()
        defer { Telemetry.database.waiting[name].decrement() }
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { [patience, address] in
                let end = address.time + patience
                // Cancelled when a connection came, or because nobody waits for the answer any more.
                while !Task.isCancelled, address.time < end { do { try await Task.sleep(for: end - address.time) } catch {} }
                await self.giveUp(ticket)
            }
            defer { group.cancelAll() }
            return await withCheckedContinuation { waiters.append((ticket, $0)) }
        }
    }

    private func giveUp(_ ticket: Int) {
        guard let index = waiters.firstIndex(where: { $0.ticket == ticket }) else { return }
        waiters.remove(at: index).waiter.resume(returning: nil)
    }
}
