internal import Database
package import Directory
internal import Foundation
package import Redis
package import Server
internal import Sodium

/// What is looked at on this machine: the settings of a server, and what they name.
package struct Patient: Sendable {
    /// Where everything lies.
    let data: DataSettings
    /// Where the server listens.
    let address: ListenAddress
    /// Nil where there is none.
    let redis: RedisURL?
    /// Nil where there is none.
    let directory: DirectorySettings?
    /// Whether new chunks go into files.
    let keepsFiles: Bool
    /// This program's.
    let version: String
    /// What is wrong with the settings, in words.
    let mistakes: [String]
    private let postgres: PostgresDatabase?

    package init(
        _ data: DataSettings, address: ListenAddress, redis: RedisURL?, directory: DirectorySettings?, keepsFiles: Bool, version: String,
        mistakes: [String] = []
    ) {
        (self.data, self.address, self.redis, self.directory, self.keepsFiles) = (data, address, redis, directory, keepsFiles)
        (self.version, self.mistakes) = (version, mistakes)
        postgres = if case .postgres(let url) = data.database { PostgresDatabase(url: url, connections: 1) } else { nil }
    }

    /// The database, as it is looked at: nothing of it is changed. A file is opened anew each time, for one that nobody serves is read as
    /// if it never changed.
    ///
    /// - Throws: `DatabaseFault` where there is none.
    func open() throws(DatabaseFault) -> any Database {
        if let postgres { return postgres }
        guard case .sqlite(let path) = data.database else { preconditionFailure("a database is SQLite or PostgreSQL") }
        do throws(DatabaseFault) { return try SQLiteDatabase(path: path, as: .reading) } catch {
            throw DatabaseFault(error.kind, "\(path): \(error)")
        }
    }

    /// The folder of everything that is kept.
    var folder: DataFolder { DataFolder(path: data.folder) }

    /// The file of SQLite; nil with PostgreSQL.
    var file: String? { if case .sqlite(let path) = data.database { path } else { nil } }

    /// Whether something must be kept in the folder.
    var needsFolder: Bool { file != nil || data.secret == nil }

    /// What is kept in files, as far as it is there: the folder first.
    var keptPaths: [String] {
        let names = ["secret"].map { "\(data.folder)/\($0)" }
        let database = file.map { file in ["", "-wal", "-shm"].map { file + $0 } } ?? []
        return ([data.folder] + names + database + [data.chunkFolder]).filter { FileManager.default.fileExists(atPath: $0) }
    }

    /// Runs `body` with the database; where there is none, or it does not answer, that is another check's matter.
    func ask(_ body: @Sendable (any Database) async throws -> Finding) async -> Finding {
        do { return try await body(open()) } catch { return .notApplicable("the database does not answer (\(Inside.databaseNumber))") }
    }

    /// Runs `body` with the PostgreSQL.
    func askPostgres(_ body: @Sendable (PostgresDatabase) async throws -> Finding) async -> Finding {
        guard let postgres else { return .notApplicable("everything is in SQLite") }
        return await ask { _ in try await body(postgres) }
    }
}
