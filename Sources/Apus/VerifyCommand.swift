internal import ArgumentParser
internal import Database
internal import Foundation
internal import Logging
internal import Projections
internal import ReadModel
internal import Schemas

/// `apus verify`
struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Checks the log, and that the tables are what it says. Exit code 1 when something is wrong.",
        discussion: "The log is projected anew into a temporary database, so there must be as much room again.")

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        let environment = try Environment()
        let node = try await Node(dataOptions, environment, logger: Logger(label: "apus"))
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-verify-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { remove(folder) }
        let scratch = try SQLiteDatabase(path: folder.appending(path: "replay.sqlite").path)
        try await scratch.write { try Schema.create($0, .sqlite) }
        let report = try await Verification(
            database: node.database, scratch: scratch, stokens: node.readModel.stokens, chunks: node.chunks
        ).run()
        try scratch.close()
        try node.close()
        for fault in report.faults { print(fault) }
        guard report.faults.isEmpty else { throw ExitCode(1) }
        print("All is well: \(report.events) events, and the \(report.rows) rows that follow from them.")
    }

    private func remove(_ folder: URL) {
        do { try FileManager.default.removeItem(at: folder) } catch {
            print("\(folder.path) could not be removed; it is not needed any more")
        }
    }
}
