internal import ArgumentParser
internal import Database
internal import Foundation
internal import Logging
internal import ReadModel
internal import Replay
internal import Schemas
internal import Server

/// `apus verify`
struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Checks the log, and that the tables are what it says. Exit code 1 when something is wrong.",
        discussion: """
            The log is projected anew into a temporary database, in the folder that TMPDIR names or in /var/tmp, so there must be as \
            much room again.
            """)

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        let environment = try dataOptions.environment()
        let node = try await Node(dataOptions, environment, logger: Logger(label: "apus"))
        let report = try await withScratch { scratch in
            try await Verification(
                database: node.database, scratch: scratch, stokens: node.readModel.stokens, chunks: node.chunks
            ).run()
        }
        try node.close()
        try report.conclude()
    }
}

extension Verification.Report {
    /// Says what was found.
    ///
    /// - Throws: exit code 1 when something is wrong.
    func conclude() throws {
        for fault in faults { print(fault) }
        guard faults.isEmpty else { throw ExitCode(1) }
        print("All is well: \(events) events, and the \(rows) rows that follow from them.")
    }
}

/// Runs `body` with an empty database of which nothing is left afterwards.
func withScratch<T>(_ body: (SQLiteDatabase) async throws -> T) async throws -> T {
    let scratch = try SQLiteDatabase()
    try await scratch.write { try Schema.create($0, .sqlite) }
    let result = try await body(scratch)
    try scratch.close()
    return result
}
