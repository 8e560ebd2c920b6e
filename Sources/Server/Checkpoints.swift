internal import Database
internal import Logging
internal import ServiceLifecycle

/// Moves SQLite's log of changes into the file every second, beside the writer, so that commits need not, and looks whether
/// the files are still there.
struct Checkpoints: Service {
    let database: SQLiteDatabase
    let logger: Logger

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                var fault: String?
                while true {
                    try await Task.sleep(for: .seconds(1))
                    let found = await work()
                    // Said once, not every second.
                    if let found, found != fault { logger.error("the database's files are not well", metadata: ["fault": "\(found)"]) }
                    fault = found
                }
            }
        } catch is CancellationError {}
    }

    /// - Returns: what is wrong with the files.
    private func work() async -> String? {
        do {
            try database.check()
            try await database.checkpoint()
            return nil
        } catch { return "\(error)" }
    }
}
