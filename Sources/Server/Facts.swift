internal import Database
internal import EventLog
internal import Foundation
internal import Logging

extension Node {
    /// What whoever looks at the log later wants to know of a start.
    func facts(_ settings: ServerSettings) async throws -> Logger.Metadata {
        let folder = URL(filePath: data.folder).standardizedFileURL.path(percentEncoded: false)
        let (engine, server, epoch) = try await database.read { connection in
            (
                try connection.first(Self.selectEngine, []) { $0.text(0) } ?? "",
                try connection.first(Self.selectServer, []) { $0.text(0) } ?? "", try EventLog.head(connection).epoch
            )
        }
        let database = if case .sqlite(let path) = data.database { path } else { server }
        return [
            "version": "\(settings.version)", "engine": "\(engine)", "database": "\(database)", "data": "\(folder)",
            "roles": "\(settings.roles.map(\.rawValue).sorted().joined(separator: ","))", "epoch": .stringConvertible(epoch),
        ]
    }

    private static let selectEngine = Statement(
        "SELECT {sqlite: 'SQLite ' || sqlite_version()}{postgres: 'PostgreSQL ' || current_setting('server_version')}")

    /// Where the database is, as the server tells: without what it takes to enter.
    private static let selectServer = Statement(
        """
        SELECT {sqlite: ''}
               {postgres:
                   'postgres://' || current_user || '@' || COALESCE(host(inet_server_addr()) || ':' || inet_server_port(), 'socket')
                   || '/' || current_database()
               }
        """)
}
