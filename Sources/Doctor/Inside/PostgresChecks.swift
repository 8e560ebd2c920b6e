internal import Database

/// What only a PostgreSQL can be set to.
struct PostgresChecks {
    let patient: Patient

    init(_ patient: Patient) { self.patient = patient }

    func durability() async -> Finding {
        guard patient.file == nil else { return .ok("SQLite syncs every commit") }
        return await patient.askPostgres { postgres in
            let faults = try await postgres.durabilityFaults()
            guard faults.isEmpty else {
                return .failure(
                    faults.joined(separator: "; "), means: "What clients were told is kept may be gone after a power cut.",
                    mend: "ALTER SYSTEM SET fsync = on; ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();")
            }
            // Our own sessions have another.
            let commits = try await postgres.ask(Self.selectCommit, []) { $0.text(0) }
            guard commits.isEmpty else {
                return .warning(
                    "synchronous_commit is off for \(commits.joined(separator: ", "))",
                    means: "Apus' own sessions set it on, so nothing of its is lost; what others write into this database may be.",
                    mend:
                        "Leave it on: ALTER SYSTEM RESET synchronous_commit, or the same for the database or role; SELECT pg_reload_conf()."
                )
            }
            return .ok("fsync, full_page_writes and synchronous_commit are on")
        }
    }

    /// Where it is switched off: for all, for this database, for this role.
    private static let selectCommit = Statement(
        """
        SELECT 'the server' FROM pg_settings WHERE name = 'synchronous_commit' AND reset_val = 'off' AND source <> 'database' AND source <> 'user'
        UNION
        SELECT CASE WHEN setting.setdatabase <> 0 THEN 'the database' ELSE 'the role' END
        FROM   pg_db_role_setting setting
        WHERE  setting.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND    setting.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
        AND    'synchronous_commit=off' = ANY (setting.setconfig)
        """)

    /// How many a process opens at most, without a database to read from; and how few are hardly any.
    private static let (ofProcess, tooFew): (Int64, Int64) = (10, 3)

    private struct Room {
        let name: String
        let limit: Int64
        let used: Int64
    }

    func connections() async -> Finding {
        await patient.askPostgres { postgres in
            let rooms = try await postgres.ask(Self.selectRooms, []) { Room(name: $0.text(0), limit: $0.integer(1), used: $0.integer(2)) }
            guard let least = rooms.min(by: { $0.limit - $0.used < $1.limit - $1.used }) else { return .ok("there is no limit") }
            let left = least.limit - least.used
            let found = "\(left) of \(least.limit) are left of \(least.name)"
            guard left < Self.ofProcess else { return .ok(found) }
            let (means, mend) = (
                "A process of apus opens up to \(Self.ofProcess): another one would not start, or requests would fail.",
                "Raise the limit (max_connections, ALTER ROLE or ALTER DATABASE … CONNECTION LIMIT), or end what holds the "
                    + "others (pg_stat_activity)."
            )
            return left < Self.tooFew ? .failure(found, means: means, mend: mend) : .warning(found, means: means, mend: mend)
        }
    }

    private static let selectRooms = Statement(
        """
        SELECT name, room, used
        FROM  (SELECT 'the server''s', current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,
                      (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
               UNION ALL
               SELECT 'those for this database', datconnlimit::bigint, (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())
               FROM   pg_database
               WHERE  datname = current_database()
               UNION ALL
               SELECT 'those for this role', rolconnlimit::bigint, (SELECT count(*) FROM pg_stat_activity WHERE usename = session_user)
               FROM   pg_roles
               WHERE  rolname = session_user) AS rooms (name, room, used)
        WHERE  room >= 0
        """)
}
