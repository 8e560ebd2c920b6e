internal import Database

/// A database of the original server, as `apus adopt` finds it.
enum Original {
    /// Which migration each of the original's applications must have been through last.
    private static let migrations = [
        ("django_etebase", "0037_auto_20210127_1237"), ("myauth", "0003_auto_20201119_0810"), ("token_auth", "0001_initial"),
    ]

    private static let tables = [
        "django_migrations", "myauth_user", "token_auth_authtoken", "django_etebase_userinfo", "django_etebase_stoken",
        "django_etebase_collectiontype", "django_etebase_collection", "django_etebase_collectionitem",
        "django_etebase_collectionitemrevision", "django_etebase_collectionitemchunk", "django_etebase_revisionchunkrelation",
        "django_etebase_collectionmember", "django_etebase_collectionmemberremoved", "django_etebase_collectioninvitation",
    ]

    /// Throws unless the tables are those of the original in its last form.
    static func check(_ found: Set<String>, _ connection: any Connection) throws {  // names of ours
        guard found.contains("django_migrations"), found.contains("django_etebase_stoken") else {
            throw DatabaseFault(.corrupt, "this is no database of an EteSync server; name the one to adopt with --config or --database-url")
        }
        if let missing = tables.first(where: { !found.contains($0) }) {
            throw DatabaseFault(.corrupt, "the database of the EteSync server is not whole: the table \(missing) is missing")
        }
        let made = try connection.query(Self.selectMigrations, []) { ($0.text(0), $0.text(1)) }
        for (app, last) in migrations {
            let names = made.filter { $0.0 == app }.map(\.1)
            guard names.contains(last) else {
                throw DatabaseFault(
                    .corrupt,
                    "the database lacks the migration \(app) \(last): run `./manage.py migrate` of the newest EteSync server first")
            }
            if let newer = names.first(where: { $0 > last }) {
                throw DatabaseFault(
                    .corrupt, "the database has been through the migration \(app) \(newer), which this program does not know")
            }
        }
    }

    /// Keeps everybody else from the tables.
    static let lock = "LOCK TABLE \(tables.joined(separator: ", ")) IN ACCESS EXCLUSIVE MODE"

    /// Gives ids and what refers to them the width of positions. Tables that have it already are not rewritten. Django does
    /// not mind.
    static let widen = """
        DO $$
        DECLARE
            found RECORD;
        BEGIN
            FOR found IN
                SELECT   table_name, string_agg(format('ALTER COLUMN %I TYPE bigint', column_name), ', ') AS changes
                FROM     information_schema.columns
                WHERE    table_schema = current_schema() AND data_type = 'integer'
                AND      (column_name = 'id' OR column_name LIKE '%\\_id')
                AND      (table_name LIKE 'auth\\_%' OR table_name LIKE 'django\\_%' OR table_name LIKE 'myauth\\_%'
                          OR table_name LIKE 'token\\_auth\\_%')
                GROUP BY table_name
            LOOP
                EXECUTE format('ALTER TABLE %I %s', found.table_name, found.changes);
            END LOOP;
            -- Those of identities went along; those of older databases are sequences of their own.
            FOR found IN
                SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema() AND data_type = 'integer'::regtype
            LOOP
                EXECUTE format('ALTER SEQUENCE %I AS bigint', found.sequencename);
            END LOOP;
        END
        $$
        """

    private static let selectMigrations = Statement("SELECT app, name FROM django_migrations")
}
