package import Database
package import Domain
internal import Sodium

/// What the directory has said of users, in a table of the log's database: a process that is started while the directory is away goes
/// on with it. It is no event, for it happens elsewhere. Of what several processes were told the newest is kept.
package struct KeptListings: Sendable {
    private let database: any Database
    private let clock: @Sendable () -> Timestamp
    /// A hash of what is asked: who was there by another filter need not be by this one.
    private let question: [UInt8]
    /// How old an answer may be that is of any use.
    private let useful: Duration
    /// How many are written at once.
    private static let batch = 500

    package init(in database: any Database, of settings: DirectorySettings, clock: @escaping @Sendable () -> Timestamp) {
        (self.database, self.clock) = (database, clock)
        let parts = [settings.base, settings.filter.text, settings.group ?? "", settings.adminGroup ?? ""]
        question = Sodium.sha256(Array(parts.joined(separator: "\0").utf8))
        useful = settings.freshness + settings.grace
    }

    /// What was said of a user, whichever process asked; nil where nothing is known.
    ///
    /// - Throws: `DatabaseFault`
    func said(of user: UserID) async throws -> Said? {
        let now = clock()
        return try await database.read { connection in
            try connection.first(Self.select, [.integer(user.rawValue), .blob(question)]) { row in
                let listing = row.integer(0) == 1 ? Listing(isAdmin: row.integer(1) == 1) : nil
                // A clock that was set back makes no answer younger than new.
                return Said(user: user, listing: listing, age: .microseconds(max(0, now.rawValue - row.integer(2))))
            }
        }
    }

    /// Keeps what was said, and forgets what is of no use any more.
    ///
    /// - Throws: `DatabaseFault`, within seconds for each of its transactions.
    func keep(_ said: [Said]) async throws {
        let now = clock().rawValue
        for start in stride(from: 0, to: said.count, by: Self.batch) {
            let batch = said[start..<min(start + Self.batch, said.count)]
            try await database.write { connection in
                try connection.set(.needNotLast, .mustBeShort)
                try connection.execute(Self.deleteOld, [.integer(now - useful.wholeMicroseconds)])
                for said in batch {
                    try connection.execute(
                        Self.upsert,
                        [
                            .integer(said.user.rawValue), .blob(question), .integer(said.listing == nil ? 0 : 1),
                            .integer(said.listing?.isAdmin == true ? 1 : 0), .integer(now - said.age.wholeMicroseconds),
                        ])
                }
            }
        }
    }

    private static let select = Statement("SELECT is_listed, is_admin, said_at FROM apus_listing WHERE user_id = $1 AND question = $2")

    private static let deleteOld = Statement("DELETE FROM apus_listing WHERE said_at < $1")

    private static let upsert = Statement(
        """
        INSERT INTO apus_listing (user_id, question, is_listed, is_admin, said_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (user_id) DO UPDATE
        SET    question = excluded.question, is_listed = excluded.is_listed, is_admin = excluded.is_admin, said_at = excluded.said_at
        WHERE  excluded.said_at > apus_listing.said_at OR excluded.question <> apus_listing.question
        """)
}

extension Duration {
    fileprivate var wholeMicroseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }
}
