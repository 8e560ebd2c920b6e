internal import Database

/// Tables that are filled without their indexes and constraints, which are made again when the rows are there: keeping them
/// row by row is most of the work.
///
/// What is made again is what the catalogue said was there, under the same names. All of it happens in the caller's
/// transaction: on PostgreSQL readers of these tables wait for its end, on SQLite they go on.
struct BareTables {
    /// Below this many rows it is not worth it.
    static let leastRows = 20_000

    /// Something that is dropped and made again.
    private struct Part {
        let table: String
        let name: String
        let drop: String
        let make: String
    }

    private let connection: any Connection
    private let dialect: Dialect
    private let tables: Set<String>  // names of ours
    private var parts: [Part] = []

    /// - Parameter tables: those that are about to be filled. Primary keys stay: rows are found by them.
    init(_ tables: Set<String>, _ connection: any Connection, _ dialect: Dialect) throws {  // names of ours
        self.connection = connection
        self.dialect = dialect
        self.tables = tables
        guard !tables.isEmpty else { return }
        let found = try connection.query(dialect == .postgres ? Self.postgresParts : Self.sqliteParts, [.texts(tables.sorted())]) { row in
            Part(table: row.text(0), name: row.text(1), drop: row.text(2), make: row.text(3))
        }
        parts = found
        guard dialect == .postgres else { return }
        // Nothing of a table can be dropped once rows of it have changed: what they refer to is still to be looked at.
        // Sessions are told to find rows by indexes, and not to be kept long; neither holds for whole tables.
        try connection.set([.mayTakeLong] + TransactionSetting.readsWholeTables)
        try connection.run(script: "LOCK TABLE \(tables.sorted().joined(separator: ", ")) IN ACCESS EXCLUSIVE MODE")
        for part in parts { try connection.run(script: part.drop) }
    }

    /// SQLite looks for rows that refer to new ones, and needs the indexes of all tables but the one that is filled.
    mutating func willFill(_ table: String) throws {
        guard dialect == .sqlite else { return }
        for part in parts where part.table == table { try connection.run(script: part.drop) }
    }

    mutating func didFill(_ table: String) throws {
        guard dialect == .sqlite else { return }
        try make(parts.filter { $0.table == table })
    }

    /// Makes everything again.
    ///
    /// - Throws: `DatabaseFault` of the kind `constraint` that says which one the rows break.
    mutating func finish() throws {
        guard dialect == .postgres, !parts.isEmpty else { return }
        // What waits for the end of the transaction would be in the way, and all rows are there.
        try connection.run(script: "SET CONSTRAINTS ALL IMMEDIATE")
        try make(parts.reversed())
        for table in tables.sorted() { try connection.run(script: "ANALYZE \(table)") }
    }

    private func make(_ parts: [Part]) throws {
        for part in parts {
            do { try connection.run(script: part.make) } catch {
                guard case .constraint = error.kind else { throw error }
                throw DatabaseFault(.constraint, "\(part.name) of \(part.table) does not hold: \(error)")
            }
        }
    }

    /// Foreign keys first: they are made again last. A constraint that a foreign key of another table rests on stays.
    private static let postgresParts = Statement(
        """
        SELECT "table", name, drop, make
        FROM   (SELECT CASE part.contype WHEN 'f' THEN 1 ELSE 2 END AS turn,
                       class.relname::text AS "table",
                       part.conname::text AS name,
                       format('ALTER TABLE %s DROP CONSTRAINT %I', part.conrelid::regclass, part.conname) AS drop,
                       format('ALTER TABLE %s ADD CONSTRAINT %I %s', part.conrelid::regclass, part.conname, pg_get_constraintdef(part.oid)) AS make
                FROM   pg_constraint part
                JOIN   pg_class class ON class.oid = part.conrelid
                WHERE  part.contype IN ('f', 'u')
                AND    NOT EXISTS (SELECT FROM pg_constraint other
                                   WHERE part.contype = 'u' AND other.contype = 'f' AND other.conindid = part.conindid)
                AND    part.conrelid = ANY($1::text[]::regclass[])
                UNION ALL
                SELECT 3, class.relname::text, name.relname::text,
                       format('DROP INDEX %s', part.indexrelid::regclass),
                       pg_get_indexdef(part.indexrelid)
                FROM   pg_index part
                JOIN   pg_class class ON class.oid = part.indrelid
                JOIN   pg_class name ON name.oid = part.indexrelid
                WHERE  NOT part.indisreplident
                AND    NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = part.indexrelid)
                AND    part.indrelid = ANY($1::text[]::regclass[])) AS parts
        ORDER  BY turn, "table", name
        """)

    private static let sqliteParts = Statement(
        """
        SELECT tbl_name, name, 'DROP INDEX "' || replace(name, '"', '""') || '"', sql
        FROM   sqlite_master
        WHERE  type = 'index' AND sql IS NOT NULL AND tbl_name IN [$1 text]
        ORDER  BY name
        """)
}
