package import Database
package import Domain
internal import Sodium

/// A link with which somebody makes an account.
package struct SignupLink: Sendable {
    /// Names it to the operator.
    package let id: String
    /// The name that the account gets; nil where whoever opens the link chooses one.
    package let username: String?
    /// How many accounts it may make, and has made or is making.
    package let uses: Int64
    package let used: Int64
    package let createdAt: Timestamp
    /// Nil for never.
    package let expiresAt: Timestamp?

    package var isUsedUp: Bool { used >= uses }
}

/// A link that is used for an account. Only who has the link can name one.
package struct SignupUse: Sendable {
    fileprivate let link: String
    /// Tells nobody the name, who has not the link too.
    fileprivate let account: [UInt8]

    /// - Parameter secret: the link's.
    package init(of link: SignupLink, secret: String, for name: CanonicalName) {
        self.link = link.id
        account = Sodium.blake2b(Array(name.text.utf8), key: Array(secret.utf8), personalization: "apus-signup-use")
    }

    fileprivate var key: [Value] { [.text(link), .blob(account)] }
}

/// The links with which people make accounts of their own. They are no events: secrets stay out of the log, and what comes of a
/// link is an account like any other.
///
/// An account cannot be made in the transaction in which a link is counted, which is not the log's. So a use is taken first
/// (``claim(_:at:)``), for a name, and stays with this name: of those who come at once no more get one than there are, and who comes
/// again with the same name goes on where the first attempt ended.
package struct SignupLinks: Sendable {
    /// What a link's address ends with: as many random characters as make 256 bits.
    static let secretCharacters = 43
    /// How long what a link was used for is known, for who comes again.
    private static let remembered: Int64 = 30 * 86_400 * 1_000_000

    private let database: any Database

    package init(_ database: any Database) { self.database = database }

    /// Makes a link, and forgets those that are good no more.
    ///
    /// - Returns: the link, and its secret, which is kept nowhere; nil where there is one for this name already.
    package func make(
        for name: CanonicalName?, uses: Int, until expiry: Timestamp?, at now: Timestamp
    ) async throws -> (link: SignupLink, secret: String)? {
        let secret = Sodium.randomAlphanumerics(Self.secretCharacters)
        let link = SignupLink(
            id: Sodium.randomBytes(5).hexadecimal, username: name?.text, uses: Int64(uses), used: 0, createdAt: now, expiresAt: expiry)
        let isNew = try await database.write { connection in
            let past: [Value] = [.integer(now.rawValue), .integer(now.rawValue - Self.remembered)]
            try connection.execute(Self.deleteOldUses, past)
            try connection.execute(Self.deleteOld, past)
            let open = try Self.pending(at: now, connection).compactMap(\.username)
            if let name, open.contains(where: { $0.isExactly(name.text) }) { return false }
            try connection.execute(
                Self.insert,
                [
                    .text(link.id), .blob(Self.hash(secret)), .text(orNull: link.username), .integer(link.uses), .integer(now.rawValue),
                    .integer(orNull: expiry?.rawValue),
                ])
            return true
        }
        return isNew ? (link, secret) : nil
    }

    /// Those that are good, in the order in which they were made.
    package func pending(at now: Timestamp) async throws -> [SignupLink] {
        try await database.read { try Self.pending(at: now, $0) }
    }

    private static func pending(at now: Timestamp, _ connection: any Connection) throws -> [SignupLink] {
        try connection.query(selectPending, [.integer(now.rawValue)], link)
    }

    /// The link of a secret, also where it is used up; nil where there is none, or it has expired.
    package func link(secret: String, at now: Timestamp) async throws -> SignupLink? {
        guard secret.utf8.count == Self.secretCharacters else { return nil }
        return try await database.read { connection in
            try connection.first(Self.selectOne, [.integer(now.rawValue), .blob(Self.hash(secret))], Self.link)
        }
    }

    /// Withdraws a link.
    ///
    /// - Returns: whether there was one.
    package func withdraw(_ id: String) async throws -> Bool {
        try await database.write { connection in
            let isThere = try connection.execute(Self.delete, [.text(id)]) > 0
            try connection.execute(Self.deleteUses, [.text(id)])
            return isThere
        }
    }

    /// How a use was taken.
    package enum Claim: Sendable {
        case first
        /// It was taken for this name before, and what came of it is not known.
        case again
        /// It was taken for this name before, and the account was made.
        case made
    }

    /// Takes one of the uses of a link for a name, before the account is made: whoever takes it settles it, or gives it back.
    ///
    /// - Returns: nil where none is left, or the link is good no more.
    package func claim(_ use: SignupUse, at now: Timestamp) async throws -> Claim? {
        try await database.write { connection in
            switch try connection.first(Self.hold, use.key, { $0.text(0) }) {
            case "made": return .made
            case "shared": return .again
            default:
                if try connection.execute(Self.take, [.text(use.link), .integer(now.rawValue)]) > 0 { return .first }
                try connection.execute(Self.release, use.key)
                return nil
            }
        }
    }

    /// Whether a use was taken for a name.
    package func has(_ use: SignupUse) async throws -> Bool {
        try await database.read { try $0.first(Self.selectUse, use.key) { $0.integer(0) } != nil }
    }

    /// Notes that the account was made.
    package func settle(_ use: SignupUse) async throws {
        try await database.write { connection in _ = try connection.execute(Self.updateMade, use.key) }
    }

    /// Gives a use back of which no account came.
    ///
    /// - Returns: false where others have come for the same: one of them may have made it.
    package func giveBack(_ use: SignupUse) async throws -> Bool {
        try await database.write { connection in
            guard try connection.execute(Self.release, use.key) > 0 else { return false }
            try connection.execute(Self.untake, [.text(use.link)])
            return true
        }
    }

    private static func hash(_ secret: String) -> [UInt8] { Sodium.blake2b(Array(secret.utf8), personalization: "apus-signup") }

    private static func link(_ row: any Row) -> SignupLink {
        SignupLink(
            id: row.text(0), username: row.textOrNil(1), uses: row.integer(2), used: row.integer(3),
            createdAt: Timestamp(rawValue: row.integer(4)), expiresAt: row.integerOrNil(5).map { Timestamp(rawValue: $0) })
    }
}

extension SignupLinks {
    private static let selectPending = Statement(
        """
        SELECT link, username, uses, used, created_at, expires_at
        FROM   apus_signup_link
        WHERE  used < uses AND (expires_at IS NULL OR expires_at > $1)
        ORDER  BY created_at, link
        """)

    private static let selectOne = Statement(
        """
        SELECT link, username, uses, used, created_at, expires_at
        FROM   apus_signup_link
        WHERE  secret = $2 AND (expires_at IS NULL OR expires_at > $1)
        """)

    private static let insert = Statement(
        """
        INSERT INTO apus_signup_link (link, secret, username, uses, used, created_at, expires_at)
        VALUES ($1, $2, $3, $4, 0, $5, $6)
        """)

    private static let deleteOld = Statement(
        "DELETE FROM apus_signup_link WHERE expires_at <= $1 OR (used >= uses AND created_at <= $2)")

    private static let deleteOldUses = Statement(
        """
        DELETE FROM apus_signup_use
        WHERE  link IN (SELECT link FROM apus_signup_link WHERE expires_at <= $1 OR (used >= uses AND created_at <= $2))
        """)

    private static let delete = Statement("DELETE FROM apus_signup_link WHERE link = $1")
    private static let deleteUses = Statement("DELETE FROM apus_signup_use WHERE link = $1")

    private static let hold = Statement(
        """
        INSERT INTO apus_signup_use (link, account, state)
        VALUES ($1, $2, 'held')
        ON CONFLICT (link, account) DO UPDATE
        SET    state = CASE apus_signup_use.state WHEN 'made' THEN 'made' ELSE 'shared' END
        RETURNING state
        """)

    private static let take = Statement(
        """
        UPDATE apus_signup_link
        SET    used = used + 1
        WHERE  link = $1 AND used < uses AND (expires_at IS NULL OR expires_at > $2)
        """)

    private static let untake = Statement("UPDATE apus_signup_link SET used = used - 1 WHERE link = $1 AND used > 0")
    private static let release = Statement("DELETE FROM apus_signup_use WHERE link = $1 AND account = $2 AND state = 'held'")
    private static let selectUse = Statement("SELECT 1 FROM apus_signup_use WHERE link = $1 AND account = $2")
    private static let updateMade = Statement("UPDATE apus_signup_use SET state = 'made' WHERE link = $1 AND account = $2")
}
