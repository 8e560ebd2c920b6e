package import Database
package import Domain

/// The epochs of the log and where it ends: what tells whether a position is of its history.
package struct Epochs: Sendable {
    /// Each with its first position, oldest first.
    package let firsts: [(epoch: Int64, position: Position)]
    /// Where the log ends.
    package let head: LogHead
    /// After which position the log begins: that of an adopted database begins above all ids that were in use there.
    package var base: Position { Position(rawValue: (firsts.first?.position.rawValue ?? 1) - 1) }

    package init(_ connection: any Connection) throws {
        head = try EventLog.head(connection)
        firsts = try connection.query(Self.select, []) { row in
            (row.integer(0), Position(rawValue: row.integer(1)))
        }
    }

    /// Asks ahead what finding them out asks.
    package static func ask(ahead inquiry: inout Inquiry) {
        inquiry.ask(EventLog.queryHead { _ in })
        inquiry.ask(select, [])
    }

    /// Whether the log has an event there, in that epoch.
    package func contain(_ place: LogHead) -> Bool {
        firsts.contains { $0.epoch == place.epoch && $0.position <= place.position } && goOn(from: place)
    }

    /// Whether the log has gone on from where it ended once, or ends there still: what was so then still holds, but for what
    /// came after. It does not where history has forked below.
    func goOn(from end: LogHead) -> Bool {
        guard let index = firsts.firstIndex(where: { $0.epoch == end.epoch }) else { return false }
        guard index + 1 < firsts.count else { return end.position <= head.position }
        return end.position < firsts[index + 1].position
    }

    /// Begins a new epoch behind the log's end, in the caller's transaction: history may have gone on elsewhere.
    ///
    /// Its number is the time in seconds, as `apus_begin_epoch` has it on PostgreSQL: two forks of one history, neither of
    /// which knows of the other, must not give the same stokens to different events.
    package static func begin(at time: Timestamp, _ connection: any Connection) throws {
        let head = try EventLog.head(connection)
        let epoch = max(head.epoch + 1, time.rawValue / 1_000_000)
        try connection.execute(
            Self.insert,
            [.integer(epoch), .integer((head.position + 1).rawValue)])
        try connection.execute(Self.updateLog, [.integer(epoch)])
    }

    static let select = Statement("SELECT epoch, first_position FROM apus_epoch ORDER BY epoch")

    private static let insert = Statement("INSERT INTO apus_epoch (epoch, first_position) VALUES ($1, $2)")

    private static let updateLog = Statement("UPDATE apus_log SET epoch = $1")
}
