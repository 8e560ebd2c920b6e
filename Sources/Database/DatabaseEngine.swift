/// The engines that there are. What only one of them does takes a database of its type; this is the one place that tells which one a
/// database is.
package enum DatabaseEngine: Sendable {
    case sqlite(SQLiteDatabase)
    case postgres(PostgresDatabase)
}

extension Database {
    /// Which texts of statements it runs.
    package var dialect: Dialect {
        switch engine {
        case .sqlite: .sqlite
        case .postgres: .postgres
        }
    }

    /// Closes what was opened; running statements finish first. Connections to a server end with the process.
    package func close() throws(DatabaseFault) {
        switch engine {
        case .sqlite(let database): try database.closeConnections()
        case .postgres: break
        }
    }
}
