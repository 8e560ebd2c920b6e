/// What is counted and measured, for whoever looks after a server: shown at `/metrics` in Prometheus' text format.
///
/// Pattern: this file is the list of all metrics, with their names, meanings and labels; `ops/docs/metrics.md` is the same as a
/// table. Where something happens there is one line that says so, such as `Telemetry.log.events.add(3)`. What needs a question to
/// the system or the database is no number that is kept, but a ``Reading``, asked for when somebody looks.
///
/// Invariants: **nothing of a user is in a name or a label**, and the values of labels are closed sets: there is a bound on how many
/// series there are (``Registry``). Names follow Prometheus' conventions: base units last, `_total` behind counters.
///
/// Concurrency: counting takes no lock and may be done from anywhere.
package enum Telemetry {
    package static let http = HTTPMetrics()
    package static let log = LogMetrics()
    package static let readModel = ReadModelMetrics()
    package static let database = DatabaseMetrics()
    package static let gateway = GatewayMetrics()
    package static let redis = RedisMetrics()
    package static let directory = DirectoryMetrics()
    package static let s3 = S3Metrics()
    package static let state = StateMetrics()
    package static let process = ProcessMetrics()

    /// Every metric of Apus. To be called once before anybody looks: a metric is shown from then on, at 0 where nothing has happened.
    @discardableResult
    package static func all() -> [Description] {
        _ = (http, log, readModel, database, gateway, redis, directory, s3, state, process)
        return shared.descriptions
    }
}

private let shared = Registry.shared

extension Buckets {
    /// From what is in memory to what somebody has given up on.
    static let durations = seconds([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30])
    /// From one to the bound of a group.
    static let groups = counts([1, 2, 4, 8, 16, 32, 64, 128, 256])
    static let anything = counts([1, 10, 100, 1000, 10_000, 100_000, 1_000_000])
}

/// Requests and connections of clients.
package struct HTTPMetrics: Sendable {
    /// Why somebody was turned away before the work began.
    package enum RefusalReason: String, CaseIterable, Sendable {
        /// No room for another connection.
        case connections
        /// The head of a request took too long, or was too large.
        case head
        /// A body or a chunk is longer than is allowed.
        case size
        /// What is in flight takes all the memory that there is for it.
        case memory
        /// No token, or one that is none.
        case token
        /// A host that is not served.
        case host
        /// What cannot be read as a request.
        case malformed
        /// Too much of something in too short a time.
        case rate
        /// Something that is needed is away or overloaded: what is answered with 503.
        case unavailable
    }

    /// By route, method and status, with how long they took. For ``RequestSeries``, which is looked up once for each route.
    let requests = shared.describe(
        "apus_http_requests_total", .counter, "Requests that were answered.", ["route", "method", "status"])
    let durations = shared.describe(
        "apus_http_request_duration_seconds", .histogram, "How long requests took, from their head to the answer's head.",
        ["route", "method"])
    /// How many requests were answered, on all routes together: it looks at every series.
    package var answered: Int { shared.sum(of: requests) }
    package let inFlight = shared.number("apus_http_requests_in_flight", "Requests that are being answered.")
    package let connections = shared.number("apus_http_connections", "Connections of clients that are open.")
    package let accepted = shared.counter("apus_http_connections_opened_total", "Connections of clients that were opened.")
    package let refusals = shared.counter(
        "apus_http_refusals_total", "Connections and requests that were turned away before the work began.", by: "reason",
        RefusalReason.self)
    package let received = shared.counter("apus_http_received_bytes_total", "Bytes that came from clients.")
    package let sent = shared.counter("apus_http_sent_bytes_total", "Bytes that went to clients.")
}

/// Writing to the log.
package struct LogMetrics: Sendable {
    /// Why what was decided could not be appended as it was, and was decided again.
    package enum Conflict: String, CaseIterable, Sendable {
        /// Others have appended to the same streams.
        case streams
        /// A uid or a name was taken in the meantime.
        case claims
        /// History has forked.
        case epoch
        /// A row was there already, or the database has ended the transaction.
        case rows
    }

    package let appends = shared.counter("apus_log_appends_total", "Groups of commands that were appended to the log.")
    package let events = shared.counter("apus_log_events_total", "Events that were appended to the log.")
    package let groups = shared.histogram("apus_log_group_commands", "Commands in each group that was committed.", .groups)
    package let durations = shared.histogram(
        "apus_log_append_duration_seconds", "How long it took to decide and append a group, with all its attempts.", .durations)
    package let conflicts = shared.counter(
        "apus_log_conflicts_total", "Attempts to append that others were ahead of.", by: "reason", Conflict.self)
    package let failures = shared.counter(
        "apus_log_failures_total", "Groups that could not be appended: their commands were not carried out.")
    package let locked = shared.counter("apus_log_locked_decisions_total", "Groups that were decided while the log was locked.")
    package let waiting = shared.number("apus_log_queue_commands", "Commands that wait to be committed.")
    package let waitingBytes = shared.number("apus_log_queue_bytes", "What the commands that wait to be committed hold.")
    package let overflows = shared.counter(
        "apus_log_queue_overflows_total", "Commands that were turned away because too many waited already.")
}

/// Reading, and bringing the log into the tables.
package struct ReadModelMetrics: Sendable {
    /// A set of tables that a projector keeps.
    package enum Name: String, CaseIterable, Sendable {
        /// Beside the log.
        case main
        /// In a database of its own.
        case replica
    }

    package let waiting = shared.number("apus_read_model_waiting_readers", "Readers that wait for the read model.")
    package let waits = shared.histogram(
        "apus_read_model_wait_duration_seconds", "How long readers waited for the read model that had to.", .durations)
    package let timeouts = shared.counter(
        "apus_read_model_wait_timeouts_total", "Readers that were turned away because the read model did not catch up in time.")
    package let fallbacks = shared.counter(
        "apus_read_database_fallbacks_total", "Reads that the log's database answered because the read database did not.")
    package let projected = shared.counter(
        "apus_projection_events_total", "Events that this process has brought into the tables.", by: "read_model", Name.self)
    package let faults = shared.counter(
        "apus_projection_faults_total", "Batches of events that could not be brought into the tables.", by: "read_model", Name.self)
    package let leads = shared.level(
        "apus_projection_leader", "Whether this process is the one that brings events into the tables.", by: "read_model", Name.self)
}

/// Work of the database, seen from here.
package struct DatabaseMetrics: Sendable {
    /// What is asked of a database.
    package enum Kind: String, CaseIterable, Sendable {
        /// Several statements on one snapshot.
        case read
        /// One statement by itself, or several of different requests that went together.
        case question
        /// A transaction that writes.
        case write
        /// A call that appends to the log.
        case append
    }

    /// Connections that are lent to one kind of work.
    package enum Pool: String, CaseIterable, Sendable {
        /// Of requests.
        case requests
        /// Of the log's writer.
        case appends
        /// Of the projector.
        case projection
        /// To another database to read from.
        case replica
        /// All others.
        case other
    }

    package let durations = shared.histogram(
        "apus_database_duration_seconds", "How long the database took, by what was asked, without waiting for a connection.", .durations,
        by: "kind", Kind.self)
    package let trips = shared.counter(
        "apus_database_round_trips_total", "Round trips to the database; on SQLite, transactions.", by: "kind", Kind.self)
    package let faults = shared.counter(
        "apus_database_faults_total", "What the database could not do because it was away, full or broken.", by: "kind", Kind.self)
    package let connections = shared.number(
        "apus_database_pool_connections", "Connections that a pool may have.", by: "pool", Pool.self)
    package let lent = shared.number("apus_database_pool_lent", "Connections of a pool that are in use.", by: "pool", Pool.self)
    package let waiting = shared.number(
        "apus_database_pool_waiting", "Who waits for a connection of a pool.", by: "pool", Pool.self)
    package let timeouts = shared.counter(
        "apus_database_pool_timeouts_total", "Who got no connection of a pool in time.", by: "pool", Pool.self)
}

/// WebSockets and what is told.
package struct GatewayMetrics: Sendable {
    package let sockets = shared.number("apus_gateway_sockets", "WebSockets that are open.")
    package let opened = shared.counter("apus_gateway_sockets_opened_total", "WebSockets that were opened.")
    package let frames = shared.counter("apus_gateway_frames_total", "Messages that were sent over WebSockets.")
    package let sent = shared.counter("apus_gateway_sent_bytes_total", "Bytes of messages that were sent over WebSockets.")
    package let pages = shared.counter("apus_gateway_reads_total", "Looks at the read model for those who listen.")
    package let gaps = shared.counter(
        "apus_gateway_gaps_total", "Collections that had changed without a hint, found by looking at the log.")
    package let hints = shared.counter("apus_gateway_hints_total", "Hints that came in.")
    package let lost = shared.counter("apus_gateway_hints_lost_total", "Hints that were dropped because too many waited.")
    package let revocations = shared.counter(
        "apus_gateway_revocations_total", "WebSockets that were closed because who listened may not any more.")
}

/// The client of Redis.
package struct RedisMetrics: Sendable {
    /// What becomes of what is published.
    package enum Outcome: String, CaseIterable, Sendable {
        case sent
        case dropped
    }

    /// Without a Redis in the settings it is not shown.
    package let up = shared.reported("apus_redis_up", "Whether Redis is connected.")
    package let connects = shared.counter("apus_redis_connects_total", "How often Redis was connected; all but the first are reconnects.")
    package let published = shared.counter(
        "apus_redis_publications_total", "Messages for other processes, and those dropped for want of Redis.", by: "outcome", Outcome.self)
}

/// The client of the directory (LDAP).
package struct DirectoryMetrics: Sendable {
    /// What comes of a look.
    package enum Outcome: String, CaseIterable, Sendable {
        case listed
        case unlisted
        /// No server gave an answer.
        case failed
    }

    /// Without a directory in the settings it is not shown.
    package let up = shared.reported("apus_directory_up", "Whether the directory (LDAP) answers.")
    package let looks = shared.counter(
        "apus_directory_looks_total", "People who were looked for in the directory.", by: "outcome", Outcome.self)
    package let durations = shared.histogram(
        "apus_directory_look_duration_seconds", "How long the directory took to answer, connecting included.", .durations)
    package let refusals = shared.counter(
        "apus_directory_refusals_total", "Requests of users who are not in the directory that were turned away.")
}

/// The client of the S3 store.
package struct S3Metrics: Sendable {
    /// What is asked.
    package enum Kind: String, CaseIterable, Sendable {
        case put
        case get
        case delete
        case list
    }

    /// What comes of one attempt.
    package enum Outcome: String, CaseIterable, Sendable {
        case done
        /// There is no such object.
        case missing
        /// Wrong keys, a clock that is wrong, or no right to it.
        case refused
        /// The store has an error of its own, or wants less.
        case failed
        /// No connection, one that was cut, or no answer in time.
        case unreachable
    }

    /// Without an S3 store in the settings it is not shown.
    package let up = shared.reported("apus_s3_up", "Whether the S3 store answers.")
    package let requests = shared.counter(
        "apus_s3_requests_total", "Requests to the S3 store, each attempt for itself.", by: ("kind", "outcome"), Kind.self, Outcome.self)
    package let durations = shared.histogram(
        "apus_s3_request_duration_seconds", "How long one attempt took, with its bytes and with waiting for a connection.", .durations,
        by: "kind", Kind.self)
    package let retries = shared.counter("apus_s3_retries_total", "Requests to the S3 store that were sent again.", by: "kind", Kind.self)
}

/// What the databases say, asked when somebody looks. Where they do not answer in time only `apus_database_up` is there, with 0.
package struct StateMetrics: Sendable {
    package let up = shared.reported("apus_database_up", "Whether the database answers.", by: "database")
    package let writable = shared.reported("apus_database_writable", "Whether the log's database takes writes.")
    package let free = shared.reported("apus_data_free_bytes", "Room that is left where the data folder is.")
    package let head = shared.reported("apus_log_head", "The last position of the log.")
    package let epoch = shared.reported("apus_log_epoch", "The epoch of the log: how often history has forked, and one.")
    package let position = shared.reported("apus_read_model_position", "The last position that is in the tables.", by: "read_model")
    package let lagEvents = shared.reported("apus_read_model_lag_events", "Events that are not in the tables yet.", by: "read_model")
    package let lagSeconds = shared.reported(
        "apus_read_model_lag_seconds", "How long the oldest event that is not in the tables has waited.", by: "read_model")
    package let leased = shared.reported(
        "apus_read_model_leased", "Whether a projector holds the lease of the tables, in whatever process.", by: "read_model")
    package let leases = shared.reported(
        "apus_read_model_lease_changes_total", "How often another projector has taken the lease of the tables.", as: .counter,
        by: "read_model")
    package let sealPosition = shared.reported("apus_seal_position", "The last position that a seal covers.")
    package let sealLagEvents = shared.reported("apus_seal_lag_events", "Events that no seal covers yet.")
    package let sealLagSeconds = shared.reported(
        "apus_seal_lag_seconds", "How long the oldest event that no seal covers has been in the log.")
    package let expiring = shared.reported(
        "apus_sessions_expiring", "Login sessions that end within a week unless they are used.")
    package let nearQuota = shared.reported(
        "apus_users_near_quota", "Users whose collections hold 90 % of a limit of their quota or more.")
}

/// The process, under the names that Prometheus' own clients give.
package struct ProcessMetrics: Sendable {
    package let build = shared.reported("apus_build_info", "1; the labels tell what runs.", by: "version", "engine")
    package let cpu = shared.reported("process_cpu_seconds_total", "Time on the processor, of the user and the system.", as: .counter)
    package let resident = shared.reported("process_resident_memory_bytes", "Memory that is resident.")
    package let virtual = shared.reported("process_virtual_memory_bytes", "Memory that has addresses.")
    package let descriptors = shared.reported("process_open_fds", "Descriptors that are open.")
    package let maximumDescriptors = shared.reported("process_max_fds", "Descriptors that may be open.")
    package let threads = shared.reported("process_threads", "Threads.")
    /// See ``Registry``.
    package let dropped = shared.reported(
        "apus_metrics_series_dropped_total", "Series that are counted nowhere, because there are too many already.", as: .counter)
    package let start = shared.reported("process_start_time_seconds", "When the process began, in seconds since 1970.")
}
