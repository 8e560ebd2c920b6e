internal import Database
internal import Domain
internal import EventLog
internal import Projections

/// The tables of a replay.
///
/// Those that grow with every event have no constraints there, and of their indexes only those by which the projection finds
/// rows: what else they have in a read model is ten times the work, and is there for readers. The constraints are missed
/// nowhere: the live tables have them, and are what the replay is compared with.
enum ReplayTables {
    private static let large = [
        "django_etebase_stoken", "django_etebase_collectionitem", "django_etebase_collectionitemrevision",
        "django_etebase_collectionitemchunk", "django_etebase_revisionchunkrelation", "apus_item",
    ]

    /// Makes an empty database with the schema one for a replay.
    static func prepare(_ connection: any Connection) throws {
        for table in ReadModelTable.all where large.contains(table.name) {
            let columns = table.columns.map { ", \"\($0.name)\" \(type(of: $0.kind))" }.joined()
            try connection.run(
                script: "DROP TABLE \(table.name); CREATE TABLE \(table.name) (\(table.key) INTEGER PRIMARY KEY\(columns))")
        }
        try connection.run(script: indexes + notes)
    }

    /// A comparison with an id finds the index only when both are numbers.
    private static func type(of kind: SetStatement.Kind) -> String {
        switch kind {
        case .number, .flag: "INTEGER"
        case .text, .moment: "TEXT"
        case .bytes: "BLOB"
        }
    }

    /// Makes the indexes that the events need besides, where they are the first of their kind.
    static func prepare(for events: [RecordedEvent], _ connection: any Connection) throws {
        for script in Set(events.compactMap { indexes(for: $0.event) }) { try connection.run(script: script) }
    }

    /// From now on notes the rows that change.
    static func noteChanges(_ connection: any Connection) throws {
        for table in ReadModelTable.all {
            for (change, row) in [("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")] {
                // What is there is asked for: of a conflict in a trigger's statement, the statement outside decides.
                try connection.run(
                    script: """
                        CREATE TRIGGER IF NOT EXISTS replay_\(table.name)_\(change) AFTER \(change) ON \(table.name)
                        WHEN NOT EXISTS (SELECT 1 FROM replay_note WHERE name = '\(table.name)' AND row_key = \(row).\(table.key))
                        BEGIN
                            INSERT INTO replay_note (name, row_key) VALUES ('\(table.name)', \(row).\(table.key));
                        END
                        """)
            }
        }
    }

    /// By which the rows of content are found.
    private static let indexes = """
        CREATE INDEX replay_item ON django_etebase_collectionitem (uid);
        CREATE INDEX replay_chunk ON django_etebase_collectionitemchunk (uid);
        CREATE INDEX replay_current ON django_etebase_collectionitemrevision (item_id) WHERE current = TRUE;
        """

    private static func indexes(for event: Event) -> String? {
        switch event.content {
        case .nothing, .written(.made), .written(.stored): nil
        case .written(.restored): "CREATE INDEX IF NOT EXISTS replay_revision ON django_etebase_collectionitemrevision (uid)"
        case .adopted:
            """
            CREATE INDEX IF NOT EXISTS replay_change ON apus_item (collection_id, stoken);
            CREATE INDEX IF NOT EXISTS replay_collection_chunk ON django_etebase_collectionitemchunk (collection_id);
            CREATE INDEX IF NOT EXISTS replay_item_revision ON django_etebase_collectionitemrevision (item_id);
            """
        case .pruned:
            """
            CREATE INDEX IF NOT EXISTS replay_revision ON django_etebase_collectionitemrevision (uid);
            CREATE INDEX IF NOT EXISTS replay_revision_relation ON django_etebase_revisionchunkrelation (revision_id);
            """
        // Whole collections are deleted.
        case .lost:
            """
            CREATE INDEX IF NOT EXISTS replay_change ON apus_item (collection_id, stoken);
            CREATE INDEX IF NOT EXISTS replay_collection_item ON django_etebase_collectionitem (collection_id);
            CREATE INDEX IF NOT EXISTS replay_collection_chunk ON django_etebase_collectionitemchunk (collection_id);
            CREATE INDEX IF NOT EXISTS replay_item_revision ON django_etebase_collectionitemrevision (item_id);
            CREATE INDEX IF NOT EXISTS replay_relation ON django_etebase_revisionchunkrelation (chunk_id);
            """
        }
    }

    /// Rows that differ or have changed; and what was stored beside the log, in the order of its events.
    private static let notes = """
        CREATE TABLE replay_note (
            name    TEXT    NOT NULL,
            row_key INTEGER NOT NULL,
            PRIMARY KEY (name, row_key)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE replay_content (
            id         INTEGER PRIMARY KEY,
            collection TEXT    NOT NULL,
            uid        TEXT    NOT NULL,
            bytes      INTEGER NOT NULL,
            digest     BLOB    NOT NULL
        ) STRICT;
        """
}
