package import Domain
package import Pages
package import ReadModel

/// What pages can have done, or ask, that stands below the API: whoever puts a server together says how.
package struct Steering: Sendable {
    /// Erases a user for good.
    let erase: @Sendable (_ name: String, _ user: UserID, _ isActive: Bool, _ actor: Actor) async throws -> Void
    /// Orders long work; tells its id, or that of the one which is at work where the same is ordered again.
    let order: @Sendable (_ kind: Job.Kind, _ user: UserID?, _ actor: Actor) async throws -> String
    /// How the log is, and what follows from it.
    let log: @Sendable () async throws -> AdminPages.Log
    /// Where backups are made, and the newest that was taken.
    let backups: @Sendable () async throws -> (backups: AdminPages.Backups, newest: LastBackup?)
    /// The backup that was made on the page; nil where there is none.
    let openBackup: @Sendable () throws -> OpenedFile?
    /// What is stored of a person, in one file; nil where there is no such account.
    let export: @Sendable (_ name: CanonicalName) async throws -> OpenedFile?
    /// How the server is: what should be seen to, and what is so. It costs no more, however much there is.
    let overview: @Sendable () async throws -> (warnings: [String], facts: [AdminPages.Fact])
    /// How this process was in the last hour.
    let trends: @Sendable () -> [Trend]
    /// The settings of the process.
    let settings: [AdminPages.Setting]
    /// What the doctor finds.
    let diagnose: @Sendable () async -> [AdminPages.Finding]

    package init(
        erase: @escaping @Sendable (_ name: String, _ user: UserID, _ isActive: Bool, _ actor: Actor) async throws -> Void,
        order: @escaping @Sendable (_ kind: Job.Kind, _ user: UserID?, _ actor: Actor) async throws -> String,
        log: @escaping @Sendable () async throws -> AdminPages.Log,
        backups: @escaping @Sendable () async throws -> (backups: AdminPages.Backups, newest: LastBackup?),
        openBackup: @escaping @Sendable () throws -> OpenedFile?,
        export: @escaping @Sendable (_ name: CanonicalName) async throws -> OpenedFile?,
        overview: @escaping @Sendable () async throws -> (warnings: [String], facts: [AdminPages.Fact]),
        trends: @escaping @Sendable () -> [Trend],
        settings: [AdminPages.Setting], diagnose: @escaping @Sendable () async -> [AdminPages.Finding]
    ) {
        self.erase = erase
        self.order = order
        self.log = log
        self.backups = backups
        self.openBackup = openBackup
        self.export = export
        self.overview = overview
        self.trends = trends
        self.settings = settings
        self.diagnose = diagnose
    }
}
