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
