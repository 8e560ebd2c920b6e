package import Database
internal import Domain
internal import Sodium

/// How a database knows the server's secret again: from it follow stokens, logins' challenges, seals and what Redis is told, so two
/// of them on one database would break all of these.
///
/// The mark is made with the database and comes with it in backups and copies. A database of before there were marks is recognized
/// by the first thing that was made with its secret.
package enum SecretMark {
    /// Whether the database is of this secret; nil where nothing in it tells.
    ///
    /// - Throws: `DatabaseFault`
    package static func isOf(_ secret: [UInt8], _ connection: any Connection) throws -> Bool? {
        if let mark = try connection.first(select, [], { $0.blob(0) }) { return mark == self.mark(of: secret) }
        let key = SealKey(secret: secret)
        if let seal = try connection.first(selectFirstSeal, [], { ($0.integer(0), $0.blob(1), $0.blob(2)) }) {
            return key.isValid(seal.2, of: Seal.message(seal.1, at: Position(rawValue: seal.0)))
        }
        let stokens = StokenSealer(secret: secret)
        let first = try connection.first(
            selectFirstStoken, [.text(EventType.recordsAdopted.rawValue), .integer(Epochs(connection).base.rawValue)]
        ) {
            (position: $0.integer(0), stoken: $0.text(1))
        }
        return first.map { stokens.open($0.stoken)?.position.rawValue == $0.position }
    }

    /// Whether the database bears this secret's mark; false where it bears none yet. Changes nothing.
    ///
    /// - Throws: ``SecretFault`` where it bears another's, `DatabaseFault`.
    package static func isBorne(of secret: [UInt8], _ connection: any Connection) throws -> Bool {
        guard let mark = try connection.first(select, [], { $0.blob(0) }) else { return false }
        guard mark == self.mark(of: secret) else { throw SecretFault.another }
        return true
    }

    /// Makes sure that the database is of this secret, in the caller's writing transaction. It is from then on, where nothing told.
    ///
    /// - Throws: ``SecretFault``, `DatabaseFault`.
    package static func require(_ secret: [UInt8], _ connection: any Connection) throws {
        guard try isOf(secret, connection) ?? true else { throw SecretFault.another }
        try connection.execute(insert, [.blob(mark(of: secret))])
    }

    /// Makes this secret the database's, whatever it was before.
    static func set(_ secret: [UInt8], _ connection: any Connection) throws {
        try connection.execute(Self.delete, [])
        try connection.execute(insert, [.blob(mark(of: secret))])
    }

    private static func mark(of secret: [UInt8]) -> [UInt8] {
        Sodium.blake2b(Array("apus-secret-mark-1".utf8), key: Sodium.blake2b(secret, personalization: "apus-secret-mark"))
    }

    private static let select = Statement("SELECT mark FROM apus_secret")
    private static let insert = Statement("INSERT INTO apus_secret (id, mark) VALUES (1, $1) ON CONFLICT (id) DO NOTHING")
    private static let selectFirstSeal = Statement("SELECT position, hash, signature FROM apus_seal ORDER BY position LIMIT 1")

    /// Stokens of adopted rows are the original's.
    private static let selectFirstStoken = Statement(
        """
        SELECT stoken.id, stoken.uid
        FROM   django_etebase_stoken stoken
        JOIN   apus_event event ON event.position = stoken.id
        WHERE  event.type <> $1 AND stoken.id > $2
        ORDER  BY stoken.id
        LIMIT  1
        """)

    private static let delete = Statement("DELETE FROM apus_secret")
}

/// Why nothing is done with the secret that was given. The description says what to do.
package struct SecretFault: Error, CustomStringConvertible, Sendable {
    package let description: String

    package init(_ description: String) { self.description = description }

    /// The database is of another secret.
    static let another = SecretFault(
        """
        the secret is not the one that this database was made with: give that one (APUS_SECRET, APUS_SECRET_FILE, or the file secret \
        in the data folder; it is the same on every node), or, if it is lost, see apus secret renew --help
        """)
}
