package import Database
package import Domain
internal import EventLog
internal import Sodium

/// A login session: what a token stands for.
package struct Session: Sendable {
    package let user: UserID
    /// A short id, fit for logs and the history; the token cannot be found from it.
    package let id: String
    package let isActive: Bool
    package let renewal: Renewal

    /// Whether the token's life is to be prolonged.
    package enum Renewal: Sendable {
        case notDue
        /// Some time soon.
        case due
        /// Before the next round of renewals the token would have expired.
        case urgent
    }
}

/// The rules and statements of login tokens. Tokens are not events: secrets stay out of the log.
package struct Sessions: Sendable {
    /// A token unused for less than this part of its life is not written to: renewals must not make reads cost writes.
    private static let renewalPart: Int64 = 100

    /// How often renewals are written, at most; short lives are prolonged more often.
    private static let longestInterval: Int64 = 60_000_000

    let database: any Database
    /// In microseconds; nil for tokens that live for ever.
    let lifetime: Int64?

    /// How often what was used is to be written.
    package var renewalInterval: Duration { .microseconds(interval) }
    private var interval: Int64 { min(Self.longestInterval, (lifetime ?? .max) / 4) }

    /// - Parameter lifetime: from the last use; nil for ever.
    package init(database: any Database, lifetime: Duration?) {
        self.database = database
        self.lifetime = lifetime.map { $0.components.seconds * 1_000_000 }
    }

    /// The session of a token in `snapshot`, or nil when there is none or it has expired.
    package func session(token: String, at now: Timestamp, _ snapshot: Snapshot) throws -> Session? {
        let found = try snapshot.connection.first(Self.selectSession, question(token: token, at: now)) { row in
            (
                user: UserID(rawValue: row.integer(0)), renewal: Self.renewal(row), isActive: row.integerOrNil(3).map { $0 != 0 },
                checkpoint: row.integerOrNil(4), head: Position(rawValue: row.integer(5))
            )
        }
        guard let found else { return nil }
        guard let checkpoint = found.checkpoint else { throw Snapshot.noCheckpoint }
        snapshot.note(checkpoint: Position(rawValue: checkpoint))
        let isActive = try Self.isActive(
            found.user, inTables: found.isActive, head: found.head, checkpoint: Position(rawValue: checkpoint), snapshot)
        return isActive.map { Session(user: found.user, id: Self.shortID(of: token), isActive: $0, renewal: found.renewal) }
    }

    /// Whether a token's user is active as of the end of the log; nil where there is no such user.
    ///
    /// - Parameters:
    ///   - isActive: what the tables say; nil where they have no such user.
    ///   - head: the last position of the user's stream.
    ///   - checkpoint: how far the tables are.
    /// - Throws: ``Behind`` while the account is to be projected yet: a token outlives tables that are projected anew.
    static func isActive(
        _ user: UserID, inTables isActive: Bool?, head: Position, checkpoint: Position, _ snapshot: Snapshot
    ) throws -> Bool? {
        guard let isActive else {
            if head > checkpoint { throw Behind(position: head) }
            return nil
        }
        guard head > checkpoint else { return isActive }
        var state = UserState(of: user, isActive: isActive)
        for record in try snapshot.tail(of: .user(user)) { state.evolve(record.event, at: record.position) }
        return state.user == nil ? nil : state.isActive
    }

    /// Makes a session of a user who has just signed up.
    ///
    /// - Parameter device: what the client says it is.
    /// - Returns: the token: 40 characters of `A-Za-z0-9`, as the original's.
    package func create(for user: UserID, device: String?, at now: Timestamp) async throws -> String {
        while true {
            let token = Sodium.randomAlphanumerics(40)
            // Once in a blue moon another session has the short id.
            if try await database.write({ try insert(token, for: user, device: device, at: now, $0) }) { return token }
        }
    }

    /// How many sessions, one after the other, what a client has signed once may make.
    private static let sessionsOfResponse: UInt8 = 8

    /// Makes the session of a login, and notes its time (`last_login`). What a client has signed has one session at a time: sent
    /// again it gives the same token, on every front end, and another one only when that session has ended
    /// (`auth-change-password`).
    ///
    /// - Parameters:
    ///   - seed: what is the same whenever the same is sent, and known to nobody else: 32 bytes.
    ///   - device: what the client says it is.
    /// - Returns: the token; nil where too many sessions of it have ended.
    package func logIn(_ user: UserID, seed: [UInt8], device: String?, at now: Timestamp) async throws -> String? {
        try await database.write { connection in
            for number in 0..<Self.sessionsOfResponse {
                let token = Sodium.alphanumerics(
                    40, from: number == 0 ? seed : Sodium.blake2b(seed + [number], personalization: "apus-login"))
                guard try insert(token, for: user, device: device, at: now, connection) else { continue }
                try connection.execute(Self.updateLastLogin, [.integer(user.rawValue), .text(now.text)])
                return token
            }
            return nil
        }
    }

    /// - Returns: whether the session is there now; false for one that was, and has ended.
    private func insert(
        _ token: String, for user: UserID, device: String?, at now: Timestamp, _ connection: any Connection
    ) throws -> Bool {
        let session = Value.text(Self.shortID(of: token))
        let isNew = try connection.first(
            Self.insertSession, [session, .integer(user.rawValue), .text(orNull: device), .integer(now.rawValue)]
        ) { $0.text(0) }
        guard isNew != nil else {
            return try connection.first(Self.selectUserOfToken, [.text(token)]) {
                $0.integer(0)
            } == user.rawValue
        }
        let expiry = lifetime.map { Timestamp(rawValue: now.rawValue + $0).text }
        try connection.execute(
            Self.insertToken, [.text(token), .text(now.text), .text(orNull: expiry), .integer(user.rawValue)])
        try connection.execute(Self.deleteLeastUsed, [.integer(user.rawValue), .integer(Self.tokensOfUser)])
        return true
    }

    /// How many sessions a user may have: of more, those go that have not been used for longest.
    private static let tokensOfUser: Int64 = 1000

    /// Ends all sessions of a user but one.
    ///
    /// - Returns: the short ids of those that have ended.
    package func deleteOthers(of user: UserID, than token: String) async throws -> [String] {
        try await database.write { connection in
            try connection.query(
                Self.deleteOtherTokens,
                [.integer(user.rawValue), .text(token)]
            ) { Self.shortID(of: $0.text(0)) }
        }
    }

    /// How many expired tokens are removed together.
    private static let expiredAtOnce: Int64 = 500

    /// Removes tokens that have expired, so many that nobody waits for it.
    ///
    /// - Returns: whether there may be more.
    package func removeExpired(at now: Timestamp) async throws -> Bool {
        let expired = try await database.read { connection in
            try connection.query(Self.selectExpired, [.text(now.text), .integer(Self.expiredAtOnce)]) { $0.text(0) }
        }
        guard !expired.isEmpty else { return false }
        // One of them may have been prolonged meanwhile.
        _ = try await database.write { connection in
            try connection.execute(Self.deleteExpired, [.texts(expired), .text(now.text)])
        }
        return expired.count == Int(Self.expiredAtOnce)
    }

    /// Ends a session.
    package func delete(token: String) async throws {
        try await database.write { connection in
            _ = try connection.execute(Self.deleteToken, [.text(token)])
        }
    }

    /// Lets tokens that were used live for a whole lifetime from now on.
    package func renew(tokens: [String], at now: Timestamp) async throws {
        guard let lifetime, !tokens.isEmpty else { return }
        let expiry = Timestamp(rawValue: now.rawValue + lifetime).text
        try await database.write { connection in
            _ = try connection.execute(Self.updateExpiry, [.texts(tokens), .text(expiry)])
        }
    }

    /// Tokens that expire before this moment are due for renewal.
    private func renewalLimit(at now: Timestamp) -> Timestamp {
        guard let lifetime else { return Timestamp(rawValue: 0) }
        return Timestamp(rawValue: now.rawValue + lifetime - lifetime / Self.renewalPart)
    }

    static func shortID(of token: String) -> String {
        let hash = Sodium.blake2b(Array(token.utf8), personalization: "apus-session", length: 16)
        return Array(hash.prefix(6)).hexadecimal
    }

    /// What statements that look for a token ask with, as their first four parameters: the token, the present, and the
    /// moments before which it would expire to be due for renewal, and urgently so.
    func question(token: String, at now: Timestamp) -> [Value] {
        [
            .text(token), .text(now.text), .text(renewalLimit(at: now).text),
            .text(Timestamp(rawValue: now.rawValue + 2 * interval).text),
        ]
    }

    /// The renewal in the answer of such a statement: whether it is due and whether it is urgent, in columns 1 and 2.
    static func renewal(_ row: any Row) -> Session.Renewal { row.flag(2) ? .urgent : row.flag(1) ? .due : .notDue }

    /// The beginning and the condition of such a statement.
    static let selectedToken = "token.user_id, COALESCE(token.expiry < $3, FALSE), COALESCE(token.expiry < $4, FALSE)"
    static let tokenCondition = "token.key = $1 AND (token.expiry IS NULL OR token.expiry >= $2)"

    /// The statement with its parameters 2 to 4 as moments.
    static func statement(withToken sql: String) -> Statement { moments(sql, parameters: ["$2", "$3", "$4"]) }

    static let selectSession = statement(
        withToken: """
            SELECT \(selectedToken), account.is_active, apus_projection.position, COALESCE(stream.head, 0)
            FROM   token_auth_authtoken token
            LEFT   JOIN myauth_user account ON account.id = token.user_id
            LEFT   JOIN apus_projection ON TRUE
            LEFT   JOIN apus_stream stream ON stream.name = 'user/' || token.user_id
            WHERE  \(tokenCondition)
            """)

    private static let insertToken = moments(
        "INSERT INTO token_auth_authtoken (key, created, expiry, user_id) VALUES ($1, $2, $3, $4)", parameters: ["$2", "$3"])

    private static let insertSession = Statement(
        """
        INSERT INTO apus_session (session, user_id, device, created_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (session) DO NOTHING
        RETURNING session
        """)

    // One that lives for ever has been used last when it was made, as far as is known.
    private static let deleteLeastUsed = Statement(
        """
        DELETE FROM token_auth_authtoken
        WHERE  user_id = $1
        AND    (SELECT count(*) FROM token_auth_authtoken WHERE user_id = $1) > $2
        AND    key NOT IN (SELECT key FROM token_auth_authtoken WHERE user_id = $1 ORDER BY COALESCE(expiry, created) DESC, created DESC LIMIT $2)
        """)

    private static let selectExpired = moments(
        "SELECT key FROM token_auth_authtoken WHERE expiry < $1 LIMIT $2", parameters: ["$1"])

    private static let deleteExpired = Statement(
        "DELETE FROM token_auth_authtoken WHERE key IN [$1 text] AND expiry < $2{postgres: ::timestamptz}")

    private static let updateLastLogin = moments("UPDATE myauth_user SET last_login = $2 WHERE id = $1", parameters: ["$2"])

    private static let updateExpiry = Statement(
        "UPDATE token_auth_authtoken SET expiry = $2{postgres: ::timestamptz} WHERE key IN [$1 text] AND expiry IS NOT NULL")

    /// PostgreSQL has a type for moments, SQLite has Django's texts.
    private static func moments(_ sql: String, parameters: [String]) -> Statement {
        Statement(parameters.reduce(sql) { $0.replacing($1, with: "\($1){postgres: ::timestamptz}") })
    }

    private static let selectUserOfToken = Statement("SELECT user_id FROM token_auth_authtoken WHERE key = $1")

    private static let deleteOtherTokens = Statement(
        "DELETE FROM token_auth_authtoken WHERE user_id = $1 AND key <> $2 RETURNING key")

    static let deleteToken = Statement("DELETE FROM token_auth_authtoken WHERE key = $1")
}
