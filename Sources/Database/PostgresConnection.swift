internal import Dispatch
internal import Foundation
internal import Sodium
internal import Telemetry

/// What a transaction may do.
enum TransactionKind {
    /// Reads one snapshot.
    case reading
    case writing

    var begin: Statement { self == .reading ? Self.beginReading : Self.beginWriting }

    private static let beginReading = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    private static let beginWriting = Statement("BEGIN")
}

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

    /// How long the answers to questions may take, which are small and found at once; waiting for a lock has its own limit, and a
    /// database that moves is waited for.
    private static let questionLimit = Duration.seconds(8)
    /// How often a session is tried to be opened while that is waited for, in seconds; never the same for all.
    private static let openingInterval = 0.1...0.2

    private let address: PostgresAddress
    private let pool: DatabaseMetrics.Pool
    private let executor: QueueExecutor
    private var session: PostgresSession?

    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    /// - Parameter pool: as whose its round trips are counted.
    init(_ address: PostgresAddress, number: Int, of pool: DatabaseMetrics.Pool = .other) {
        self.address = address
        self.pool = pool
        executor = QueueExecutor(label: "apus.postgres.\(number)")
    }

    /// Runs `body` in a transaction. When the connection breaks, the next use opens another.
    ///
    /// A transaction whose commit got no answer may have happened; its caller learns only that the database is away.
    func transact<T: Sendable>(_ kind: TransactionKind, _ body: @Sendable (any Connection) throws -> T) throws -> T {
        try use(kind == .reading ? .read : .write, isRepeatable: kind == .reading) { session in
            do {
                try session.begin(kind.begin)
                let result = try body(session)
                switch kind {
                case .reading: try session.endReading()
                case .writing: try session.commit()
                }
                return result
            } catch {
                if session.breakage == nil { try session.rollBack() }
                throw error
            }
        }
    }

    /// Runs statements as one transaction of its own, in one round trip, and makes something of the last one's first row.
    ///
    /// Where there was no answer, the fault says in which session it was asked for (``DatabaseFault/asked``).
    func atomically<T: Sendable>(
        _ batch: [(statement: Statement, values: [Value])], _ make: @Sendable (any Row) throws -> T
    ) throws -> T {
        try use(.append, isRepeatable: false) { session in
            guard let row = try session.runAlone(batch).last?.rows.first else {
                throw DatabaseFault(.corrupt, "PostgreSQL: an answer has no row")
            }
            return try make(row)
        }
    }

    /// Answers questions in one round trip. `take` says which, as late as possible; where there is nobody to answer, it is
    /// asked for all that are left, so that each of them is told.
    func answer(_ take: @Sendable (_ all: Bool) -> [Question]) {
        let questions = take(false)
        guard !questions.isEmpty else { return }
        let end = address.time + Self.questionLimit
        do {
            for (question, results) in zip(questions, try ask(questions, until: end)) { question.take(.success(results)) }
        } catch {
            // One question that cannot be answered must not keep the others from it: in the same session, while it lasts, and
            // within the time that all of them have.
            var fault = session == nil || questions.count == 1 ? error : nil
            for question in questions {
                guard fault == nil, address.time < end else {
                    question.take(.failure(fault ?? error))
                    continue
                }
                do { question.take(.success(try ask([question], until: end)[0])) } catch {
                    question.take(.failure(error))
                    if session == nil { fault = error }
                }
            }
            guard session == nil, let fault else { return }
            for question in take(true) { question.take(.failure(fault)) }
        }
    }

    /// The answers to statements that are asked in one snapshot, in one round trip.
    func answers(_ batch: [(statement: Statement, values: [Value])]) throws -> [PostgresResult] {
        try use(.read, isRepeatable: true) { session in
            try Self.ask(batch, session, inSnapshot: batch.count > 1, within: PostgresWire.limitOfStatements)
        }
    }

    private static func ask(
        _ batch: [(statement: Statement, values: [Value])], _ session: PostgresSession, inSnapshot: Bool, within limit: Duration
    ) throws -> [PostgresResult] {
        guard inSnapshot else { return try session.runAlone(batch, within: limit) }
        do { return try session.read(batch, TransactionKind.reading.begin, within: limit) } catch {
            if session.breakage == nil { try session.rollBack() }
            throw error
        }
    }

    /// The answers, a list for each question.
    ///
    /// - Parameter end: until when, by the time of the address.
    private func ask(_ questions: [Question], until end: Duration) throws -> [[PostgresResult]] {
        let results = try use(.question, isRepeatable: true) { session in
            try Self.ask(
                questions.flatMap(\.batch), session, inSnapshot: questions.contains { $0.batch.count > 1 },
                within: max(end - address.time, .milliseconds(1)))
        }
        var rest = results[...]
        return questions.map { question in
            defer { rest = rest.dropFirst(question.batch.count) }
            return Array(rest.prefix(question.batch.count))
        }
    }

    /// Works with the session, opened if need be. What can be repeated is, once, when the session breaks.
    private func use<T>(
        _ kind: DatabaseMetrics.Kind, isRepeatable: Bool, _ body: (PostgresSession) throws -> T
    ) throws -> T {
        try Telemetry.database.measure(kind) { try work(kind, isRepeatable: isRepeatable, body) }
    }

    private func work<T>(
        _ kind: DatabaseMetrics.Kind, isRepeatable: Bool, _ body: (PostgresSession) throws -> T
    ) throws -> T {
        let session = try wholeSession()
        let (trips, preparations) = (session.trips, session.preparations)
        defer {
            let made = session.trips - trips
            Telemetry.database.trips[kind].add(made)
            // What several ask together is counted for each of them where it is asked. A session prepares a statement once, for nobody.
            if kind != .question { TripCount.current?.add(made - (session.preparations - preparations), kind, over: pool) }
        }
        do { return try body(session) } catch {
            if (error as? DatabaseFault)?.canOnlyBeRead == true { address.suspect() }
            guard let breakage = session.breakage else { throw error }
            leave(session)
            guard isRepeatable else { throw kind == .append ? breakage.with(asked: session.mark) : breakage }
            return try work(kind, isRepeatable: false, body)
        }
    }

    /// The session, or another one where it is suspect or has ended while it stood idle: then nothing was asked in it, and nothing is
    /// lost with it.
    private func wholeSession() throws -> PostgresSession {
        if let session, session.suspicions == address.suspicions {
            if session.isThere { return session }
            leave(session)
        }
        session = nil
        let opened = try openSession()
        session = opened
        return opened
    }

    private func leave(_ session: PostgresSession) {
        self.session = nil
        address.broke(session.host)
        address.suspect()
    }

    /// Opens a session; again and again while there is no server, as long as that is waited for.
    private func openSession() throws -> PostgresSession {
        while true {
            address.isLookedFor()
            do {
                let session = try PostgresSession(address)
                address.isBack()
                return session
            } catch {
                guard (error as? DatabaseFault)?.isAway == true else { throw error }
                guard address.isMoving else { throw error }
                Thread.sleep(forTimeInterval: .random(in: Self.openingInterval))
            }
        }
    }
}
