internal import ArgumentParser
internal import Foundation
internal import Server

/// The options of every command that works with what is kept; ``Settings`` tells of them.
struct DataOptions: ParsableArguments {
    @Option(help: Settings.config.help) var config: String?
    @Option(help: Settings.data.help) var data: String?
    @Option(help: Settings.databaseURL.help) var databaseURL: String?
    @Option(help: Settings.readDatabaseURL.help) var readDatabaseURL: String?
    @Option(help: Settings.mediaRoot.help) var mediaRoot: String?

    /// What was said, by the names of variables.
    var flags: Environment.Variables {
        let said: [String: String?] = [  // names of ours
            Settings.config.name: config, Settings.data.name: data, Settings.databaseURL.name: databaseURL,
            Settings.readDatabaseURL.name: readDatabaseURL, Settings.mediaRoot.name: mediaRoot,
        ]
        return said.compactMapValues { $0 }
    }

    /// The settings of a command; what is to be known of them is told.
    func environment() throws -> Environment {
        let environment = try quietEnvironment()
        for notice in environment.notices { try FileHandle.standardError.write(contentsOf: Data((notice + "\n").utf8)) }
        return environment
    }

    /// The settings; what is to be known of them is left to the caller.
    ///
    /// - Parameter others: what the command's other options say.
    func quietEnvironment(_ others: Environment.Variables = [:]) throws -> Environment {
        try Environment(flags: flags.merging(others) { $1 })
    }

    /// Where log and read model lie.
    func databasePlace(_ environment: Environment) throws -> DatabasePlace { try environment.value(Settings.databaseURL) }

    func chunkFolder(_ environment: Environment) throws -> String { try environment.value(Settings.mediaRoot) }

    func folder(_ environment: Environment) throws -> String { try environment.value(Settings.data) }
}
