/// The questions that the API asks, and the state that commands are decided on.
///
/// Pattern: a request opens one ``Snapshot`` and asks all its questions there, so that what it answers is of one moment.
/// Questions are named after what they are for; each is one statement whose cost depends on its answer, not on the size
/// of the collection (the tests look at the plans of the frequent ones).
///
/// Invariants: what was committed before a snapshot was opened is seen in it (G3): the projection is part of the append's
/// transaction.
public import Database
public import Domain
public import EventLog

/// The read model in the database of the log.
public struct ReadModel: Sendable {
    private let database: any Database
    /// Makes and reads stokens.
    public let stokens: StokenSealer

    public init(database: any Database, stokens: StokenSealer) {
        self.database = database
        self.stokens = stokens
    }

    /// Asks questions of one moment.
    ///
    /// - Throws: `DatabaseFault`, or what `body` throws.
    public func snapshot<T: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> T) async throws -> T {
        try await database.read { [stokens] connection in try body(Snapshot(connection: connection, stokens: stokens)) }
    }
}

/// One moment of the read model.
public struct Snapshot {
    let connection: any Connection
    let stokens: StokenSealer

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
        return try sealed.position <= position()
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
