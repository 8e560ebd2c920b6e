internal import ArgumentParser
internal import Logging
internal import Replay
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
        let report = try await node.verify()
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
