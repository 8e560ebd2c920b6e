internal import ArgumentParser
internal import Contents
internal import Foundation
internal import Logging
internal import Moving
internal import Server

/// `apus chunks`
struct ChunksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chunks", abstract: "Where the contents of chunks lie.", subcommands: [MoveChunks.self])
}

/// `apus chunks move`
struct MoveChunks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move", abstract: "Moves contents of chunks into another store. Exit code 1 when some could not be moved.",
        discussion: """
            A server may run on, once it knows both stores: new contents go where APUS_CHUNKS says, and what lies in an S3 store that \
            APUS_CHUNKS_ALSO names is read there. Each content is checked against the log before it is moved, and read again where it \
            was put. A run that was interrupted is begun again. What is left behind in an S3 store, apus gc removes; files stay.
            """)

    @Option(help: "database, files, or the address of the S3 store. (default what APUS_CHUNKS says)")
    var to: String?

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        let environment = try dataOptions.environment()
        let place = try to.map { try Settings.chunks.read($0, "--to") } ?? environment.value(Settings.chunks)
        if case .objects(let address) = place, try environment.objectSettings()?.address != address {
            throw ValidationError(
                "--to names an S3 store that neither APUS_CHUNKS nor APUS_CHUNKS_ALSO does: servers would not find what lies there")
        }
        let node = try await Node(dataOptions, environment, logger: .ofCommand)
        try await withMistakesTold { try await node.requireKnownStores() }
        let clock = ContinuousClock()
        var last = clock.now
        let report = try await Relocation(database: node.database, chunks: node.chunks, to: place.place).run { report in
            guard clock.now - last > .seconds(5) else { return }
            last = clock.now
            print("\(report.moved) contents are moved, \(report.bytes) bytes")
            fflush(nil)
        }
        try node.close()
        for fault in report.faults { print(fault) }
        print("\(report.moved) contents were moved, \(report.bytes) bytes; \(report.there) lay there already.")
        guard report.faults.isEmpty else { throw ExitCode(1) }
    }
}
