/// What a transaction asks for itself, until it ends. Only PostgreSQL bounds what a transaction may do, and has such things set; on SQLite,
/// whose writer is alone and whose statements nobody bounds, they are nothing.
package struct TransactionSetting: Sendable {
    fileprivate let statement: Statement
    fileprivate var values: [Value] = []

    private init(_ sql: String) { statement = Statement("SET LOCAL \(sql)") }

    private init(_ statement: Statement, _ values: [Value]) { (self.statement, self.values) = (statement, values) }

    /// Its statements look at whole tables, or change many rows: they take as long as they need, while the server shows that it lives.
    package static let mayTakeLong = TransactionSetting("statement_timeout = 0")
    /// It must not burden a database that has too much to do already.
    package static let mustBeShort = TransactionSetting("statement_timeout = '2s'")

    /// It waits for locks as long as others hold them.
    package static let waitsForEver = TransactionSetting("lock_timeout = 0")
    /// It waits for locks of whoever does much at once.
    package static let waitsLong = TransactionSetting("lock_timeout = '30s'")
    /// It waits for locks no longer than others may have to wait behind it.
    package static let waitsShortly = TransactionSetting("lock_timeout = '5s'")
    /// It leaves locks to those who have them.
    package static let hardlyWaits = TransactionSetting("lock_timeout = '500ms'")

    /// It may stand still between two statements for as long as it takes.
    package static let mayStandStill = TransactionSetting("idle_in_transaction_session_timeout = 0")
    /// It loses its session, with what it locks, when it stands still for so long between two statements.
    package static func mustNotStandStill(seconds: Int = 2) -> TransactionSetting {
        TransactionSetting(setStandingStill, [.text("\(seconds)s")])
    }

    /// A statement of it ends when its process is gone. PostgreSQL 13 cannot do that.
    package static let mustNotOutliveUs = TransactionSetting(setOutliving, [])

    /// It need not be on the disk when it is committed: what it writes follows from what is.
    package static let needNotLast = TransactionSetting("synchronous_commit = off")
    /// It must be on the disk of this server, and of no standby.
    package static let mustLastHere = TransactionSetting("synchronous_commit = local")

    /// It reads whole tables in any way that suits it; sessions are told to find rows by indexes.
    package static let readsWholeTables = ["enable_seqscan", "enable_hashjoin", "enable_mergejoin"].map { TransactionSetting("\($0) = on") }

    private static let setStandingStill = Statement("SELECT set_config('idle_in_transaction_session_timeout', $1, TRUE)")
    private static let setOutliving = Statement(
        """
        SELECT set_config('client_connection_check_interval', '1s', TRUE)
        WHERE  current_setting('client_connection_check_interval', TRUE) IS NOT NULL
        """)

    /// Ways to read whole tables, which a planner that knows how large they are chooses among.
    fileprivate static let ways = ["enable_seqscan", "enable_hashjoin", "enable_mergejoin", "max_parallel_workers_per_gather"]
    fileprivate static func byDefault(_ way: String) -> TransactionSetting { TransactionSetting("\(way) TO DEFAULT") }
    fileprivate static func way(_ way: String, as value: String) -> TransactionSetting { TransactionSetting("\(way) = \(value)") }
}

extension Connection {
    /// Asks for settings from the next statement on, in the same round trip.
    package func set(_ settings: TransactionSetting...) throws(DatabaseFault) { try set(settings) }

    /// Asks for settings from the next statement on, in the same round trip.
    package func set(_ settings: [TransactionSetting]) throws(DatabaseFault) {
        switch dialect {
        case .sqlite: break
        case .postgres: for setting in settings { try enqueue(setting.statement, setting.values) }
        }
    }

    /// Lets questions about whole tables be answered in the way that suits them, and take the time that they need.
    package func withWholeTables<T>(_ body: () throws -> T) throws -> T {
        guard dialect == .postgres else { return try body() }
        let before = try TransactionSetting.ways.map { way in
            TransactionSetting.way(way, as: try first(Statement("SELECT current_setting('\(way)')"), []) { $0.text(0) } ?? "")
        }
        try set(.mayTakeLong)
        try set(TransactionSetting.ways.map(TransactionSetting.byDefault))
        let result = try body()
        try set(before)
        return result
    }
}
