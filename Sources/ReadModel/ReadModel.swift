/// The questions that the API asks, and the state that commands are decided on.
///
/// Pattern: a request opens one ``Snapshot`` and asks all its questions there, so that what it answers is of one moment.
/// Questions are named after what they are for; each is one statement whose cost depends on its answer, not on the size
/// of the collection (the tests look at the plans of the frequent ones).
///
/// Invariants: a question sees everything that was acknowledged before it was asked (G3). Where the projection is part of
/// the append's transaction that is so by itself. Where a projector follows the log, each question names the streams that
/// it depends on; one that is behind makes the snapshot be given up, waited for and opened again, so bodies may run several
/// times. State for commands does not wait: it is what the read model says and the events after that.
package import Clocks
package import Contents
package import Database
package import Domain
package import EventLog
internal import Telemetry

/// The read model in the database of the log, and perhaps another one to read from.
package struct ReadModel: Sendable {
    /// How long a question waits for the projector before it is answered with an error.
    private static let patience = Duration.seconds(5)
    /// How long it waits for a replica, behind which there is the log's own database.
    private static let replicaPatience = Duration.seconds(1)
    private static let confirmInterval = Duration.milliseconds(5)

    let database: any Database
    /// Makes and reads stokens.
    package let stokens: StokenSealer
    /// Nil where the projection is part of the append's transaction.
    private let progress: Progress?
    let contents: ContentStores
    /// Where the contents lie that a replica's rows name.
    private let replicaContents: ContentStores
    let replica: ReadReplica?
    let bounds: ContentBounds
    /// What holds for all who have no quota of their own.
    package let quota: Quota
    private let clock: ServerClock

    /// - Parameters:
    ///   - contents: where contents lie.
    ///   - progress: what tells how far a projector is; nil where the append projects.
    ///   - replica: where ``replicaSnapshot(_:)`` reads; nil for the same database.
    ///   - bounds: how much pages may hold.
    ///   - quota: what holds for all who have no quota of their own.
    ///   - clock: by which a question's patience ends.
    package init(
        database: any Database, stokens: StokenSealer, contents: ContentStores, progress: Progress?, replica: ReadReplica? = nil,
        bounds: ContentBounds = ContentBounds(), quota: Quota = .none, clock: ServerClock = .machine
    ) {
        self.database = database
        self.stokens = stokens
        self.contents = contents
        replicaContents = replica.map { contents.reading(from: $0.database) } ?? contents
        self.progress = progress
        self.replica = replica
        self.bounds = bounds
        self.quota = quota
        self.clock = clock
    }

    /// Whether there is another database to read from.
    package var hasReplica: Bool { replica != nil }

    /// Looks whether what is written is kept, without asking the database anything.
    ///
    /// - Throws: `DatabaseFault` that says why not.
    package func check() throws(DatabaseFault) { try database.check() }

    /// Whether the log's database is away just now, for so short a time that those who need it wait for it.
    package var isMoving: Bool { database.isMoving }

    /// Asks questions of one moment, with the end of the log at hand: what decisions are made on.
    ///
    /// - Parameter ahead: says what `body` will ask, where all of it is known: then it costs one round trip. `body` may run several
    ///   times.
    /// - Throws: `DatabaseFault`, also when the read model does not catch up in time; or what `body` throws.
    package func snapshot<T: Sendable>(
        _ extent: ReadExtent = .large, ahead: ((inout Ahead) -> Void)? = nil,
        _ body: @escaping @Sendable (Snapshot) throws -> T
    ) async throws -> T {
        let first = FirstLook()
        var waitingSince: ContinuousClock.Instant?
        defer { Telemetry.readModel.noteWait(since: waitingSince, until: clock.now) }
        while true {
            let steps = progress?.steps ?? 0
            do {
                return try await database.read(extent, asking: { inquiry(ahead) }) {
                    [stokens, contents, bounds, progress, quota] connection in
                    let log = progress == nil ? Snapshot.Log.inline : .beside(first)
                    return try body(
                        Snapshot(connection: connection, stokens: stokens, contents: contents, bounds: bounds, log: log, quota: quota))
                }
            } catch let behind as Behind {
                let since = waitingSince ?? clock.now
                waitingSince = since
                try await wait(for: behind, progress, after: steps, until: since + Self.patience)
            }
        }
    }

    /// Where the append projects, nothing is far away.
    private func inquiry(_ ahead: ((inout Ahead) -> Void)?) -> Inquiry? {
        guard let ahead, progress != nil else { return nil }
        var asked = Ahead(bounds, stokens)
        ahead(&asked)
        return asked.inquiry
    }

    /// Asks questions of one moment of the replica, where there is one, or of the log's own database where the replica is away, of
    /// another history, or behind for too long.
    ///
    /// - Throws: as ``snapshot(_:)`` does. `body` may run several times, and cannot ask for state to decide on.
    package func replicaSnapshot<T: Sendable>(
        _ extent: ReadExtent = .large, _ body: @escaping @Sendable (Snapshot) throws -> T
    ) async throws -> T {
        guard let replica else { return try await snapshot(extent, body) }
        guard !replica.isLeftAlone else {
            Telemetry.readModel.fallbacks.increment()
            return try await snapshot(extent, body)
        }
        do { return try await ask(replica, extent, body) } catch let fault as DatabaseFault {
            try Task.checkCancellation()
            replica.has(answered: false)
            Telemetry.readModel.fallbacks.increment()
            do { return try await snapshot(extent, body) } catch is DatabaseFault { throw fault }
        }
    }

    /// Looks whether a replica that is left alone has all that has happened, and so can be asked again.
    package func lookAtReplica() async {
        guard let replica, replica.isLeftAlone else { return }
        do {
            try await ask(replica) { try $0.requireAll() }
            replica.has(answered: true)
        } catch {}  // As before.
    }

    /// Asks questions of one moment of the replica. What the log must have brought to it is asked of the log's own database, so the
    /// answer is as new as there (DESIGN §5).
    ///
    /// The replica may have more than was known of the log by then: others go on writing. Whether that is of this log's
    /// history, the log is asked once the answer is made: facts from before cannot tell.
    func ask<T: Sendable>(
        _ replica: ReadReplica, _ extent: ReadExtent = .large, _ body: @escaping @Sendable (Snapshot) throws -> T
    ) async throws -> T {
        let deadline = clock.now + Self.replicaPatience
        var facts = LogFacts()
        var waitingSince: ContinuousClock.Instant?
        defer { Telemetry.readModel.noteWait(since: waitingSince, until: clock.now) }
        while true {
            let steps = replica.progress.steps
            do {
                let (answer, mark) = try await replica.database.read(extent) { [stokens, replicaContents, bounds, facts] connection in
                    let snapshot = Snapshot(
                        connection: connection, stokens: stokens, contents: replicaContents, bounds: bounds, log: .elsewhere(facts))
                    do { return (Result<T, any Error>.success(try body(snapshot)), snapshot.unknownMark) } catch {
                        // What is refused may be refused for what another history says.
                        guard let mark = snapshot.unknownMark, !Self.isAskedAgain(error) else { throw error }
                        return (.failure(error), mark)
                    }
                }
                if let mark { try await confirm(mark, until: deadline) }
                return try answer.get()
            } catch let missing as LogFacts.Missing {
                facts = try await database.read { [facts] connection in try facts.adding(missing, connection) }
            } catch let behind as Behind {
                waitingSince = waitingSince ?? clock.now
                try await wait(for: behind, replica.progress, after: steps, until: deadline)
            } catch let fault as DatabaseFault {
                // What a standby replays may take from a question what it reads.
                guard case .conflict = fault.kind, clock.now < deadline else { throw fault }
            }
        }
    }

    /// Makes sure that the log has come to where the replica is. A standby shows a commit when it has it, which may be a
    /// moment before its primary does.
    private func confirm(_ mark: LogHead, until deadline: ContinuousClock.Instant) async throws {
        while true {
            let epochs = try await database.read { try Epochs($0) }
            if epochs.contain(mark) { return }
            let isAhead = mark.position > epochs.head.position && mark.epoch >= epochs.head.epoch
            guard isAhead, clock.now < deadline else { throw Snapshot.otherHistory }
            try await clock.sleep(for: Self.confirmInterval)
        }
    }

    private static func isAskedAgain(_ error: any Error) -> Bool { error is LogFacts.Missing || error is Behind || error is DatabaseFault }

    /// Where the contents lie that an answer has left.
    var leftContents: ContentStores { replica?.isLeftAlone == false ? replicaContents : contents }

    /// Reads on what a snapshot of answers has left where it lies. That never changes, so no moment is looked for. What the replica
    /// does not have, it may not have yet.
    func answers<T: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> T) async throws -> T {
        if let replica, !replica.isLeftAlone {
            do { return try await read(replica.database, replicaContents, body) } catch is DatabaseFault { try Task.checkCancellation() }
        }
        return try await read(database, contents, body)
    }

    private func read<T: Sendable>(
        _ database: any Database, _ contents: ContentStores, _ body: @escaping @Sendable (Snapshot) throws -> T
    ) async throws -> T {
        try await database.read { [stokens, bounds] connection in
            try body(Snapshot(connection: connection, stokens: stokens, contents: contents, bounds: bounds, log: .inline))
        }
    }

    private func wait(
        for behind: Behind, _ progress: Progress?, after steps: Int, until deadline: ContinuousClock.Instant
    ) async throws {
        try Task.checkCancellation()
        guard let progress, clock.now < deadline else {
            // Where a replica is behind, the log's database is asked.
            if progress === self.progress { Telemetry.readModel.timeouts.increment() }
            throw DatabaseFault(.unavailable, "the read model is behind position \(behind.position.rawValue)")
        }
        Telemetry.readModel.waiting.increment()
        defer { Telemetry.readModel.waiting.decrement() }
        await progress.wait(for: behind.position, after: steps)
    }
}

extension ReadModelMetrics {
    /// Notes how long a reader has waited, asking again in between; one that has not begun to wait is not counted.
    fileprivate func noteWait(since start: ContinuousClock.Instant?, until end: ContinuousClock.Instant) {
        if let start { waits.record(start.duration(to: end)) }
    }
}

/// What is known of the log where the read model is in another database. Looked up when it is asked for, which is after the
/// request came: whatever was acknowledged before is in it.
struct LogFacts: Sendable {
    /// What a snapshot needs to know before it can go on.
    enum Missing: Error {
        case heads([StreamID])
        case epochs
    }

    var heads: [StreamID: Position] = [:]
    var epochs: Epochs?

    func adding(_ missing: Missing, _ connection: any Connection) throws -> LogFacts {
        var facts = self
        switch missing {
        case .heads(let streams):
            for stream in streams { facts.heads[stream] = try EventLog.heads(of: [stream], connection) }
        case .epochs: facts.epochs = try Epochs(connection)
        }
        return facts
    }
}

/// One moment of the read model.
package struct Snapshot {
    /// Where the log is, seen from the read model.
    enum Log {
        /// Always where the read model is: the append projects.
        case inline
        /// In the same database, perhaps ahead.
        case beside(FirstLook)
        case elsewhere(LogFacts)
    }

    let connection: any Connection
    let stokens: StokenSealer
    let contents: ContentStores
    let bounds: ContentBounds
    let log: Log
    /// What holds for all who have no quota of their own.
    let quota: Quota
    private let moment = Moment()

    /// What was looked up already; in one snapshot it stays as it is.
    private final class Moment {
        var checkpoint: Position?
        var epochs: Epochs?
        var unknownMark: LogHead?
    }

    /// Up to where the replica says that its rows come from the log, where what is known of the log cannot tell.
    var unknownMark: LogHead? { moment.unknownMark }

    init(connection: any Connection, stokens: StokenSealer, contents: ContentStores, bounds: ContentBounds, log: Log, quota: Quota = .none)
    {
        self.connection = connection
        self.stokens = stokens
        self.contents = contents
        self.bounds = bounds
        self.log = log
        self.quota = quota
    }

    /// The last event that is in the read model.
    ///
    /// - Throws: `DatabaseFault` when the read model follows from another history than the log.
    package func position() throws -> Position {
        if let checkpoint = moment.checkpoint { return checkpoint }
        guard case .elsewhere = log else { return try know(checkpoint: try connection.first(Self.selectCheckpoint, []) { $0.integer(0) }) }
        let found = try connection.first(Self.selectCheckpointAndHead, []) { row in
            (checkpoint: row.integer(0), head: LogHead(position: Position(rawValue: row.integer(1)), epoch: row.integer(2)))
        }
        if let found, found.head.position != .none, try !epochs().contain(found.head) { moment.unknownMark = found.head }
        return try know(checkpoint: found?.checkpoint)
    }

    private func know(checkpoint: Int64?) throws(DatabaseFault) -> Position {
        guard let checkpoint else { throw Self.noCheckpoint }
        let position = Position(rawValue: checkpoint)
        moment.checkpoint = position
        return position
    }

    static let otherHistory = DatabaseFault(.corrupt, "the read model is of another history than the log: it must be made anew")
    static let noCheckpoint = DatabaseFault(.corrupt, "the read model has no checkpoint row: rebuild it")

    static let selectCheckpoint = Statement("SELECT position FROM apus_projection")
    private static let selectCheckpointAndHead = Statement(
        "SELECT projection.position, log.position, log.epoch FROM apus_projection projection, apus_log log")

    /// Notes the checkpoint that a statement of this snapshot has brought along.
    func note(checkpoint: Position) { moment.checkpoint = checkpoint }

    /// Where the log ends: the last event that states for commands know of.
    package func logHead() throws -> LogHead {
        if let epochs = moment.epochs { return epochs.head }
        switch log {
        case .inline, .beside: return try EventLog.head(connection)
        case .elsewhere: return try epochs().head
        }
    }

    private func epochs() throws -> Epochs {
        if let epochs = moment.epochs { return epochs }
        let epochs: Epochs
        switch log {
        case .inline, .beside: epochs = try Epochs(connection)
        case .elsewhere(let facts):
            guard let known = facts.epochs else { throw LogFacts.Missing.epochs }
            epochs = known
        }
        moment.epochs = epochs
        return epochs
    }

    /// The position that a stoken names, or nil when it is none of this history: made up, of another server, or of a
    /// future that was lost when the log forked (DESIGN §2).
    package func position(ofStoken stoken: String) throws -> Position? {
        if let sealed = stokens.open(stoken) { return try epochs().contain(sealed) ? sealed.position : nil }
        return try connection.first(Self.selectPositionOfStoken, [.text(stoken)]) {
            Position(rawValue: $0.integer(0))
        }
    }

    /// The stoken that a position has in the table; one of an adopted row is not made from its position.
    package func stoken(at position: Position) throws -> String {
        let stoken = try connection.first(
            Self.selectStokenAt, [.integer(position.rawValue)]
        ) { $0.text(0) }
        guard let stoken else { throw Self.noStoken(at: position) }
        return stoken
    }

    static func noStoken(at position: Position) -> DatabaseFault {
        DatabaseFault(.corrupt, "position \(position.rawValue) has no stoken")
    }

    static let selectPositionOfStoken = Statement("SELECT id FROM django_etebase_stoken WHERE uid = $1")

    static let selectStokenAt = Statement("SELECT uid FROM django_etebase_stoken WHERE id = $1")
}
