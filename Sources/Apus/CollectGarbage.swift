internal import ArgumentParser
internal import Domain
internal import Logging
internal import Projections
internal import ReadModel

/// `apus gc`
struct CollectGarbage: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc", abstract: "Removes contents of chunks that nothing names.",
        discussion: """
            What an event names stays, also where no revision does. The log and the tables are verified first, as apus verify does: \
            where they do not agree nothing is removed. A server may run on.
            """)

    @Flag(help: "Only tells what would be removed.")
    var dryRun = false

    @Option(help: "How long files must have lain untouched: 90s, 12h, 30d.")
    var olderThan = "1d"

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        guard let age = try Lifetime.parse(olderThan) else { throw ValidationError("--older-than is a span of time such as 1d") }
        let node = try await Node(dataOptions, dataOptions.environment(), logger: Logger(label: "apus"))
        let verification = try await withScratch { scratch in
            try await Verification(
                database: node.database, scratch: scratch, stokens: node.readModel.stokens, chunks: node.chunks
            ).run()
        }
        guard verification.faults.isEmpty else {
            throw ValidationError("something is wrong, and nothing is removed: apus verify tells what. First: \(verification.faults[0])")
        }
        let before = Timestamp(rawValue: Node.clock().rawValue - age.components.seconds * 1_000_000)
        let report = try await Waste(database: node.database, chunks: node.chunks).run(before: before, removes: !dryRun)
        try node.close()
        for row in report.rows { print("row\t\(row)") }
        for file in report.files { print("file\t\(file)") }
        let found = "\(report.rows.count) contents in the database and \(report.files.count) files, \(report.bytes) bytes"
        print(dryRun ? "\(found), would be removed." : "\(found), were removed.")
    }
}
