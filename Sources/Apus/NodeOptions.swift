internal import ArgumentParser
internal import Contents
internal import Logging
internal import Redis
internal import Server
internal import Sodium

extension Node {
    /// Opens the database that the options name.
    init(
        _ options: DataOptions, _ environment: Environment, makesDatabase: Bool = false, onlyAsks: Bool = false,
        chunks place: ContentPlace = .database, redis: Redis? = nil, logger: Logger
    ) async throws {
        let settings = try environment.dataSettings()
        self = try await withMistakesTold {
            try await Node(settings, makesDatabase: makesDatabase, onlyAsks: onlyAsks, chunks: place, redis: redis, logger: logger)
        }
    }
}

extension DataFolder {
    /// The secret that was given, or is kept in the folder; nil where there is none.
    func secret(_ environment: Environment) throws -> Hidden<[UInt8]>? { try environment.optional(Settings.secret) ?? keptSecret() }
}

/// Runs `body`; that settings are none is told as of any other mistake in what a command was given.
func withMistakesTold<T>(_ body: () async throws -> T) async throws -> T {
    do { return try await body() } catch let mistake as SettingFault { throw ValidationError(mistake.description) }
}
