import Database
import Domain
import EventLog
import Foundation
import Projections
import ReadModel
import Schemas

/// The engines that the tests run on. Another one is another case, and what opens it.
enum Engine: String, CaseIterable, Sendable {
    case sqlite

    static var all: [Engine] { allCases }

    /// Runs `body` in a new place for databases, which is gone afterwards.
    func place<T>(_ body: (Place) async throws -> T) async throws -> T {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try await body(Place(engine: self, folder: folder))
    }

    /// Runs `body` on a new database, with a committer.
    func node<T>(_ body: (Node) async throws -> T) async throws -> T {
        try await place { place in try await place.node().running(body) }
    }
}

/// Where databases of a test lie.
struct Place: Sendable {
    let engine: Engine
    let folder: URL

    /// Opens a database without looking what is in it.
    func database(_ name: String = "one") throws -> any Database {
        switch engine {
        case .sqlite: try SQLiteDatabase(path: folder.appending(path: name).path())
        }
    }

    /// Opens a database as a process of the server does. Several on one name are like several processes.
    ///
    /// - Parameters:
    ///   - watch: puts something between the modules and the database.
    ///   - projected: told of the events once their rows are written, in the same transaction.
    func node(
        _ name: String = "one", watch: (any Database) -> any Database = { $0 },
        projected: @escaping @Sendable ([RecordedEvent]) throws -> Void = { _ in }
    ) async throws -> Node {
        let database = watch(try database(name))
        try await database.write { [dialect = database.dialect] connection in try Schema.create(connection, dialect) }
        let stokens = StokenSealer(secret: Array("the secret of the tests".utf8))
        let projection = DjangoProjection(stokens: stokens)
        let appender = LocalAppender(database: database) { connection, events in
            try projection.apply(events, connection)
            try projected(events)
        }
        return Node(
            database: database, stokens: stokens, projection: projection,
            readModel: ReadModel(database: database, stokens: stokens, progress: nil), committer: Committer(appender))
    }
}

/// The storage of a server.
struct Node: Sendable {
    let database: any Database
    let stokens: StokenSealer
    let projection: DjangoProjection
    let readModel: ReadModel
    let committer: Committer

    /// Runs `body` while submissions are committed.
    func running<T>(_ body: (Node) async throws -> T) async throws -> T {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await committer.run() }
            defer { group.cancelAll() }
            return try await body(self)
        }
    }
}
