internal import Database
package import Domain

/// A session as the operator sees it.
package struct ListedSession: Sendable {
    /// The short id, as in the log and the history.
    package let id: String
    /// What the client said it is.
    package let device: String?
    /// Times are texts, UTC.
    package let since: String
    /// When it was used last, to about a hundredth of a session's life; nil where it lives for ever.
    package let lastUsed: String?
    package let expires: String?
    fileprivate let token: String
}

extension Sessions {
    /// The sessions of a user that have not expired, in the order in which they were made.
    ///
    /// - Parameter lifetime: of sessions from their last use, as the server is set to; nil for ever.
    package func list(of user: UserID, lifetime: Duration?, at now: Timestamp) async throws -> [ListedSession] {
        try await database.read { connection in
            let devices = try connection.query(Self.selectDevices, [.integer(user.rawValue)]) { (ExactText($0.text(0)), $0.textOrNil(1)) }
            let deviceOf = Dictionary(devices) { first, _ in first }
            let values: [Value] = [
                .integer(user.rawValue), .text(now.text), .integer(orNull: lifetime?.components.seconds),
            ]
            return try connection.query(Self.selectSessions, values) { row in
                let id = Self.shortID(of: row.text(0))
                return ListedSession(
                    id: id, device: deviceOf[ExactText(id)] ?? nil, since: row.text(1), lastUsed: row.textOrNil(3),
                    expires: row.textOrNil(2), token: row.text(0))
            }
        }
    }

    /// The sessions of a user that have not expired, in the order in which they were made.
    package func list(of user: UserID, at now: Timestamp) async throws -> [ListedSession] {
        try await list(of: user, lifetime: lifetime.map { .microseconds($0) }, at: now)
    }

    /// Ends sessions. Their sockets get nothing more, and end within half a minute.
    package func end(_ sessions: [ListedSession]) async throws {
        let tokens = sessions.map(\.token)
        try await database.write { connection in
            _ = try connection.execute(
                Self.deleteTokens, [.texts(tokens)])
        }
    }

    private static let selectDevices = Statement("SELECT session, device FROM apus_session WHERE user_id = $1")

    private static let selectSessions = Statement(
        """
        SELECT key,
               {sqlite: created, expiry, strftime('%Y-%m-%d %H:%M:%S', expiry, '-' || $3 || ' seconds')}
               {postgres:
                   to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
                   to_char(expiry AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
                   to_char(expiry AT TIME ZONE 'UTC' - $3::bigint * interval '1 second', 'YYYY-MM-DD HH24:MI:SS')
               }
        FROM   token_auth_authtoken
        WHERE  user_id = $1 AND (expiry IS NULL OR expiry > $2{postgres: ::timestamptz})
        ORDER  BY id
        """)

    private static let deleteTokens = Statement("DELETE FROM token_auth_authtoken WHERE key IN [$1 text]")
}
