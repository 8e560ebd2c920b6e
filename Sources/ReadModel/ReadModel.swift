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
public import Database
public import Domain
public import EventLog

/// The read model in the database of the log.
public struct ReadModel: Sendable {
    /// How long a question waits for the projector before it is answered with an error.
    private static let patience = Duration.seconds(5)

    private let database: any Database
    /// Makes and reads stokens.
    public let stokens: StokenSealer
    /// Nil where the projection is part of the append's transaction.
    private let progress: Progress?

    /// - Parameter progress: what tells how far a projector is; nil where the append projects.
    public init(database: any Database, stokens: StokenSealer, progress: Progress?) {
        self.database = database
        self.stokens = stokens
        self.progress = progress
    }

    /// Asks questions of one moment.
    ///
    /// - Throws: `DatabaseFault`, also when the read model does not catch up in time; or what `body` throws.
    public func snapshot<T: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> T) async throws -> T {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            do {
                return try await database.read { [stokens, isInline = progress == nil] connection in
                    try body(Snapshot(connection: connection, stokens: stokens, isInline: isInline))
                }
            } catch let behind as Behind {
                guard let progress, ContinuousClock.now < deadline else {
                    throw DatabaseFault(.unavailable, "the read model is behind position \(behind.position.rawValue)")
                }
                await progress.wait(for: behind.position)
            }
        }
    }
}

/// One moment of the read model.
public struct Snapshot {
    let connection: any Connection
    let stokens: StokenSealer
    /// Whether the read model is always where the log is.
    let isInline: Bool

    /// The last event that is in the read model.
    public func position() throws -> Position {
        let position = try connection.first(Statement("SELECT position FROM apus_projection"), []) { Position(rawValue: $0.integer(0)) }
        guard let position else { throw DatabaseFault(.corrupt, "the read model has no checkpoint row") }
        return position
    }

    /// Where the log ends.
    public func logHead() throws -> LogHead { try EventLog.head(connection) }

    /// The position that a stoken names, or nil when it is none of this history: made up, of another server, or of a
    /// future that was lost when the log forked (DESIGN §2).
    public func position(ofStoken stoken: String) throws -> Position? {
        if let sealed = stokens.open(stoken) { return try isOfThisHistory(sealed) ? sealed.position : nil }
        return try connection.first(Statement("SELECT id FROM django_etebase_stoken WHERE uid = $1"), [.text(stoken)]) {
            Position(rawValue: $0.integer(0))
        }
    }

    private func isOfThisHistory(_ sealed: LogHead) throws -> Bool {
        let bounds = try connection.first(
            Statement(
                """
                SELECT first_position, (SELECT min(first_position) FROM apus_epoch later WHERE later.epoch > $1)
                FROM   apus_epoch
                WHERE  epoch = $1
                """), [.integer(sealed.epoch)]
        ) { row in (first: row.integer(0), end: row.integerOrNil(1)) }
        guard let bounds, sealed.position.rawValue >= bounds.first else { return false }
        if let end = bounds.end { return sealed.position.rawValue < end }
        return try sealed.position <= logPosition()
    }

    /// The stoken that a position has in the table; one of an adopted row is not made from its position.
    public func stoken(at position: Position) throws -> String {
        let stoken = try connection.first(
            Statement("SELECT uid FROM django_etebase_stoken WHERE id = $1"), [.integer(position.rawValue)]
        ) { $0.text(0) }
        guard let stoken else { throw DatabaseFault(.corrupt, "position \(position.rawValue) has no stoken") }
        return stoken
    }
}
