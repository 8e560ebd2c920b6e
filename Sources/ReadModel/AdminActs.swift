package import Database
package import Domain
internal import Sodium

/// Something that was done on an admin's page.
package struct AdminAct: Sendable {
    package let time: Timestamp
    /// The short id of the page's session.
    package let session: String
    /// Who had logged in; nil for whoever came by a link of the command line.
    package let admin: String?
    package let action: String
    /// The account that it was done to: its name, or its number where it is erased.
    package let user: String?
    /// What else it was done to.
    package let thing: String?
}

/// What was done on admins' pages: beside the events that came of it, and where none did.
package struct AdminActs: Sendable {
    private let database: any Database

    package init(_ database: any Database) { self.database = database }

    /// Notes what is done.
    ///
    /// - Parameters:
    ///   - session: the short id of the page's session.
    ///   - admin: who has logged in; nil for whoever came by a link of the command line.
    package func note(
        _ action: String, user: UserID? = nil, thing: String? = nil, in session: String, by admin: UserID?, at now: Timestamp
    ) async throws {
        let values: [Value] = [
            .text(Sodium.randomAlphanumerics(20)), .integer(now.rawValue), .text(session), .integer(orNull: admin?.rawValue), .text(action),
            .integer(orNull: user?.rawValue), .text(orNull: thing),
        ]
        try await database.write { _ = try $0.execute(Self.insert, values) }
    }

    /// The newest first.
    package func newest(limit: Int) async throws -> [AdminAct] {
        try await database.read { connection in
            try connection.query(Self.selectNewest, [.integer(Int64(limit))]) { row in
                AdminAct(
                    time: Timestamp(rawValue: row.integer(0)), session: row.text(1), admin: row.textOrNil(2), action: row.text(3),
                    user: row.textOrNil(4), thing: row.textOrNil(5))
            }
        }
    }

    private static let insert = Statement(
        """
        INSERT INTO apus_admin_act (act, done_at, session, admin_id, action, user_id, thing)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """)

    private static let selectNewest = Statement(
        """
        SELECT act.done_at, act.session, admin.username, act.action, COALESCE(account.username, '#' || act.user_id), act.thing
        FROM   apus_admin_act act
        LEFT   JOIN myauth_user admin ON admin.id = act.admin_id
        LEFT   JOIN myauth_user account ON account.id = act.user_id
        ORDER  BY act.done_at DESC
        LIMIT  $1
        """)
}
