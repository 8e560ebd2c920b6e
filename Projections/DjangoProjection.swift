/// What each event does to the tables of the original server, and to the read model's own tables beside them.
///
/// Pattern: a projection applies events in the order of the log, in the transaction that also moves its checkpoint, so
/// that each event takes effect exactly once. Ids come from positions, or are counted along the log where one event makes
/// several rows of a table; so a rebuild from the first position gives the same rows.
///
/// Invariants: an event that cannot be applied stops the projection with an error; nothing is skipped. No rule of the
/// protocol is here: what is in the log has happened.
///
/// A new event type gets a case in ``DjangoProjection/apply(_:_:)`` and its statements in the file of its subject.
package import Database
internal import Domain
package import EventLog

/// What events do to the rows of a read model.
package protocol Projection: Sendable {
    /// Gives each position its stoken.
    var stokens: StokenSealer { get }

    /// What is looked up before events are applied: it costs a round trip, in which other things may be asked too.
    ///
    /// - Parameter events: what comes next in the log; at least one where anything is asked.
    func look(at events: [RecordedEvent]) -> any ProjectionLook
}

/// What is looked up before some events are applied, and applying them.
package protocol ProjectionLook: AnyObject {
    /// What is asked, in the transaction in which they are applied.
    var queries: [Query] { get }

    /// Applies them on what was found, and moves the checkpoint to the last of them.
    ///
    /// - Throws: `DatabaseFault` when the first is not the next one, or when one cannot be applied.
    func apply(_ connection: any Connection) throws
}

/// The projection into the Django-compatible tables.
package struct DjangoProjection: Projection {
    package let stokens: StokenSealer

    /// - Parameter stokens: gives each position its stoken.
    package init(stokens: StokenSealer) {
        self.stokens = stokens
    }

    /// Applies the next events, and moves the checkpoint to the last of them.
    ///
    /// - Throws: `DatabaseFault` when the first event is not the next one, or when one cannot be applied.
    package func apply(_ events: [RecordedEvent], _ connection: any Connection) throws {
        let look = look(at: events)
        try connection.run(look.queries)
        try look.apply(connection)
    }

    package func look(at events: [RecordedEvent]) -> any ProjectionLook { Look(at: events, self) }

    /// The checkpoint, and what the run that the events begin with names.
    private final class Look: ProjectionLook {
        private let events: [RecordedEvent]
        private let projection: DjangoProjection
        fileprivate private(set) var checkpoint: Checkpoint?
        fileprivate private(set) var named: NamedRows?

        init(at events: [RecordedEvent], _ projection: DjangoProjection) {
            (self.events, self.projection) = (events, projection)
            let run = ContentEntry.run(atStartOf: events[...])
            named = run.isEmpty ? nil : NamedRows(run)
        }

        var queries: [Query] { [Checkpoint.query { self.checkpoint = $0 }] + (named?.queries ?? []) }

        /// What the first run of content names; nothing of it is good for those after it.
        fileprivate func takeNamed() -> NamedRows? {
            defer { named = nil }
            return named
        }

        func apply(_ connection: any Connection) throws { try projection.apply(events, self, connection) }
    }

    /// Applies the next events, on what was looked up.
    ///
    /// - Throws: as ``apply(_:_:)`` does.
    private func apply(_ events: [RecordedEvent], _ look: Look, _ connection: any Connection) throws {
        guard let first = events.first, let last = events.last else { return }
        var batch = try Batch(connection: connection, stokens: stokens, at: look.checkpoint)
        let checkpoint = batch.checkpoint.position
        guard checkpoint + 1 == first.position, checkpoint + events.count == last.position else {
            throw DatabaseFault(
                .corrupt, "events \(first.position.rawValue) to \(last.position.rawValue) do not follow \(checkpoint.rawValue)")
        }
        var rest = events[...]
        while let next = rest.first {
            let content = ContentEntry.run(atStartOf: rest)
            let adopted = rest.prefix { AdoptedRows.takes($0.event) }
            if !content.isEmpty {
                try ContentRows.apply(content, naming: look.takeNamed(), &batch)
            } else if !adopted.isEmpty {
                try AdoptedRows.apply(adopted, &batch)
            } else {
                try apply(next, &batch)
            }
            rest = rest.dropFirst(max(content.count, adopted.count, 1))
        }
        try batch.finish(at: last.position)
    }

    /// The bounds of a batch where no projector runs.
    private static let batchEvents = 1000
    private static let batchBytes = 8 << 20

    /// Applies the events that come next in the log, which lies beside the tables, in the caller's transaction.
    ///
    /// - Returns: false where there are none.
    package func applyNext(_ connection: any Connection) throws -> Bool {
        guard let checkpoint = try Checkpoint(connection) else {
            throw DatabaseFault(.corrupt, "the read model has no checkpoint row")
        }
        let (events, _, _) = try EventLog.batch(
            after: checkpoint.position, limit: Self.batchEvents, bytes: Self.batchBytes, connection)
        try apply(events, connection)
        return !events.isEmpty
    }

    /// Brings the tables to the end of the log, which lies beside them, in the caller's transaction.
    package func applyRest(_ connection: any Connection) throws {
        while try applyNext(connection) {}
    }

    private func apply(_ record: RecordedEvent, _ batch: inout Batch) throws {
        switch record.event {
        case .userCreated(let event): try batch.create(event, record)
        case .userInitialized(let event): try batch.setKeys(event.keys, of: event.user)
        case .passwordChanged(let event): try batch.changePassword(event)
        case .userActivityChanged(let event): try batch.changeActivity(event)
        case .userReset(let event): try batch.reset(event)
        case .userErased(let event): try batch.erase(event)
        case .revisionsPruned(let event): try batch.prune(event)
        case .collectionCreated, .itemCreated, .itemRevised, .itemRestored, .chunkStored, .recordsAdopted:
            preconditionFailure("content and what was adopted are applied in runs")
        case .memberJoined(let event): try batch.join(event, record)
        case .memberLevelChanged(let event): try batch.changeLevel(event, record)
        case .memberRemoved(let event): try batch.remove(event, record)
        case .invitationSent(let event): try batch.send(event, record)
        case .invitationWithdrawn(let event): try batch.withdraw(event)
        }
    }
}
