package import Database
package import Domain

/// A process that serves the log, as it tells of itself.
package struct ServingProcess: Sendable {
    /// Made at its start, and nobody else's.
    package let name: String
    /// As in `api,gateway,projector`.
    package let roles: String
    /// Where clients reach it; nil where it has no port.
    package let address: String?
    package let version: String
    /// How many WebSockets are open.
    package let sockets: Int64
    package let startedAt: Timestamp
    package let seenAt: Timestamp

    package init(
        name: String, roles: String, address: String?, version: String, sockets: Int64, startedAt: Timestamp, seenAt: Timestamp
    ) {
        self.name = name
        self.roles = roles
        self.address = address
        self.version = version
        self.sockets = sockets
        self.startedAt = startedAt
        self.seenAt = seenAt
    }
}

/// Who serves the log: rows in its database, each of which its process writes again before it expires.
package struct Processes: Sendable {
    private let database: any Database

    package init(_ database: any Database) { self.database = database }

    /// Notes a process, and forgets those that have expired.
    ///
    /// - Throws: `DatabaseFault`, within seconds.
    package func note(_ process: ServingProcess, until expiry: Timestamp) async throws {
        try await database.write { connection in
            try Self.lighten(connection)
            try connection.execute(Self.deleteExpired, [.integer(process.seenAt.rawValue)])
            try connection.execute(
                Self.upsert,
                [
                    .text(process.name), .text(process.roles), .text(orNull: process.address), .text(process.version),
                    .integer(process.sockets), .integer(process.startedAt.rawValue), .integer(process.seenAt.rawValue),
                    .integer(expiry.rawValue),
                ])
        }
    }

    /// Forgets one that ends.
    package func remove(_ name: String) async throws {
        try await database.write { connection in
            try Self.lighten(connection)
            try connection.execute(Self.delete, [.text(name)])
        }
    }

    /// Those that are there, in the order of their starts.
    package static func alive(at now: Timestamp, _ connection: any Connection) throws -> [ServingProcess] {
        try connection.query(select, [.integer(now.rawValue)]) { row in
            ServingProcess(
                name: row.text(0), roles: row.text(1), address: row.textOrNil(2), version: row.text(3), sockets: row.integer(4),
                startedAt: Timestamp(rawValue: row.integer(5)), seenAt: Timestamp(rawValue: row.integer(6)))
        }
    }

    /// Nobody relies on such a row: it waits neither for standbys nor for a database that has too much to do.
    private static func lighten(_ connection: any Connection) throws { try connection.set(.needNotLast, .mustBeShort) }

    private static let deleteExpired = Statement("DELETE FROM apus_process WHERE expires_at <= $1")

    private static let upsert = Statement(
        """
        INSERT INTO apus_process (process, roles, address, version, sockets, started_at, seen_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (process) DO UPDATE
        SET    sockets = excluded.sockets, seen_at = excluded.seen_at, expires_at = excluded.expires_at
        """)

    private static let select = Statement(
        """
        SELECT process, roles, address, version, sockets, started_at, seen_at
        FROM   apus_process
        WHERE  expires_at > $1 AND roles <> 'doctor'
        ORDER  BY started_at, process
        """)

    private static let delete = Statement("DELETE FROM apus_process WHERE process = $1")
}
