public import Database
public import Domain
internal import Sodium

/// A login session: what a token stands for.
public struct Session: Sendable {
    public let user: UserID
    /// A short id, fit for logs and the history; the token cannot be found from it.
    public let id: String
    public let isActive: Bool
    /// Whether the token's life is to be prolonged.
    public let isDueForRenewal: Bool
}

/// The rules and statements of login tokens. Tokens are not events: secrets stay out of the log.
public struct Sessions: Sendable {
    /// A token unused for less than this part of its life is not written to: renewals must not make reads cost writes.
    private static let renewalPart: Int64 = 100

    private let database: any Database
    /// In microseconds; nil for tokens that live for ever.
    private let lifetime: Int64?

    /// - Parameter lifetime: from the last use; nil for ever.
    public init(database: any Database, lifetime: Duration?) {
        self.database = database
        self.lifetime = lifetime.map { $0.components.seconds * 1_000_000 }
    }

    /// The session of a token in `snapshot`, or nil when there is none or it has expired.
    public func session(token: String, at now: Timestamp, _ snapshot: Snapshot) throws -> Session? {
        try snapshot.connection.first(
            Self.selectSession, [.text(token), .text(now.text), .text(renewalLimit(at: now).text)]
        ) { row in
            Session(
                user: UserID(rawValue: row.integer(0)), id: Self.shortID(of: token), isActive: row.flag(1),
                isDueForRenewal: row.flag(2))
        }
    }

    /// Makes a session, and notes the time of the login (`last_login`) when `isLogin`.
    ///
    /// - Parameter device: what the client says it is.
    /// - Returns: the token: 40 characters of `A-Za-z0-9`, as the original's.
    public func create(for user: UserID, device: String?, isLogin: Bool, at now: Timestamp) async throws -> String {
        let token = Sodium.randomAlphanumerics(40)
        let expiry = lifetime.map { Timestamp(rawValue: now.rawValue + $0).text }
        try await database.write { connection in
            try connection.execute(
                Self.insertToken, [.text(token), .text(now.text), .text(orNull: expiry), .integer(user.rawValue)])
            try connection.execute(
                Statement("INSERT INTO apus_session (session, user_id, device, created_at) VALUES ($1, $2, $3, $4)"),
                [.text(Self.shortID(of: token)), .integer(user.rawValue), .text(orNull: device), .integer(now.rawValue)])
            guard isLogin else { return }
            try connection.execute(Self.updateLastLogin, [.integer(user.rawValue), .text(now.text)])
        }
        return token
    }

    /// Ends a session.
    public func delete(token: String) async throws {
        try await database.write { connection in
            _ = try connection.execute(Statement("DELETE FROM token_auth_authtoken WHERE key = $1"), [.text(token)])
        }
    }

    /// Lets tokens that were used live for a whole lifetime from now on.
    public func renew(tokens: [String], at now: Timestamp) async throws {
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

    private static func shortID(of token: String) -> String {
        let hash = Sodium.blake2b(Array(token.utf8), personalization: "apus-session", length: 16)
        return hash.prefix(6).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static let selectSession = moments(
        """
        SELECT token.user_id, account.is_active, COALESCE(token.expiry < $3, FALSE)
        FROM   token_auth_authtoken token
        JOIN   myauth_user account ON account.id = token.user_id
        WHERE  token.key = $1 AND (token.expiry IS NULL OR token.expiry >= $2)
        """, parameters: ["$2", "$3"])

    private static let insertToken = moments(
        "INSERT INTO token_auth_authtoken (key, created, expiry, user_id) VALUES ($1, $2, $3, $4)", parameters: ["$2", "$3"])

    private static let updateLastLogin = moments("UPDATE myauth_user SET last_login = $2 WHERE id = $1", parameters: ["$2"])

    private static let updateExpiry = Statement(
        list: "UPDATE token_auth_authtoken SET expiry = CAST($2 AS text) WHERE key IN [$1 text] AND expiry IS NOT NULL")

    /// PostgreSQL has a type for moments, SQLite has Django's texts.
    private static func moments(_ sql: String, parameters: [String]) -> Statement {
        Statement(sqlite: sql, postgres: parameters.reduce(sql) { $0.replacing($1, with: "\($1)::timestamptz") })
    }
}
