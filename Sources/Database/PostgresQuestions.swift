internal import Synchronization
internal import Telemetry

/// Asks statements by themselves, many in one round trip: while one trip is under way, questions queue, and the next takes
/// all of them.
///
/// There are a few sessions for it, each with a lane. The first is for what is small, until so many wait for it that another helps:
/// fewer trips are less work. What may be large has the others, so that nothing small waits behind it, and the server's cores share it.
final class PostgresQuestions: Sendable {
    /// How many statements go in one trip, unless one question has more.
    private static let tripLimit = 128
    /// How many questions may wait for their trip in a lane; more are told to come again.
    private static let queueLimit = 1024
    /// How many small questions wait in a lane before another is used for them too.
    private static let helpedFrom = 16

    private let address: PostgresAddress
    private let lanes: [Lane]
    private let pool: DatabaseMetrics.Pool

    /// - Parameters:
    ///   - connections: used for nothing else.
    ///   - pool: as whose what is asked is counted.
    ///   - patience: how long a question waits for its trip, by the time of the address: a session may be held by a lock.
    init(_ address: PostgresAddress, connections: [PostgresConnection], as pool: DatabaseMetrics.Pool, patience: Duration) {
        self.address = address
        lanes = connections.map { Lane($0, address, patience: patience) }
        self.pool = pool
    }

    /// Questions that wait for a session.
    private final class Lane: Sendable {
        let connection: PostgresConnection
        private let queue = Mutex<[Question]>([])

        private let address: PostgresAddress
        private let patience: Duration

        init(_ connection: PostgresConnection, _ address: PostgresAddress, patience: Duration) {
            self.connection = connection
            self.address = address
            self.patience = patience
        }

        var count: Int { queue.withLock { $0.count } }

        /// Queues a question, unless as many wait.
        func append(_ question: Question, limit: Int) -> Bool {
            queue.withLock { queue in
                guard queue.count < limit else { return false }
                queue.append(question)
                return true
            }
        }

        /// Takes as many as fit into a trip, or all. Those who have waited too long are told so.
        func take(all: Bool) -> [Question] {
            let latest = address.time - patience
            let (taken, late) = queue.withLock { queue in
                var (count, statements) = (0, 0)
                while count < queue.count, all || statements == 0 || statements + queue[count].batch.count <= PostgresQuestions.tripLimit {
                    if queue[count].since >= latest { statements += queue[count].batch.count }
                    count += 1
                }
                defer { queue.removeFirst(count) }
                return (queue.prefix(count).filter { $0.since >= latest }, queue.prefix(count).filter { $0.since < latest })
            }
            for question in late { question.take(.failure(DatabaseFault(.unavailable, "PostgreSQL: no connection is free"))) }
            return taken
        }
    }

    /// The rows of the answer. The statement has a snapshot of its own, and its answer must be small.
    func ask<T: Sendable>(
        _ statement: Statement, _ values: [Value], _ row: @escaping @Sendable (any Row) throws -> T
    ) async throws -> [T] {
        try await ask([(statement, values)], .small)[0].rows.map(row)
    }

    /// The answers to statements that are asked in one snapshot, one for each.
    func ask(_ batch: [(statement: Statement, values: [Value])], _ extent: ReadExtent) async throws -> [PostgresResult] {
        let answer = Answer()
        let question = Question(batch: batch, since: address.time) { answer.give($0) }
        guard let lane = lane(for: question, extent) else {
            Telemetry.database.timeouts[pool].increment()
            throw DatabaseFault(.unavailable, "PostgreSQL: too many questions wait")
        }
        TripCount.current?.add(1, .question, over: pool)
        // On the connection's thread all that has queued by then is taken; those who come after find their answers there.
        while true {
            await lane.connection.answer { all in lane.take(all: all) }
            if let result = answer.result { return try result.get() }
        }
    }

    /// The lane that has taken a question; nil where too many wait.
    private func lane(for question: Question, _ extent: ReadExtent) -> Lane? {
        if extent == .small, let first = lanes.first, first.append(question, limit: Self.helpedFrom) { return first }
        let others = extent == .small || lanes.count == 1 ? lanes[...] : lanes.dropFirst()
        guard let lane = others.min(by: { $0.count < $1.count }) else { return nil }
        return lane.append(question, limit: Self.queueLimit) ? lane : nil
    }

    private final class Answer: Sendable {
        private let stored = Mutex<Result<[PostgresResult], any Error>?>(nil)
        var result: Result<[PostgresResult], any Error>? { stored.withLock { $0 } }
        func give(_ result: Result<[PostgresResult], any Error>) { stored.withLock { $0 = result } }
    }
}

/// Statements that are asked by themselves, in one snapshot.
struct Question: Sendable {
    let batch: [(statement: Statement, values: [Value])]
    /// When it was asked, by the time of the address.
    var since = Duration.zero
    /// Takes the answers, on the connection's thread.
    let take: @Sendable (Result<[PostgresResult], any Error>) -> Void
}
