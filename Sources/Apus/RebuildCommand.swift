internal import ArgumentParser
internal import Logging
internal import Replay
internal import Server

/// `apus rebuild`
struct RebuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild",
        abstract: "Builds the tables anew from the log, and mends those that differ. Exit code 1 when something stays wrong.",
        discussion: """
            A server may run on; nobody sees half of it. Login tokens stay. Where tables have lost most of their rows, their \
            indexes are made last; on PostgreSQL whoever reads them waits until then. The log is projected anew into a temporary \
            database, in the folder that TMPDIR names or in /var/tmp, so there must be as much room again.
            """)

    @Flag(help: "Only compares; exit code 1 when something differs.")
    var check = false

    @Flag(
        help: """
            Deletes also rows of the tables that no event of the log has made. An EteSync server that went on writing after apus adopt \
            has made such rows and acknowledged them: without this nothing is changed where there are some, and apus adopt takes them over.
            """)
    var discardUnknown = false

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        let environment = try dataOptions.environment()
        let node = try await Node(dataOptions, environment, logger: Logger(label: "apus"))
        let report = try await node.rebuild(mends: !check, discardsForeign: discardUnknown)
        try node.close()
        for fault in report.found { print(fault) }
        if report.changed > 0 { print("\(report.changed) rows were written or deleted.") }
        try report.verification.conclude()
    }
}
