internal import ArgumentParser
internal import Database
internal import Domain
internal import EventLog
internal import Foundation
internal import Logging
internal import Projections
internal import ReadModel
internal import Schemas
internal import ServiceLifecycle
internal import Sodium

/// What every subcommand works with: the data folder opened, and the modules on it put together.
struct Node: Sendable {
    let database: SQLiteDatabase
    let readModel: ReadModel
    let committer: Committer
    let secret: [UInt8]

    static let clock: @Sendable () -> Timestamp = {
        Timestamp(rawValue: Int64((Date().timeIntervalSince1970 * 1_000_000).rounded()))
    }

    /// Opens the data folder, and makes what is missing in it.
    init(folder: String, _ environment: Environment) async throws {
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        secret = Array(try (environment.secret("APUS_SECRET") ?? Self.keptSecret(folder)).utf8)
        database = try SQLiteDatabase(path: folder + "/apus.sqlite")
        try await database.write { [dialect = database.dialect] connection in try Schema.create(connection, dialect) }
        let stokens = StokenSealer(secret: secret)
        let projection = DjangoProjection(stokens: stokens)
        readModel = ReadModel(database: database, stokens: stokens, progress: nil)
        committer = Committer(LocalAppender(database: database) { connection, events in try projection.apply(events, connection) })
    }

    /// Runs `body` while submissions are committed: what subcommands other than `serve` need.
    func committing<T: Sendable>(_ body: @escaping @Sendable () async throws -> T) async throws -> T {
        try await withThrowingTaskGroup(of: T?.self) { group in
            group.addTask {
                try await committer.run()
                return nil
            }
            group.addTask { try await body() }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
    }

    /// The secret in the data folder, made at the first start. Whoever has it can forge logins' challenges and stokens.
    private static func keptSecret(_ folder: String) throws -> String {
        let path = folder + "/secret"
        if let kept = FileManager.default.contents(atPath: path) {
            let secret = String(decoding: kept, as: UTF8.self).trimmingCharacters(in: .newlines)
            guard !secret.isEmpty else { throw ValidationError("\(path) is empty: restore it, or stokens and logins break") }
            return secret
        }
        let secret = Sodium.randomAlphanumerics(64)
        guard
            FileManager.default.createFile(atPath: path, contents: Data(secret.utf8), attributes: [.posixPermissions: 0o600])
        else { throw ValidationError("\(path) cannot be written") }
        return secret
    }
}

/// Moves SQLite's log of changes into the file every second, beside the writer, so that commits need not.
struct Checkpoints: Service {
    let database: SQLiteDatabase
    let logger: Logger

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                while true {
                    try await Task.sleep(for: .seconds(1))
                    // Busy when a commit does the same just now: the next second will do.
                    do { try await database.checkpoint() } catch {
                        logger.debug("no checkpoint", metadata: ["fault": "\(error)"])
                    }
                }
            }
        } catch is CancellationError {}
    }
}
