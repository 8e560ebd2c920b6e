internal import ArgumentParser
internal import Chunks
internal import Database
internal import EventLog
internal import Foundation
internal import Projections
internal import Schemas

/// `apus adopt`
struct AdoptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adopt",
        abstract: "Takes over a database of an EteSync server, in place.",
        discussion: """
            Stop the EteSync server first, and make a backup. Its tables stay as they are, and everything that clients hold \
            stays good. All is done in one transaction: an adoption that was interrupted is begun again, and one that fails \
            has changed nothing. Chunk files are read where they lie (--media-root).
            """)

    @Flag(help: "Only says what is there and what is unusual.")
    var dryRun = false

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        let environment = try dataOptions.environment()
        let chunks = ChunkStore(folder: dataOptions.chunkFolder(environment), place: .database)
        do {
            let database = try open(environment)
            if dryRun { try await survey(database, chunks) } else { try await adopt(database, environment) }
            try (database as? SQLiteDatabase)?.close()
        } catch let fault as DatabaseFault { throw ValidationError("\(fault). Nothing was changed.") }
    }

    /// Opens what is there; unlike elsewhere, no file is made.
    private func open(_ environment: Environment) throws -> any Database {
        switch try dataOptions.databasePlace(environment) {
        case .postgres(let url): return PostgresDatabase(url: url)
        case .sqlite(let path):
            guard FileManager.default.fileExists(atPath: path) else { throw ValidationError("there is no file \(path)") }
            return try SQLiteDatabase(path: path)
        }
    }

    private func survey(_ database: any Database, _ chunks: ChunkStore) async throws {
        let (owner, survey) = try await database.read { [dialect = database.dialect] connection in
            // Whole tables are counted.
            if dialect == .postgres { try connection.run(script: "SET LOCAL statement_timeout = 0") }
            return (try Schema.owner(connection), try Survey(connection, chunks: chunks))
        }
        if owner == .apus { print("This database is one of Apus already.") }
        for (what, count) in survey.counts { print("\(count) \(what)") }
        let oddities = survey.oddities + survey.missingFiles
        print(oddities.isEmpty ? "Nothing is unusual." : "Unusual, and taken over all the same:")
        for oddity in oddities { print("  \(oddity)") }
    }

    private func adopt(_ database: any Database, _ environment: Environment) async throws {
        let dialect = database.dialect
        let events: Int
        switch try await database.read({ try Schema.owner($0) }) {
        case .apus:
            print("This database is one of Apus already: there is nothing to adopt.")
            return
        case .original:
            events = try await database.write { connection in
                try Schema.adopt(connection, dialect)
                return try Adoption.run(connection, at: Node.clock()) { print("\($0) events …") }
            }
        case .originalAgain:
            let stokens = StokenSealer(secret: try Node.secret(dataOptions, environment))
            events = try await withScratch { scratch in
                try await AdoptionAgain(database: database, scratch: scratch, stokens: stokens)
                    .run(at: Node.clock()) { try Schema.adoptAgain($0, dialect) }
            }
        }
        print("Adopted: \(events) events. Look with apus verify, then start apus serve with the same options.")
    }
}
