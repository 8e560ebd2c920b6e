internal import Database
package import Domain
package import EventLog

/// Where the log stands, and what follows from it: what whoever looks after a server wants to know of the database.
package struct Standing: Sendable {
    /// Where the log ends.
    package let head: LogHead
    /// The tables beside the log.
    package let tables: TablesStanding
    /// When the oldest event happened that is not in the tables; nil while there is none.
    package let unprojectedSince: Timestamp?
    /// The same of the other read model that was asked about.
    package let unprojectedElsewhereSince: Timestamp?
    /// The last position that a seal covers; where there is none, that before the log's first.
    package let seal: Position
    /// When the oldest event happened that no seal covers; nil while there is none.
    package let unsealedSince: Timestamp?
    /// Whether the database takes writes, as far as it says so by itself.
    package let isWritable: Bool
    /// What is not looked for each time.
    package let counted: Counted

    /// Numbers that cost all sessions and all collections to find out, and when it was.
    package struct Counted: Sendable {
        /// Login sessions that end within a week unless they are used.
        package let expiring: Int64
        let countedAt: Timestamp
        /// Users whose collections are near a limit of their quota, or beyond it.
        package let nearQuota: Int64
    }
}

/// Where a set of tables stands.
package struct TablesStanding: Sendable {
    /// The last position that is in the tables.
    package let checkpoint: Position
    /// Nil where the append projects.
    package let lease: Lease?

    /// Who brings events into the tables.
    package struct Lease: Sendable {
        /// Whether a projector has the lease just now.
        package let isHeld: Bool
        /// How often another one has taken it.
        package let changes: Int64
    }
}

extension ReadModel {
    /// How long sessions that end soon are good for once they were counted, and what is soon, in microseconds.
    private static let countedFor: Int64 = 60_000_000
    private static let week: Int64 = 7 * 86_400_000_000

    /// Where the log stands, in one round trip and with a bound on its time.
    ///
    /// - Parameters:
    ///   - last: what was found the last time: sessions are not counted each time.
    ///   - elsewhere: how far another read model is.
    ///   - counts: whether what is too old is counted anew; where not, what was not counted yet is 0.
    /// - Throws: `DatabaseFault`.
    package func standing(
        at now: Timestamp, after last: Standing?, elsewhere: Position?, counts: Bool = true
    ) async throws -> Standing {
        let isFresh = last.map { !counts || now.rawValue < $0.counted.countedAt.rawValue + Self.countedFor } ?? false
        let known = isFresh || !counts ? last?.counted ?? .init(expiring: 0, countedAt: now, nearQuota: 0) : nil
        let select = quota == .none ? Self.selectWithOwnQuotas : Self.select
        let values: [Value] =
            [
                .integer(orNull: elsewhere?.rawValue), .flag(known == nil), .text(now.text),
                .text(Timestamp(rawValue: now.rawValue + Self.week).text),
            ] + (quota == .none ? [] : QuotaStanding.values(quota))
        let found = try await database.read { connection in
            try connection.set(.mustBeShort)
            return try connection.first(select, values) { row in
                Standing(
                    head: LogHead(position: Position(rawValue: row.integer(0)), epoch: row.integer(1)),
                    tables: Self.tables(row, from: 2), unprojectedSince: row.integerOrNil(5).map(Timestamp.init),
                    unprojectedElsewhereSince: row.integerOrNil(6).map(Timestamp.init), seal: Position(rawValue: row.integer(7)),
                    unsealedSince: row.integerOrNil(8).map(Timestamp.init), isWritable: row.flag(9),
                    counted: known ?? .init(expiring: row.integer(10), countedAt: now, nearQuota: row.integer(11)))
            }
        }
        guard let found else { throw Snapshot.noCheckpoint }
        return found
    }

    /// Where the other read model stands; nil where there is none.
    ///
    /// - Throws: `DatabaseFault`.
    package func replicaStanding() async throws -> TablesStanding? {
        guard let database = replica?.database else { return nil }
        return try await database.read { connection in
            try connection.set(.mustBeShort)
            return try connection.first(Self.selectTables, []) { Self.tables($0, from: 0) }
        }
    }

    private static func tables(_ row: any Row, from column: Int) -> TablesStanding {
        let changes = row.integerOrNil(column + 2)
        return TablesStanding(
            checkpoint: Position(rawValue: row.integer(column)),
            lease: changes.map { .init(isHeld: row.flag(column + 1), changes: $0) })
    }

    private static let tableColumns = """
        projection.position,
        {sqlite: 0, NULL}
        {postgres:
            CASE WHEN projection.lease_until > clock_timestamp() THEN TRUE ELSE \(Condition.isBeingWritten) END, projection.fence
        }
        """

    private static let selectTables = Statement("SELECT \(tableColumns) FROM apus_projection projection")

    private static let select = statement(nearQuota: QuotaStanding.near(first: 5))
    /// Where nothing holds for all.
    private static let selectWithOwnQuotas = statement(nearQuota: QuotaStanding.nearOwn)

    private static func statement(nearQuota: String) -> Statement {
        Statement(
            """
            SELECT log.position, log.epoch, \(tableColumns),
                   (SELECT occurred_at FROM apus_event WHERE position > projection.position ORDER BY position LIMIT 1),
                   (SELECT occurred_at FROM apus_event WHERE position > $1{postgres: ::bigint} ORDER BY position LIMIT 1),
                   seal.position,
                   (SELECT occurred_at FROM apus_event WHERE position > seal.position ORDER BY position LIMIT 1),
                   {sqlite: 1}{postgres: NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'},
                   CASE WHEN $2{postgres: ::bigint} = 1
                        THEN (SELECT count(*) FROM token_auth_authtoken WHERE expiry >= $3{postgres: ::timestamptz} AND expiry < $4{postgres: ::timestamptz}) END,
                   CASE WHEN $2{postgres: ::bigint} = 1 THEN \(nearQuota) END
            FROM   apus_log log
            JOIN   apus_projection projection ON projection.id = log.id
            JOIN   (SELECT COALESCE(
                               (SELECT max(position) FROM apus_seal), (SELECT min(first_position) - 1 FROM apus_epoch)) AS position) seal
                   ON TRUE
            """)
    }
}
