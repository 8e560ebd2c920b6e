/// What tells a session of PostgreSQL from all others, so that it can be asked in another one whether it has ended.
package struct SessionMark: Hashable, Sendable {
    /// What the server says that it is (``PostgresPulse/identity``).
    let server: String
    let process: Int64

    /// Whether nothing that was asked in the session can happen any more: its server has ended it, was started anew, or is not the one
    /// that is asked here. What happens on that one is then of another history, which no session of ours leads to.
    package func hasEnded(_ connection: any Connection) throws -> Bool {
        try connection.first(Self.select, [.text(server), .integer(process)]) { $0.flag(0) } ?? false
    }

    private static let select = Statement(
        "SELECT \(PostgresPulse.identity) <> $1 OR NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $2)")
}
