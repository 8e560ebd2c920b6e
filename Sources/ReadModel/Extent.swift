package import Database
package import Domain

/// What a server keeps, counted: all rows are looked at, so this is for people and not for monitors.
package struct Extent: Sendable {
    /// Name and version of the database's program.
    package let engine: String
    package let users: Int64
    /// Of the users, those who are kept out.
    package let disabledUsers: Int64
    package let collections: Int64
    package let items: Int64
    /// What the database takes on its disk, with indexes and what is free in it.
    package let databaseBytes: Int64

    /// - Throws: `DatabaseFault`.
    package static func measure(_ connection: any Connection) throws -> Extent {
        let found = try connection.first(select, []) { row in
            Extent(
                engine: row.text(0), users: row.integer(1), disabledUsers: row.integer(2), collections: row.integer(3),
                items: row.integer(4), databaseBytes: row.integer(5))
        }
        guard let found else { throw Snapshot.noCheckpoint }
        return found
    }

    private static let select = Statement(
        """
        SELECT {sqlite: 'SQLite ' || sqlite_version()}{postgres: 'PostgreSQL ' || current_setting('server_version')},
               (SELECT count(*) FROM myauth_user),
               (SELECT count(*) FROM myauth_user WHERE NOT is_active),
               (SELECT count(*) FROM django_etebase_collection),
               (SELECT count(*) FROM django_etebase_collectionitem),
               {sqlite: (SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size())}
               {postgres: pg_database_size(current_database())}
        """)
}

/// The newest backup, as the database remembers it.
package struct LastBackup: Sendable {
    package let madeAt: Timestamp
    /// What it has everything up to.
    package let position: Position

    package init(madeAt: Timestamp, position: Position) {
        self.madeAt = madeAt
        self.position = position
    }

    /// Notes that it was taken.
    package func note(_ connection: any Connection) throws {
        try connection.execute(Self.upsert, [.integer(madeAt.rawValue), .integer(position.rawValue)])
    }

    /// Nil where none was ever taken.
    package static func find(_ connection: any Connection) throws -> LastBackup? {
        try connection.first(Self.select, []) { row in
            LastBackup(madeAt: Timestamp(rawValue: row.integer(0)), position: Position(rawValue: row.integer(1)))
        }
    }

    private static let upsert = Statement(
        """
        INSERT INTO apus_last_backup (id, made_at, position)
        VALUES (1, $1, $2)
        ON CONFLICT (id) DO UPDATE SET made_at = excluded.made_at, position = excluded.position
        """)

    private static let select = Statement("SELECT made_at, position FROM apus_last_backup")
}
