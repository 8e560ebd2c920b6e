internal import Synchronization

/// Asks statements by themselves, many in one round trip: while one trip is under way, questions queue, and the next takes
/// all of them.
final class PostgresQuestions: Sendable {
    /// How many go in one trip: more could fill both sides' buffers and stop both.
    private static let tripLimit = 64
    /// How many may wait for their trip; more are told to come again.
    private static let queueLimit = 1024

    private let connection: PostgresConnection
    private let queue = Mutex<[Question]>([])

    /// - Parameter connection: used for nothing else.
    init(connection: PostgresConnection) { self.connection = connection }

    /// The rows of the answer. The statement has a snapshot of its own, and its answer must be small.
    func ask<T: Sendable>(
        _ statement: Statement, _ values: [Value], _ row: @escaping @Sendable (any Row) throws -> T
    ) async throws -> [T] {
        let answer = Answer<[T]>()
        let question = Question(statement: statement, values: values) { result in
            answer.give(Result { try result.get().rows.map(row) })
        }
        let isQueued = queue.withLock { queue in
            guard queue.count < Self.queueLimit else { return false }
            queue.append(question)
            return true
        }
        guard isQueued else { throw DatabaseFault(.unavailable, "PostgreSQL: too many questions wait") }
        // On the connection's thread all that has queued by then is taken; those who come after find their answers there.
        while answer.result == nil { await connection.answer { all in self.take(all ? Self.queueLimit : Self.tripLimit) } }
        guard let result = answer.result else { preconditionFailure("the answer is there") }
        return try result.get()
    }

    private func take(_ limit: Int) -> [Question] {
        queue.withLock { queue in
            defer { queue.removeFirst(min(queue.count, limit)) }
            return Array(queue.prefix(limit))
        }
    }

    private final class Answer<T: Sendable>: Sendable {
        private let stored = Mutex<Result<T, any Error>?>(nil)
        var result: Result<T, any Error>? { stored.withLock { $0 } }
        func give(_ result: Result<T, any Error>) { stored.withLock { $0 = result } }
    }
}

/// A statement that is asked by itself.
struct Question: Sendable {
    let statement: Statement
    let values: [Value]
    /// Takes the answer, on the connection's thread.
    let take: @Sendable (Result<PostgresResult, any Error>) -> Void
}
