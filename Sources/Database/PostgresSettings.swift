/// What our sessions set, whatever the server, the database or the role says: the settings that change what a statement means,
/// how long it may take, how it finds its rows, or whether a commit is on the disk when it is answered.
enum PostgresSettings {
    /// All statements find their rows by indexes; what the planner would rather do depends on guesses of how much there is,
    /// which are wrong for a log that has just begun and for the end of one that is long.
    private static let ways = [
        ("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off"), ("enable_nestloop", "on"),
        ("enable_indexscan", "on"), ("enable_indexonlyscan", "on"), ("enable_bitmapscan", "on"), ("jit", "off"),
        ("from_collapse_limit", "8"), ("join_collapse_limit", "8"),
        // Starting a worker takes longer than any of these statements.
        ("max_parallel_workers_per_gather", "0"),
    ]

    /// How values are written and read, in parameters, in the texts of statements and in our functions.
    private static let forms = [
        ("TimeZone", "UTC"), ("DateStyle", "ISO, MDY"), ("IntervalStyle", "postgres"),
        ("bytea_output", "hex"), ("array_nulls", "on"), ("standard_conforming_strings", "on"), ("transform_null_equals", "off"),
        ("quote_all_identifiers", "off"), ("extra_float_digits", "1"),
    ]

    private static let transactions = [
        // Whether it may be written is for whoever runs the database to say: its disk may be nearly full.
        ("default_transaction_isolation", "read committed"),
        ("default_transaction_deferrable", "off"),
        // What a policy hides is an error, not an answer without it.
        ("row_security", "off"),
    ]

    private static let bounds = [
        ("client_min_messages", "warning"), ("lock_timeout", "5s"), ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "60s"),
    ]

    /// Those that not every version has; a commit that is on the disk (G1), where what is stronger than that stays as it is; and
    /// no conversion of texts.
    private static func others(isLocal: Bool) -> String {
        let bounds = ["idle_session_timeout", "transaction_timeout"].map { name in
            "CASE WHEN current_setting('\(name)', true) IS NOT NULL THEN set_config('\(name)', '0', \(isLocal)) END"
        }
        let commit =
            "CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', \(isLocal)) END"
        // Bytes come back as they went, also from a database that was made for another encoding than UTF-8.
        let encoding = "set_config('client_encoding', current_setting('server_encoding'), \(isLocal))"
        return (bounds + [commit, encoding]).joined(separator: ", ")
    }

    /// Sets them for the session, or for the transaction only.
    private static func set(isLocal: Bool) -> Statement {
        // A session plans each statement once: it finds its rows by the same indexes whatever the values are, and planning it takes
        // longer than most of them. What is not kept is planned for its values.
        let plans = ("plan_cache_mode", isLocal ? "auto" : "force_generic_plan")
        let all = forms + transactions + bounds + ways + [plans]
        return Statement(
            "SELECT " + all.map { "set_config('\($0.0)', '\($0.1)', \(isLocal))" }.joined(separator: ", ") + ", "
                + others(isLocal: isLocal))
    }

    static let setForSession = set(isLocal: false)
    static let setForTransaction = set(isLocal: true)
}

extension PostgresDatabase {
    /// What the server itself is set to, that may lose what it has said is on the disk; a sentence for each, empty when all is
    /// well. No session can change it.
    package func durabilityFaults() async throws -> [String] {
        let off = try await ask(Self.selectDurability, []) { $0.text(0) }
        return off.compactMap { Self.durabilityWords[$0] }
    }

    private static let selectDurability = Statement(
        "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' ORDER BY name")

    private static let durabilityWords = [
        "fsync": "PostgreSQL runs with fsync = off: a crash of its machine loses acknowledged writes, or the whole database",
        "full_page_writes": "PostgreSQL runs with full_page_writes = off: a crash of its machine can damage the database, "
            + "but on a file system that never writes half a page",
    ]
}
