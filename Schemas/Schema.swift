/// The tables: those of the original, those of the log, and the read model's own.
///
/// A file for each table and dialect. A new database is made by their newest form; an older one is brought there by
/// upgrades. A program that finds a newer version than it knows stops.
package import Database

/// Creates the tables, and upgrades those of an earlier version.
package enum Schema {
    /// What makes a version of the version before it: scripts for tables. Functions are made anew by every upgrade.
    struct Upgrade {
        let version: Int64
        /// What it does, for whoever plans it.
        var summary = "new tables, columns or indexes"
        /// An upgrade that only adds lets programs that do not know of it go on. One that takes away, or changes what is there, says
        /// from which release on programs bear that; it waits until no process of an earlier one serves the database.
        var bearableFrom: String?
        var sqlite: [String] = []
        var postgres: [String] = []
    }

    /// In the order of their versions. What a version has changed is also in the scripts of new databases.
    static let upgrades = [
        Upgrade(
            version: 2, summary: "a column for where an epoch was begun", postgres: [text(PackageResources.version2_postgres_sql)]),
        // As long as nothing has changed them, new tables are made by the script that makes them in a new database.
        Upgrade(
            version: 3, summary: "a table for seals", sqlite: [text(PackageResources.apus_seal_sqlite_sql)],
            postgres: [text(PackageResources.apus_seal_postgres_sql)]),
        Upgrade(
            version: 4, summary: "a table for erasures, an index of sessions by their users",
            sqlite: [text(PackageResources.apus_redaction_sqlite_sql), sessionsByUser],
            postgres: [text(PackageResources.apus_redaction_postgres_sql), sessionsByUser]),
        Upgrade(
            version: 5, summary: "tables for the secret's mark and for adoptions",
            sqlite: [
                PackageResources.apus_secret_sqlite_sql, PackageResources.apus_resigned_sqlite_sql,
                PackageResources.apus_adopted_sqlite_sql,
            ].map(text),
            postgres: [
                PackageResources.apus_secret_postgres_sql, PackageResources.apus_resigned_postgres_sql,
                PackageResources.apus_adopted_postgres_sql,
            ].map(text)),
        Upgrade(
            version: 6, summary: "tables for the processes that serve, and for the newest backup",
            sqlite: [PackageResources.apus_process_sqlite_sql, PackageResources.apus_last_backup_sqlite_sql].map(text),
            postgres: [PackageResources.apus_process_postgres_sql, PackageResources.apus_last_backup_postgres_sql].map(text)),
        Upgrade(
            version: 7, summary: "tables for links with which people sign up",
            sqlite: [PackageResources.apus_signup_link_sqlite_sql, PackageResources.apus_signup_use_sqlite_sql].map(text),
            postgres: [PackageResources.apus_signup_link_postgres_sql, PackageResources.apus_signup_use_postgres_sql].map(text)),
        Upgrade(
            version: 8, summary: "tables for quotas, and for what collections hold; columns for contents in an S3 store",
            sqlite: [
                PackageResources.apus_quota_sqlite_sql, PackageResources.apus_usage_sqlite_sql, PackageResources.apus_chunk_size_sqlite_sql,
                PackageResources.apus_counted_sqlite_sql, PackageResources.version8_sqlite_sql,
            ].map(text),
            postgres: [
                PackageResources.apus_quota_postgres_sql, PackageResources.apus_usage_postgres_sql,
                PackageResources.apus_chunk_size_postgres_sql, PackageResources.apus_counted_postgres_sql,
                PackageResources.version8_postgres_sql,
            ].map(text)),
        Upgrade(
            version: 9, summary: "tables for who is let into the pages, and for what admins did there",
            sqlite: [PackageResources.apus_page_key_sqlite_sql, PackageResources.apus_admin_act_sqlite_sql].map(text),
            postgres: [PackageResources.apus_page_key_postgres_sql, PackageResources.apus_admin_act_postgres_sql].map(text)),
        Upgrade(
            version: 10, summary: "a table for what the directory (LDAP) has said of users",
            sqlite: [text(PackageResources.apus_listing_sqlite_sql)], postgres: [text(PackageResources.apus_listing_postgres_sql)]),
        Upgrade(
            version: 11, summary: "a table for long work that is ordered on the admins' pages",
            sqlite: [text(PackageResources.apus_job_sqlite_sql)], postgres: [text(PackageResources.apus_job_postgres_sql)]),
    ]

    private static let sessionsByUser = "CREATE INDEX apus_session_user ON apus_session (user_id)"

    /// The version that this program makes and works with.
    package static var version: Int64 { upgrades.last?.version ?? 1 }

    /// Creates or upgrades what is there, in the caller's transaction: of several processes that come at once one does it,
    /// and the others find it done.
    ///
    /// - Throws: ``DatabaseFault`` when the database has a newer schema than this program knows, or holds tables that are
    ///   not ours.
    package static func create(_ connection: any Connection, _ dialect: Dialect) throws {
        try create(connection, dialect, upgrades: upgrades)
    }

    static func create(_ connection: any Connection, _ dialect: Dialect, upgrades: [Upgrade]) throws {
        let newest = upgrades.last?.version ?? 1
        try lock(connection, dialect)
        if let found = try check(connection, newest: newest) {
            guard found < newest else { return }
            let pending = upgrades.filter { $0.version > found }
            try requireBearable(pending, of: found, connection)
            for upgrade in pending {
                for script in upgrade.scripts(dialect) { try connection.run(script: script) }
            }
            try connection.execute(Self.updateVersion, [.integer(newest)])
        } else {
            for script in scripts(dialect) { try connection.run(script: script) }
            try connection.execute(Self.insertVersion, [.integer(newest)])
        }
        for script in functions(dialect) { try connection.run(script: script) }
    }

    /// Looks whether the database is ours, or nobody's yet; changes nothing.
    ///
    /// - Returns: the version of its schema; nil where there are no tables.
    /// - Throws: ``DatabaseFault`` as ``create(_:_:)``.
    @discardableResult
    package static func check(_ connection: any Connection) throws -> Int64? { try check(connection, newest: version) }

    static func check(_ connection: any Connection, newest: Int64) throws -> Int64? {
        let tables = try connection.query(tables, []) { $0.text(0) }
        guard !tables.contains("apus_handed_back") else {
            throw DatabaseFault(.corrupt, "the database was handed back to the EteSync server: apus adopt takes it over again")
        }
        guard tables.contains("apus_schema") else {
            guard tables.isEmpty else {
                throw DatabaseFault(
                    .corrupt,
                    "the database holds tables of another program and is left as it is; one of an EteSync server is taken over by apus adopt"
                )
            }
            return nil
        }
        let found = try connection.first(Self.selectVersion, []) { $0.integer(0) } ?? 0
        guard found <= newest else {
            throw DatabaseFault(.corrupt, "the database has schema \(found), this program knows \(newest): use a newer apus")
        }
        return found
    }

    /// Makes our own tables beside those of the original, in the caller's transaction, and keeps the original from writing
    /// meanwhile.
    ///
    /// - Parameter inspect: looks at the tables once nobody writes into them any more, and before anything is changed.
    /// - Throws: ``DatabaseFault`` when the database is not one of the original in the version that this program knows.
    package static func adopt(_ connection: any Connection, _ dialect: Dialect, inspect: () throws -> Void) throws {
        try takeOver(connection, dialect, from: .original, inspect)
        for script in schemaTable(dialect) + ApusTables.scripts(dialect) { try connection.run(script: script) }
        try connection.execute(Self.insertVersion, [.integer(version)])
        for script in functions(dialect) { try connection.run(script: script) }
    }

    private static func takeOver(_ connection: any Connection, _ dialect: Dialect, from owner: Owner, _ inspect: () throws -> Void) throws {
        try lock(connection, dialect)
        guard try self.owner(connection) == owner else { throw DatabaseFault(.corrupt, "somebody else adopts this database") }
        if dialect == .postgres {
            // Files are read meanwhile, however many and large they are.
            try connection.set(.mayStandStill)
            try connection.run(script: Original.lock)
        }
        try inspect()
        if dialect == .postgres { try connection.run(script: Original.widen) }
    }

    /// Takes a database back that was handed back to the original, in the caller's transaction, like ``adopt(_:_:inspect:)``.
    package static func adoptAgain(_ connection: any Connection, _ dialect: Dialect, inspect: () throws -> Void) throws {
        try takeOver(connection, dialect, from: .originalAgain, inspect)
        try connection.run(script: "DROP TABLE apus_handed_back")
        if dialect == .sqlite { try connection.run(script: "DROP TRIGGER IF EXISTS apus_handed_back_event") }
        try create(connection, dialect)
        for script in functions(dialect) { try connection.run(script: script) }
    }

    /// Begins to take over what the original has written into a database of ours, in the caller's transaction, like
    /// ``adopt(_:_:inspect:)``.
    package static func adoptBeside(_ connection: any Connection, _ dialect: Dialect, inspect: () throws -> Void) throws {
        try create(connection, dialect)
        guard try owner(connection) == .apus else { throw DatabaseFault(.corrupt, "somebody else adopts this database") }
        if dialect == .postgres { try connection.run(script: Original.lock) }
        try inspect()
    }

    /// Marks the database as handed back to the original, in the caller's transaction: nobody serves it until it is adopted
    /// again.
    package static func handBack(_ connection: any Connection, _ dialect: Dialect) throws {
        try connection.run(script: "CREATE TABLE IF NOT EXISTS apus_handed_back (position BIGINT NOT NULL)")
        // Servers that still run cannot append any more.
        switch dialect {
        case .sqlite:
            try connection.run(
                script: """
                    CREATE TRIGGER IF NOT EXISTS apus_handed_back_event BEFORE INSERT ON apus_event
                    BEGIN SELECT RAISE(ABORT, 'the database was handed back'); END
                    """)
        case .postgres: try connection.run(script: "DROP FUNCTION IF EXISTS apus_append")
        }
    }

    /// Whose a database is.
    package enum Owner: Sendable {
        case apus
        case original
        /// It was handed back.
        case originalAgain
    }

    /// Whose the database is; changes nothing.
    ///
    /// - Throws: ``DatabaseFault`` when it is neither ours nor one of the original in the version that this program knows.
    package static func owner(_ connection: any Connection) throws -> Owner {
        let found = Set(try connection.query(tables, []) { $0.text(0) })
        if found.contains("apus_schema"), !found.contains("apus_handed_back") { return .apus }
        try Original.check(found, connection)
        return found.contains("apus_handed_back") ? .originalAgain : .original
    }

    private static let tables = Statement(
        """
        {sqlite: SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'}
        {postgres:
            SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'
        }
        """)

    /// SQLite's writer is alone anyway. PostgreSQL has nothing to lock before there are tables, so the lock is on a number,
    /// and goes with the transaction. Whoever comes second waits for as long as an upgrade takes; an upgrade itself waits
    /// for tables no longer than others may have to wait behind it.
    private static func lock(_ connection: any Connection, _ dialect: Dialect) throws {
        guard dialect == .postgres else { return }
        try connection.set(.mayTakeLong, .waitsForEver)
        try connection.run(script: "SELECT pg_advisory_xact_lock(4702111234474983745)")
        try connection.set(.waitsShortly)
    }

    private static func scripts(_ dialect: Dialect) -> [String] {
        let original =
            switch dialect {
            case .sqlite: DjangoTables.sqlite()
            case .postgres: DjangoTables.postgres()
            }
        return schemaTable(dialect) + original + ApusTables.scripts(dialect)
    }

    private static func schemaTable(_ dialect: Dialect) -> [String] {
        switch dialect {
        case .sqlite: ["CREATE TABLE apus_schema (version INTEGER NOT NULL) STRICT"]
        case .postgres: ["CREATE TABLE apus_schema (version bigint NOT NULL)"]
        }
    }

    /// What is made anew whenever the schema changes, and run then: the epoch's place becomes known.
    private static func functions(_ dialect: Dialect) -> [String] {
        switch dialect {
        case .sqlite: []
        case .postgres:
            [
                PackageResources.apus_place_postgres_sql, PackageResources.apus_begin_epoch_postgres_sql,
                PackageResources.apus_append_postgres_sql,
            ].map(text) + ["SELECT apus_begin_epoch()"]
        }
    }

    static func text(_ script: [UInt8]) -> String { String(decoding: script, as: UTF8.self) }

    private static let updateVersion = Statement("UPDATE apus_schema SET version = $1")

    private static let insertVersion = Statement("INSERT INTO apus_schema (version) VALUES ($1)")

    private static let selectVersion = Statement("SELECT max(version) FROM apus_schema")
}

extension Schema.Upgrade {
    fileprivate func scripts(_ dialect: Dialect) -> [String] {
        switch dialect {
        case .sqlite: sqlite
        case .postgres: postgres
        }
    }
}

/// The tables that only Apus has; the original server never sees them.
enum ApusTables {
    static func scripts(_ dialect: Dialect) -> [String] {
        switch dialect {
        case .sqlite: sqlite()
        case .postgres: postgres()
        }
    }

    private static func sqlite() -> [String] {
        [
            PackageResources.apus_log_sqlite_sql, PackageResources.apus_epoch_sqlite_sql, PackageResources.apus_stream_sqlite_sql,
            PackageResources.apus_event_sqlite_sql, PackageResources.apus_stream_event_sqlite_sql,
            PackageResources.apus_claim_sqlite_sql, PackageResources.apus_chunk_sqlite_sql,
            PackageResources.apus_session_sqlite_sql, PackageResources.apus_seal_sqlite_sql,
            PackageResources.apus_redaction_sqlite_sql, PackageResources.apus_secret_sqlite_sql,
            PackageResources.apus_resigned_sqlite_sql, PackageResources.apus_adopted_sqlite_sql,
            PackageResources.apus_process_sqlite_sql, PackageResources.apus_last_backup_sqlite_sql,
            PackageResources.apus_signup_link_sqlite_sql, PackageResources.apus_signup_use_sqlite_sql,
            PackageResources.apus_quota_sqlite_sql,
            PackageResources.apus_page_key_sqlite_sql, PackageResources.apus_admin_act_sqlite_sql,
            PackageResources.apus_listing_sqlite_sql, PackageResources.apus_job_sqlite_sql,
            PackageResources.apus_projection_sqlite_sql,
            PackageResources.apus_collection_sqlite_sql, PackageResources.apus_item_sqlite_sql,
            PackageResources.apus_user_email_sqlite_sql, PackageResources.apus_usage_sqlite_sql,
            PackageResources.apus_chunk_size_sqlite_sql, PackageResources.apus_counted_sqlite_sql,
        ].map(Schema.text)
    }

    private static func postgres() -> [String] {
        [
            PackageResources.apus_log_postgres_sql, PackageResources.apus_epoch_postgres_sql, PackageResources.apus_stream_postgres_sql,
            PackageResources.apus_event_postgres_sql, PackageResources.apus_stream_event_postgres_sql,
            PackageResources.apus_claim_postgres_sql, PackageResources.apus_chunk_postgres_sql,
            PackageResources.apus_session_postgres_sql, PackageResources.apus_seal_postgres_sql,
            PackageResources.apus_redaction_postgres_sql, PackageResources.apus_secret_postgres_sql,
            PackageResources.apus_resigned_postgres_sql, PackageResources.apus_adopted_postgres_sql,
            PackageResources.apus_process_postgres_sql, PackageResources.apus_last_backup_postgres_sql,
            PackageResources.apus_signup_link_postgres_sql, PackageResources.apus_signup_use_postgres_sql,
            PackageResources.apus_quota_postgres_sql,
            PackageResources.apus_page_key_postgres_sql, PackageResources.apus_admin_act_postgres_sql,
            PackageResources.apus_listing_postgres_sql, PackageResources.apus_job_postgres_sql,
            PackageResources.apus_projection_postgres_sql,
            PackageResources.apus_collection_postgres_sql, PackageResources.apus_item_postgres_sql,
            PackageResources.apus_user_email_postgres_sql, PackageResources.apus_usage_postgres_sql,
            PackageResources.apus_chunk_size_postgres_sql, PackageResources.apus_counted_postgres_sql,
        ].map(Schema.text)
    }
}
