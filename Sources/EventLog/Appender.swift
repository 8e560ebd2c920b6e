package import Database
package import Domain

/// Appends groups of submissions to a log.
package protocol Appender: Sendable {
    /// Decides and appends a group, as a whole.
    ///
    /// - Returns: for each submission its events at their positions, or why it is refused.
    /// - Throws: `DatabaseFault` or ``LogFault`` when the group could not be appended; then nothing of it was.
    func append(_ group: [Submission]) async throws -> [Result<[RecordedEvent], Refusal>]

    /// Decides and appends one submission in a transaction that has done something else before: what a ``Redaction`` needs.
    ///
    /// - Parameter prepare: what is done before; it makes the submission.
    /// - Throws: ``Refusal`` when the rules say no. `DatabaseFault` or ``LogFault`` when it could not be done, of kind
    ///   `conflict` where it may be tried again. Nothing has changed then.
    func append(after prepare: @escaping @Sendable (any Connection) throws -> Submission) async throws -> [RecordedEvent]
}

/// Appends and projects in one transaction of the only writer: SQLite's way.
package struct LocalAppender: Appender {
    private let database: any Database
    private let project: @Sendable (any Connection, [RecordedEvent]) throws -> Void
    private let committed: @Sendable ([RecordedEvent]) -> Void

    /// - Parameters:
    ///   - project: what materializes the events in the append's own transaction.
    ///   - committed: told the events when that transaction is durable.
    package init(
        database: any Database, project: @escaping @Sendable (any Connection, [RecordedEvent]) throws -> Void,
        committed: @escaping @Sendable ([RecordedEvent]) -> Void = { _ in }
    ) {
        self.database = database
        self.project = project
        self.committed = committed
    }

    package func append(_ group: [Submission]) async throws -> [Result<[RecordedEvent], Refusal>] {
        let plan = try await database.write { [project] connection in
            let plan = try LocalAppend.commit(group, connection)
            if !plan.records.isEmpty { try project(connection, plan.records) }
            return plan
        }
        committed(plan.records)
        return plan.answers(shiftedBy: 0)
    }

    package func append(after prepare: @escaping @Sendable (any Connection) throws -> Submission) async throws -> [RecordedEvent] {
        let records = try await database.write { [project] connection in
            let plan = try LocalAppend.commit([prepare(connection)], connection)
            let records = try plan.single.get()
            if !records.isEmpty { try project(connection, records) }
            return records
        }
        committed(records)
        return records
    }
}

extension Plan {
    /// The plan's outcomes, the positions moved by as much as others have appended in the meantime.
    func answers(shiftedBy shift: Int64) -> [Result<[RecordedEvent], Refusal>] {
        outcomes.map { outcome in outcome.map { records[$0].map { $0.shifted(by: shift) } } }
    }

    /// The answer to a submission that is alone.
    var single: Result<[RecordedEvent], Refusal> {
        precondition(outcomes.count == 1, "one submission has one outcome")
        return answers(shiftedBy: 0)[0]
    }
}

extension RecordedEvent {
    fileprivate func shifted(by shift: Int64) -> RecordedEvent {
        guard shift != 0 else { return self }
        let position = Position(rawValue: position.rawValue + shift)
        let isNewUser = if case .userCreated = event { true } else { false }
        return RecordedEvent(
            position: position, epoch: epoch, stream: isNewUser ? .user(UserID(rawValue: position.rawValue)) : stream,
            previous: previous, actor: actor, occurredAt: occurredAt, event: event)
    }
}
