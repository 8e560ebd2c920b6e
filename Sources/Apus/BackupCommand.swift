internal import ArgumentParser
internal import Backup
internal import Database
internal import Domain
internal import EventLog
internal import Foundation
internal import Logging
internal import ReadModel
internal import Server
internal import Sodium

/// `apus backup`
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Writes everything that is kept into one file, as of one position.",
        discussion: """
            A server may run on. The file holds the database, the contents of chunks and the server's secret, whatever the engine: \
            keep it where nobody else can read it. It is an SQLite database; `apus restore` makes a server of it again.
            """)

    @Argument(help: "The file, which must not be there yet.")
    var file: String

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        Interruption.removesWhatIsUnfinished()
        let environment = try dataOptions.environment()
        let node = try await Node(dataOptions, environment, logger: Logger(label: "apus"))
        let (report, unnoted) = try await node.backUp(to: file, at: Node.clock())
        if let unnoted { print("That this backup was taken could not be noted for apus status: \(unnoted)") }
        try node.close()
        print("\(file) has everything up to position \(report.head.position.rawValue), and \(report.files) files of chunks.")
        if report.objects > 0 { print("It has \(report.objects) contents of an S3 store, which a restore puts into the database.") }
        if report.missing > 0 { print("\(report.missing) contents of chunks were not where they should be: apus verify names them.") }
        if report.changed > 0 { print("\(report.changed) contents of chunks are not what was stored: apus verify names them.") }
        guard report.missing == 0, report.changed == 0 else { throw ExitCode(1) }
    }
}

/// `apus restore`
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Makes a server of a backup, in an empty data folder.",
        discussion: """
            With --database-url the log and the tables go into that database, which must be empty too; the backup may have been \
            taken from either engine. It is verified first. A new epoch begins: clients that have seen what came after the backup \
            are told to sync anew, all others go on.
            """)

    @Argument(help: "The file that apus backup has written.")
    var file: String

    @Flag(help: "Restores also where the log and the tables did not agree when the backup was taken; apus rebuild may mend it then.")
    var despiteFaults = false

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        Interruption.removesWhatIsUnfinished()
        let environment = try dataOptions.environment()
        let folder = try dataOptions.folder(environment)
        let server: PostgresDatabase?
        switch try dataOptions.databasePlace(environment) {
        case .postgres(let url): server = PostgresDatabase(url: url)
        case .sqlite(let path):
            guard path == folder + "/apus.sqlite" else { throw ValidationError("on SQLite a restore goes into the data folder") }
            server = nil
        }
        let restore = Restore(into: folder, server: server, secret: try environment.optional(Settings.secret)?.value)
        let report = try await withScratch { [file, despiteFaults] scratch in
            try await restore.run(file, scratch: scratch, toleratesFaults: despiteFaults, at: Node.clock())
        }
        for fault in report.faults { print(fault) }
        print(
            "The backup of \(report.madeAt.text) UTC is restored in \(folder): \(report.events) events, \(report.files) files of chunks.")
    }
}
