/// The tables: those of the original, those of the log, and the read model's own.
///
/// A file for each table and dialect. A database has the version of the schema that made or upgraded it; a program that
/// finds a newer one than it knows stops.
public import Database

/// Creates the tables.
public enum Schema {
    /// The version that this program makes and works with.
    public static let version: Int64 = 1

    /// Creates what is missing, in the caller's transaction: of several processes that come at once one makes the tables
    /// and the others find them.
    ///
    /// - Throws: ``DatabaseFault`` when the database has a newer schema than this program knows, or holds tables that are
    ///   not ours.
    public static func create(_ connection: any Connection, _ dialect: Dialect) throws {
        try connection.run(script: lock(dialect))
        let tables = try connection.query(tables, []) { $0.text(0) }
        if tables.contains("apus_schema") {
            let found = try connection.first(Statement("SELECT max(version) FROM apus_schema"), []) { $0.integer(0) } ?? 0
            guard found <= version else {
                throw DatabaseFault(.corrupt, "the database has schema \(found), this program knows \(version): use a newer apus")
            }
            return
        }
        guard tables.isEmpty else {
            throw DatabaseFault(.corrupt, "the database holds tables of another program; it is left as it is")
        }
        for script in scripts(dialect) { try connection.run(script: script) }
        try connection.execute(Statement("INSERT INTO apus_schema (version) VALUES ($1)"), [.integer(version)])
    }

    private static let tables = Statement(
        sqlite: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        postgres: "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()")

    /// SQLite's writer is alone anyway. PostgreSQL has nothing to lock before there are tables, so the lock is on a number,
    /// and goes with the transaction.
    private static func lock(_ dialect: Dialect) -> String {
        switch dialect {
        case .sqlite: ""
        case .postgres: "SELECT pg_advisory_xact_lock(4702111234474983745)"
        }
    }

    private static func scripts(_ dialect: Dialect) -> [String] {
        switch dialect {
        case .sqlite: ["CREATE TABLE apus_schema (version INTEGER NOT NULL) STRICT"] + DjangoTables.sqlite() + ApusTables.sqlite()
        case .postgres: ["CREATE TABLE apus_schema (version bigint NOT NULL)"] + DjangoTables.postgres() + ApusTables.postgres()
        }
    }
}

/// The tables that only Apus has; the original server never sees them.
enum ApusTables {
    static func sqlite() -> [String] {
        [
            PackageResources.apus_log_sqlite_sql, PackageResources.apus_epoch_sqlite_sql, PackageResources.apus_stream_sqlite_sql,
            PackageResources.apus_event_sqlite_sql, PackageResources.apus_stream_event_sqlite_sql,
            PackageResources.apus_claim_sqlite_sql, PackageResources.apus_chunk_sqlite_sql,
            PackageResources.apus_session_sqlite_sql, PackageResources.apus_projection_sqlite_sql,
            PackageResources.apus_collection_sqlite_sql, PackageResources.apus_item_sqlite_sql,
            PackageResources.apus_user_email_sqlite_sql,
        ].map { String(decoding: $0, as: UTF8.self) }
    }

    static func postgres() -> [String] {
        [
            PackageResources.apus_log_postgres_sql, PackageResources.apus_epoch_postgres_sql, PackageResources.apus_stream_postgres_sql,
            PackageResources.apus_event_postgres_sql, PackageResources.apus_stream_event_postgres_sql,
            PackageResources.apus_claim_postgres_sql, PackageResources.apus_chunk_postgres_sql,
            PackageResources.apus_session_postgres_sql, PackageResources.apus_append_postgres_sql,
            PackageResources.apus_projection_postgres_sql, PackageResources.apus_collection_postgres_sql,
            PackageResources.apus_item_postgres_sql, PackageResources.apus_user_email_postgres_sql,
        ].map { String(decoding: $0, as: UTF8.self) }
    }
}
