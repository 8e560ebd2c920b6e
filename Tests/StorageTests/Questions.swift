import Database

/// What is asked of a database about itself, which each engine keeps in its own way.
extension Statement {
    /// The names of all tables.
    static let tableNames = Statement(
        """
        {sqlite: SELECT name FROM sqlite_master WHERE type = 'table'}
        {postgres: SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()}
        """)

    /// The names of a table's columns, and which of them hold bytes.
    static let columns = Statement(
        """
        {sqlite: SELECT name, type = 'BLOB' FROM pragma_table_info($1)}
        {postgres:
            SELECT   column_name::text, data_type = 'bytea'
            FROM     information_schema.columns
            WHERE    table_schema = current_schema() AND table_name = $1
            ORDER BY ordinal_position
        }
        """)

    /// What the tables are made of, a line for each part.
    static let definitions = Statement(
        """
        {sqlite: SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_master ORDER BY name}
        {postgres:
            SELECT   line
            FROM     (SELECT format('%s %s %s %s', table_name, column_name, data_type, column_default)
                      FROM   information_schema.columns
                      WHERE  table_schema = current_schema()
                      UNION  ALL
                      SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()
                      UNION  ALL
                      SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
                      FROM   pg_constraint
                      WHERE  connamespace = current_schema()::regnamespace
                      UNION  ALL
                      SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
                     ) AS part(line)
            ORDER BY line
        }
        """)

    /// Every row of a table with all its columns, each value in SQL's notation, bytes as `X'…'`.
    static func rows(of table: String, _ columns: [(name: String, isBytes: Bool)]) -> Statement {
        func text(_ value: ((name: String, isBytes: Bool)) -> String) -> String {
            let row = columns.map { "'\($0.name)=' || \(value($0))" }.joined(separator: " || ' ' || ")
            return "SELECT \(row) FROM \"\(table)\" ORDER BY 1"
        }
        let sqlite = text { "quote(\"\($0.name)\")" }
        let postgres = text { column in
            let bytes = "COALESCE('X''' || upper(encode(\"\(column.name)\", 'hex')) || '''', 'NULL')"
            return column.isBytes ? bytes : "quote_nullable(\"\(column.name)\")"
        }
        return Statement("{sqlite: \(sqlite)}{postgres: \(postgres)}")
    }

    /// A statement of a test, which writes bytes as SQLite does.
    static func meddling(_ sql: String) -> Statement {
        Statement("{sqlite: \(sql)}{postgres: \(sql.replacing("X'", with: #"'\x"#))}")
    }
}
