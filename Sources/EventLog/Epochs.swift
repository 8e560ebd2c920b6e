public import Database
public import Domain

/// The epochs of the log and where it ends: what tells whether a position is of its history.
public struct Epochs: Sendable {
    /// Each with its first position, oldest first.
    public let firsts: [(epoch: Int64, position: Position)]
    /// Where the log ends.
    public let head: LogHead

    public init(_ connection: any Connection) throws {
        head = try EventLog.head(connection)
        firsts = try connection.query(Statement("SELECT epoch, first_position FROM apus_epoch ORDER BY epoch"), []) { row in
            (row.integer(0), Position(rawValue: row.integer(1)))
        }
    }

    /// Whether the log ended at `place` once, or has gone on from there: what was so then still holds, but for what came after
    /// it. It does not where history has forked below.
    public func contain(_ place: LogHead) -> Bool {
        guard let index = firsts.firstIndex(where: { $0.epoch == place.epoch }) else { return false }
        guard index + 1 < firsts.count else { return place.position <= head.position }
        return place.position < firsts[index + 1].position
    }
}
