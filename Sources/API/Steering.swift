package import Domain
package import Pages

/// What pages can have done, or ask, that stands below the API: whoever puts a server together says how.
package struct Steering: Sendable {
    /// Erases a user for good.
    let erase: @Sendable (_ name: String, _ user: UserID, _ isActive: Bool, _ actor: Actor) async throws -> Void
    /// How the server is: what should be seen to, and what is so. It costs no more, however much there is.
    let overview: @Sendable () async throws -> (warnings: [String], facts: [AdminPages.Fact])
    /// The settings of the process.
    let settings: [AdminPages.Setting]
    /// What the doctor finds.
    let diagnose: @Sendable () async -> [AdminPages.Finding]

    package init(
        erase: @escaping @Sendable (_ name: String, _ user: UserID, _ isActive: Bool, _ actor: Actor) async throws -> Void,
        overview: @escaping @Sendable () async throws -> (warnings: [String], facts: [AdminPages.Fact]),
        settings: [AdminPages.Setting], diagnose: @escaping @Sendable () async -> [AdminPages.Finding]
    ) {
        self.erase = erase
        self.overview = overview
        self.settings = settings
        self.diagnose = diagnose
    }
}
