package import Domain

/// What pages can have done, or ask, that stands below the API: whoever puts a server together says how.
package struct Steering: Sendable {
    /// Erases a user for good.
    let erase: @Sendable (_ name: String, _ user: UserID, _ actor: Actor) async throws -> Void

    package init(erase: @escaping @Sendable (_ name: String, _ user: UserID, _ actor: Actor) async throws -> Void) {
        self.erase = erase
    }
}
