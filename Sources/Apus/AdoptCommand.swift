internal import ArgumentParser
internal import Contents
internal import Database
internal import EventLog
internal import Foundation
internal import Moving
internal import Schemas
internal import Server
internal import Sodium

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

    @Flag(help: "Does not look whether other programs are connected to the database.")
    var ignoreOthers = false

    @Flag(
        help: """
            Of a database that is apus' own already: takes the tables for what is true also where rows are only changed or gone. \
            Without it that is damage, which apus rebuild mends.
            """)
    var again = false

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        Interruption.removesWhatIsUnfinished()
        let environment = try dataOptions.environment()
        let place = try dataOptions.databasePlace(environment)
        // Whoever cannot serve afterwards is told before.
        _ = try environment.optional(Settings.secret)
        let chunks = FileContents(folder: try dataOptions.chunkFolder(environment))
        do {
            if case .sqlite(let path) = place, !dryRun { try await look(at: path) }
            let others = ignoreOthers ? [] : try await Others.names(place)
            if !dryRun, !others.isEmpty { try await Others.requireNone(place, to: "adopting it") }
            let database = try open(place)
            if dryRun { try await survey(database, chunks, others) } else { try await adopt(database, chunks, environment) }
            try database.close()
        } catch let fault as DatabaseFault { throw DatabaseFault(fault.kind, "\(fault). Nothing was changed.") }
    }

    /// Looks whether the file is a database to adopt, before it is opened for writing: that alone can change it.
    private func look(at path: String) async throws {
        do {
            let database = try SQLiteDatabase(path: path, as: .reading)
            _ = try await database.read { try Schema.owner($0) }
            try database.close()
        } catch let fault as DatabaseFault {
            // A writer that was killed, be it an adoption, leaves a file that gets right when it is opened for writing.
            guard case .unavailable = fault.kind else { throw fault }
        }
    }

    private func open(_ place: DatabasePlace) throws -> any Database {
        switch place {
        case .postgres(let url): PostgresDatabase(url: url)
        case .sqlite(let path): try SQLiteDatabase(path: path, as: dryRun ? .reading : .foreign)
        }
    }

    private func survey(_ database: any Database, _ chunks: FileContents, _ others: [String]) async throws {
        let (owner, survey) = try await database.read { [dialect = database.dialect] connection in
            (try Schema.owner(connection), try Survey(connection, dialect, chunks: chunks))
        }
        if owner == .apus { print("This database is one of Apus already.") }
        for (what, count) in survey.counts { print("\(count) \(what)") }
        let oddities = survey.oddities + survey.missingFiles
        print(oddities.isEmpty ? "Nothing is unusual." : "Unusual, and taken over all the same:")
        for oddity in oddities { print("  \(oddity)") }
        for other in others { print("Another program has the database open, and must be stopped before: \(other)") }
        guard survey.faults.isEmpty else {
            print("Wrong, and to be mended before anything is taken over:")
            for fault in survey.faults { print("  \(fault)") }
            throw ExitCode(1)
        }
        print(Self.settingsModule)
        if owner != .apus { print("\(survey.words) can be adopted. Nothing was changed.") }
    }

    /// What nothing that is read tells of.
    private static let settingsModule =
        "Where the EteSync server's settings module has SENDFILE_BACKEND: a module is not read, and APUS_SENDFILE is for that."

    private func adopt(_ database: any Database, _ chunks: FileContents, _ environment: Environment) async throws {
        let folder = DataFolder(path: try dataOptions.folder(environment))
        let kept = try folder.secret(environment)
        let events: Int
        switch try await database.read({ try Schema.owner($0) }) {
        case .apus:
            guard let found = try await adoptBeside(database, chunks, kept, folder) else { return }
            events = found
        case .original: events = try await adoptFirst(database, chunks, kept, folder)
        case .originalAgain: events = try await adoptAgain(database, chunks, kept, folder)
        }
        let survey = try await database.read { [dialect = database.dialect] in try Survey($0, dialect, chunks: chunks) }
        print("Adopted: \(survey.words), as \(events) events. Look with apus verify, then start apus serve with the same options.")
        print(Self.settingsModule)
        for words in survey.missingFiles { print("\(words) (is the folder that of --media-root?)") }
    }

    private func adoptFirst(_ database: any Database, _ chunks: FileContents, _ kept: Hidden<[UInt8]>?, _ folder: DataFolder) async throws
        -> Int
    {
        // The log is made here, and its secret with it.
        let secret = try kept ?? folder.makeSecret()
        do {
            return try await database.write { [dialect = database.dialect] connection in
                try Schema.adopt(connection, dialect) { try Adoption.requireSound(connection, dialect) }
                try SecretMark.require(secret.value, connection)
                return try Adoption.run(connection, contents: chunks, at: Node.clock()) { count in
                    print("\(count) events …")
                    // Whoever waits reads it in a file or through a pipe, perhaps.
                    fflush(nil)
                }
            }
        } catch {
            if kept == nil { try folder.removeSecret() }
            throw error
        }
    }

    private func adoptAgain(_ database: any Database, _ chunks: FileContents, _ kept: Hidden<[UInt8]>?, _ folder: DataFolder) async throws
        -> Int
    {
        guard let secret = kept else { throw folder.missingSecret }
        return try await withScratch { [dialect = database.dialect] scratch in
            try await AdoptionAgain(database: database, scratch: scratch, stokens: StokenSealer(secret: secret.value), contents: chunks)
                .run(at: Node.clock()) { connection in
                    try Schema.adoptAgain(connection, dialect) { try Adoption.requireSound(connection, dialect) }
                    try SecretMark.require(secret.value, connection)
                }
        }
    }

    /// Takes over what an EteSync server has written since this database was adopted.
    ///
    /// - Returns: how many events it came to; nil where there was nothing to adopt, which is told.
    private func adoptBeside(_ database: any Database, _ chunks: FileContents, _ kept: Hidden<[UInt8]>?, _ folder: DataFolder) async throws
        -> Int?
    {
        guard let secret = kept else { throw folder.missingSecret }
        let outcome = try await withScratch { [dialect = database.dialect, again] scratch in
            try await AdoptionAgain(database: database, scratch: scratch, stokens: StokenSealer(secret: secret.value), contents: chunks)
                .runBeside(at: Node.clock(), takesAll: again) { connection in
                    try Schema.adoptBeside(connection, dialect) { try Adoption.requireSound(connection, dialect) }
                    try SecretMark.require(secret.value, connection)
                }
        }
        switch outcome {
        case .adopted(let events): return events
        case .nothing: print("This database is one of Apus already, and holds nothing that its log does not: there is nothing to adopt.")
        case .damaged:
            throw OperatorFault(
                """
                this database is one of Apus already, and its tables have less than its log, or have it otherwise: apus rebuild brings \
                them to what the log says. Where an EteSync server has changed them so, apus adopt --again takes them as they are
                """)
        }
        return nil
    }
}
