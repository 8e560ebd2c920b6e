internal import ArgumentParser
internal import Chunks
internal import Database
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
        let environment = try Environment()
        let chunks = ChunkStore(folder: dataOptions.chunkFolder(environment), place: .database)
        let database: any Database
        switch try dataOptions.databasePlace(environment) {
        case .postgres(let url): database = PostgresDatabase(url: url)
        case .sqlite(let path):
            guard FileManager.default.fileExists(atPath: path) else { throw ValidationError("there is no file \(path)") }
            database = try SQLiteDatabase(path: path)
        }
        do {
            if dryRun { try await survey(database, chunks) } else { try await adopt(database, chunks) }
        } catch let fault as DatabaseFault { throw ValidationError("\(fault). Nothing was changed.") }
        try (database as? SQLiteDatabase)?.close()
    }

    private func survey(_ database: any Database, _ chunks: ChunkStore) async throws {
        let dialect = database.dialect
        let survey = try await database.read { connection in
            let isAdopted = try Schema.isAdopted(connection, dialect)
            return (isAdopted, try Survey(connection, chunks: chunks))
        }
        if survey.0 { print("This database is one of Apus already.") }
        for (what, count) in survey.1.counts { print("\(count) \(what)") }
        print(survey.1.oddities.isEmpty ? "Nothing is unusual." : "Unusual, and taken over all the same:")
        for oddity in survey.1.oddities { print("  \(oddity)") }
    }

    private func adopt(_ database: any Database, _ chunks: ChunkStore) async throws {
        let dialect = database.dialect
        let events: Int? = try await database.write { connection in
            guard try Schema.adopt(connection, dialect) else { return nil }
            return try Adoption.run(connection, at: Node.clock()) { print("\($0) events …") }
        }
        guard let events else {
            print("This database is one of Apus already: there is nothing to adopt.")
            return
        }
        print("Adopted: \(events) events. Look with apus verify, then start apus serve with the same options.")
    }
}
