internal import Database
package import Domain

/// Somebody whom the original's admin pages would let in.
package struct Staff: Sendable {
    package let user: UserID
    package let username: String
    /// As Django keeps it.
    package let password: String
    package let isSuperuser: Bool
    package let isStaff: Bool
    package let isActive: Bool

    package var mayLook: Bool { isSuperuser || isStaff }
}

extension Snapshot {
    /// Whether the database was the original's: only there are passwords of people who look after it.
    package func isAdopted() throws -> Bool { try connection.first(Self.selectAdopted, []) { $0.integer(0) } != nil }

    /// Who has a name; nil where nobody has it.
    package func staff(named name: String) throws -> Staff? {
        guard let account = try account(named: CanonicalName(name)) else { return nil }
        return try staff(account.user)
    }

    /// Who has an id; nil where nobody has it.
    package func staff(_ user: UserID) throws -> Staff? {
        try require([.user(user)])
        return try connection.first(Self.selectStaff, [.integer(user.rawValue)]) { row in
            Staff(
                user: user, username: row.text(0), password: row.text(1), isSuperuser: row.flag(2), isStaff: row.flag(3),
                isActive: row.flag(4))
        }
    }

    private static let selectAdopted = Statement("SELECT 1 FROM apus_adopted LIMIT 1")

    private static let selectStaff = Statement(
        "SELECT username, password, is_superuser, is_staff, is_active FROM myauth_user WHERE id = $1")
}
