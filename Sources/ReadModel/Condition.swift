internal import Database
package import Domain
internal import EventLog

/// How a database is in which a read model lies: what tells whether it can serve.
package struct Condition: Sendable {
    /// How long after its end a lease is still taken for held: a standby takes over in that time, and readers wait longer. All
    /// front ends see the same lease, so one that is between two holders for a moment must not take all of them off their proxy.
    private static let leaseGraceSeconds = 4

    /// Where the log ends, as this database knows.
    package let head: Position
    /// Up to where the log is in the read model.
    package let position: Position
    /// Whether somebody keeps the read model: the append, or a projector that holds the lease, or is at a batch: while one is
    /// written, others do not see the lease prolonged, but that its row is being written.
    package let isKept: Bool
    package let canBeWritten: Bool
    /// Whether it is a standby, whose rows come from its primary.
    package let isStandby: Bool
    /// Whether somebody has paused the standby.
    package let isPaused: Bool

    static func of(_ database: any Database) async throws -> Condition {
        let found = try await database.ask(Self.select, []) { row in
            Condition(
                head: Position(rawValue: row.integer(0)), position: Position(rawValue: row.integer(1)), isKept: row.flag(2),
                canBeWritten: row.flag(3), isStandby: row.flag(4), isPaused: row.flag(5))
        }
        guard let condition = found.first else { throw Snapshot.noCheckpoint }
        return condition
    }

    /// PostgreSQL's: whether there is a transaction that has written the row of the lease and goes on. That of a projector which
    /// stands still, or whose process is gone, is ended by the database.
    static let isBeingWritten = """
        EXISTS (SELECT FROM pg_locks
                WHERE  locktype = 'relation' AND relation = 'apus_projection'::regclass AND mode = 'RowExclusiveLock' AND granted)
        """

    private static let select = Statement(
        """
        SELECT log.position, projection.position,
               {sqlite: TRUE, TRUE, FALSE, FALSE}
               {postgres:
                   CASE WHEN projection.lease_until > clock_timestamp() - make_interval(secs => \(leaseGraceSeconds)) THEN TRUE
                        ELSE \(isBeingWritten) END,
                   NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off', pg_is_in_recovery(),
                   CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE FALSE END
               }
        FROM   apus_log log
        CROSS  JOIN apus_projection projection
        """)
}

extension ReadModel {
    /// How the log's database is.
    package func condition() async throws -> Condition { try await Condition.of(database) }

    /// How the database is that reads are answered from; nil where that is the log's.
    ///
    /// - Throws: `DatabaseFault` also where its rows are of another history than the log.
    package func replicaCondition() async throws -> Condition? {
        guard let replica else { return nil }
        _ = try await ask(replica) { try $0.position() }
        return try await Condition.of(replica.database)
    }
}
