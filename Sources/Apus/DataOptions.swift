internal import ArgumentParser
internal import Foundation
internal import Server

/// The folder of everything that is kept.
struct DataOptions: ParsableArguments {
    @Option(help: "An etebase-server.ini, for what neither flags nor the environment say. (APUS_CONFIG)")
    var config: String?

    /// The settings of a command; what is to be known of them is told.
    func environment() throws -> Environment {
        let environment = try quietEnvironment()
        for notice in environment.notices { try FileHandle.standardError.write(contentsOf: Data((notice + "\n").utf8)) }
        return environment
    }

    /// The settings; what is to be known of them is left to the caller.
    func quietEnvironment() throws -> Environment { try Environment(config: config) }

    @Option(help: "The folder of everything that is kept: database and secret. (APUS_DATA, default ./data)")
    var data: String?

    @Option(help: "postgres://… or sqlite:PATH: where log and read model lie. (APUS_DATABASE_URL, default SQLite in the data folder)")
    var databaseURL: String?

    @Option(
        help: """
            postgres://…: a database of its own to read from, which a projector keeps, or a standby of the other. \
            (APUS_READ_DATABASE_URL, default none)
            """)
    var readDatabaseURL: String?

    @Option(help: "The folder of chunk files. (APUS_MEDIA_ROOT, default chunks in the data folder)")
    var mediaRoot: String?

    /// Where everything lies.
    func settings(_ environment: Environment) throws -> DataSettings {
        DataSettings(
            folder: folder(environment), database: try databasePlace(environment), readDatabaseURL: try readDatabaseURL(environment),
            chunkFolder: chunkFolder(environment), secret: try environment.givenSecret())
    }

    func readDatabaseURL(_ environment: Environment) throws -> String? {
        guard let url = try readDatabaseURL ?? environment.secret("APUS_READ_DATABASE_URL") else { return nil }
        guard url.hasPrefix("postgres://") || url.hasPrefix("postgresql://") else {
            throw ValidationError("APUS_READ_DATABASE_URL begins with postgres://")
        }
        return url
    }

    /// Where log and read model lie.
    func databasePlace(_ environment: Environment) throws -> DatabasePlace {
        guard let url = try databaseURL ?? environment.secret("APUS_DATABASE_URL") else {
            return .sqlite(path: folder(environment) + "/apus.sqlite")
        }
        if url.hasPrefix("sqlite:"), url.count > "sqlite:".count { return .sqlite(path: String(url.dropFirst("sqlite:".count))) }
        guard url.hasPrefix("postgres://") || url.hasPrefix("postgresql://") else {
            throw ValidationError("a database's address begins with postgres://, or is sqlite: and the path of a file")
        }
        return .postgres(url: url)
    }

    /// Whether other processes may share the database.
    func isShared(_ environment: Environment) throws -> Bool {
        if case .postgres = try databasePlace(environment) { true } else { false }
    }

    func chunkFolder(_ environment: Environment) -> String {
        environment.text("APUS_MEDIA_ROOT", flag: mediaRoot, default: folder(environment) + "/chunks")
    }

    func folder(_ environment: Environment) -> String { environment.text("APUS_DATA", flag: data, default: "./data") }
}
