internal import ArgumentParser
internal import Contents
internal import Database
internal import Logging
internal import Moving
internal import Projections
internal import ReadModel
internal import Schemas
internal import Server

/// `apus hand-back`
struct HandBackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hand-back",
        abstract: "Brings a database to where an EteSync server can go on with it. Exit code 1 when it cannot.",
        discussion: """
            Stop apus first. Contents of chunks are written into files below --media-root, sequences are raised above all ids. \
            What apus has added to the database disturbs nobody and stays: apus adopt takes the database over again, with \
            what has changed until then.
            """)

    @Flag(help: "Goes on where files of chunks are missing: for a database that was adopted without them.")
    var withoutMissingFiles = false

    @Flag(help: "Does not look whether other programs are connected to the database.")
    var ignoreOthers = false

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        Interruption.removesWhatIsUnfinished()
        let environment = try dataOptions.environment()
        let place = try dataOptions.databasePlace(environment)
        if !ignoreOthers { try await Others.requireNone(place, to: "handing it back") }
        let node = try await Node(dataOptions, environment, logger: Logger(label: "apus"))
        let dialect = node.database.dialect
        let report = try await HandBack(
            database: node.database, projection: DjangoProjection(stokens: node.readModel.stokens), chunks: node.chunks
        ).run(toleratesMissingFiles: withoutMissingFiles) { try Schema.handBack($0, dialect) }
        try node.close()
        print("\(report.files) contents of chunks were written into files.")
        for words in report.notes + report.faults { print(words) }
        guard report.faults.isEmpty else { throw ExitCode(1) }
        if case .sqlite(let path) = place { try SQLiteDatabase.leaveWAL(path: path) }
        let database =
            switch place {
            case .sqlite(let path): "engine = django.db.backends.sqlite3\nname = \(path)"
            case .postgres: "engine = django.db.backends.postgresql\nname, user, password, host, port: those of the address"
            }
        let chunkFolder = try dataOptions.chunkFolder(environment)
        Swift.print(
            """
            The database is handed back. In etebase-server.ini:

                [global]
                media_root = \(chunkFolder)

                [database]
                \(database.replacing("\n", with: "\n    "))

            Give the files to the user that the EteSync server runs as, then start it as before:

                uvicorn etebase_server.asgi:application
            """)
    }
}
