package import Database
package import Domain
internal import Sodium

/// What part of the pages somebody is let into.
package enum PageArea: String, Sendable {
    /// A user's own account.
    case account
    /// All accounts, for whoever looks after the server.
    case admin
}

/// Somebody who was let into the pages.
package struct PageSession: Sendable {
    /// A short id, fit for logs and the history; the secret cannot be found from it.
    package let name: String
    /// The login token that an account's page belongs to; nil in the admins' area.
    package let token: String?
    /// Who has logged in to the admins' area; nil for whoever came by a link of the command line.
    package let user: UserID?
    package let expiresAt: Timestamp
}

/// Links that let somebody into the pages once, and the sessions that come of them. They are no events: secrets stay out of the log.
///
/// All of it is in the log's database, so a link that one process gave is good at every other. A secret is kept as a hash. What is for
/// an account ends with the login that asked for it, however that ends: signed out, expired, or with the account.
package struct PageKeys: Sendable {
    private static let secretCharacters = 43

    private let database: any Database

    package init(_ database: any Database) { self.database = database }

    /// Makes a link.
    ///
    /// - Parameter token: for an account's page, the login token of who asks.
    /// - Returns: the link's secret, which is kept nowhere; nil where the token is gone.
    package func makeLink(to area: PageArea, for token: String? = nil, goodFor time: Duration, at now: Timestamp) async throws -> String? {
        let secret = Sodium.randomAlphanumerics(Self.secretCharacters)
        return try await database.write { connection in
            try connection.execute(Self.deleteExpired, [.integer(now.rawValue)])
            var row: Int64?
            if let token {
                row = try connection.first(Self.selectToken, [.text(token)]) { $0.integer(0) }
                guard row != nil else { return nil }
            }
            try Self.insert("link", area, secret, token: row, user: nil, goodFor: time, at: now, connection)
            return secret
        }
    }

    /// Whether a link is good still.
    package func isGood(link secret: String, to area: PageArea, at now: Timestamp) async throws -> Bool {
        guard let values = Self.question(secret, area, now) else { return false }
        return try await database.read { try $0.first(Self.selectLink, values) { $0.integer(0) } != nil }
    }

    /// Makes a session of a link, which is good no more then: of several who come at once one gets it.
    ///
    /// - Returns: the session's secret; nil where the link is not good.
    package func redeem(link secret: String, to area: PageArea, goodFor time: Duration, at now: Timestamp) async throws -> String? {
        guard let values = Self.question(secret, area, now) else { return nil }
        let session = Sodium.randomAlphanumerics(Self.secretCharacters)
        return try await database.write { connection in
            guard let token = try connection.first(Self.takeLink, values, { $0.integerOrNil(0) }) else { return nil }
            // An account's page is open once for each login.
            if let token { try connection.execute(Self.deleteOfToken, [.integer(token)]) }
            try Self.insert("session", area, session, token: token, user: nil, goodFor: time, at: now, connection)
            return session
        }
    }

    /// Makes a session in the admins' area of somebody who has logged in there.
    ///
    /// - Returns: its secret.
    package func logIn(_ user: UserID, goodFor time: Duration, at now: Timestamp) async throws -> String {
        let session = Sodium.randomAlphanumerics(Self.secretCharacters)
        try await database.write { connection in
            try connection.execute(Self.deleteExpired, [.integer(now.rawValue)])
            try Self.insert("session", .admin, session, token: nil, user: user, goodFor: time, at: now, connection)
        }
        return session
    }

    /// The session of a secret; nil where there is none, or it has ended.
    package func session(secret: String, in area: PageArea, at now: Timestamp) async throws -> PageSession? {
        guard let values = Self.question(secret, area, now) else { return nil }
        return try await database.read { connection in
            try connection.first(Self.selectSession, values) { row in
                PageSession(
                    name: row.text(0), token: row.textOrNil(1), user: row.integerOrNil(2).map { UserID(rawValue: $0) },
                    expiresAt: Timestamp(rawValue: row.integer(3)))
            }
        }
    }

    /// Ends a session.
    package func end(secret: String) async throws {
        let hash = Value.blob(Self.hash(secret))
        try await database.write { _ = try $0.execute(Self.delete, [hash]) }
    }

    /// Ends all sessions of an area, and makes its links useless.
    ///
    /// - Returns: how many sessions and links that were.
    @discardableResult
    package func endAll(of area: PageArea) async throws -> Int {
        try await database.write { try $0.execute(Self.deleteArea, [.text(area.rawValue)]) }
    }

    private static func insert(
        _ kind: String, _ area: PageArea, _ secret: String, token: Int64?, user: UserID?, goodFor time: Duration, at now: Timestamp,
        _ connection: any Connection
    ) throws {
        try connection.execute(
            Self.insert,
            [
                .blob(hash(secret)), .text(kind), .text(area.rawValue), .text(name(of: secret)), .integer(orNull: token),
                .integer(orNull: user?.rawValue), .integer(now.rawValue),
                .integer(now.rawValue + time.components.seconds * 1_000_000),
            ])
    }

    /// What is asked for a secret; nil for what cannot be one.
    private static func question(_ secret: String, _ area: PageArea, _ now: Timestamp) -> [Value]? {
        guard secret.utf8.count == secretCharacters else { return nil }
        return [.blob(hash(secret)), .text(area.rawValue), .integer(now.rawValue)]
    }

    private static func hash(_ secret: String) -> [UInt8] { Sodium.blake2b(Array(secret.utf8), personalization: "apus-page") }

    private static func name(of secret: String) -> String {
        Array(Sodium.blake2b(Array(secret.utf8), personalization: "apus-page-name", length: 16).prefix(6)).hexadecimal
    }
}

extension PageKeys {
    private static let insert = Statement(
        """
        INSERT INTO apus_page_key (secret, kind, area, name, token_id, user_id, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """)

    private static let selectToken = Statement("SELECT id FROM token_auth_authtoken WHERE key = $1")

    private static let selectLink = Statement(
        "SELECT 1 FROM apus_page_key WHERE secret = $1 AND kind = 'link' AND area = $2 AND expires_at > $3")

    private static let takeLink = Statement(
        "DELETE FROM apus_page_key WHERE secret = $1 AND kind = 'link' AND area = $2 AND expires_at > $3 RETURNING token_id")

    private static let deleteOfToken = Statement("DELETE FROM apus_page_key WHERE token_id = $1 AND kind = 'session'")

    private static let selectSession = Statement(
        """
        SELECT held.name, token.key, held.user_id, held.expires_at
        FROM   apus_page_key held
        LEFT   JOIN token_auth_authtoken token ON token.id = held.token_id
        WHERE  held.secret = $1 AND held.kind = 'session' AND held.area = $2 AND held.expires_at > $3
        """)

    private static let delete = Statement("DELETE FROM apus_page_key WHERE secret = $1")
    private static let deleteArea = Statement("DELETE FROM apus_page_key WHERE area = $1")
    private static let deleteExpired = Statement("DELETE FROM apus_page_key WHERE expires_at <= $1")
}
