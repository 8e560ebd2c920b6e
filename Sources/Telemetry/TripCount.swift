internal import Synchronization

/// The round trips to the database of whoever it is bound to, so that tests can hold requests to what they cost. Nobody else
/// binds one.
///
/// Concurrency: it is bound to a task, and counts what is asked for it by whatever thread.
package final class TripCount: Sendable {
    @TaskLocal package static var current: TripCount?

    private struct Key: Hashable {
        let kind: DatabaseMetrics.Kind
        let pool: DatabaseMetrics.Pool
    }

    private let counts = Mutex<[Key: Int]>([:])

    package init() {}

    /// Adds round trips; on SQLite, transactions.
    package func add(_ trips: Int, _ kind: DatabaseMetrics.Kind, over pool: DatabaseMetrics.Pool) {
        counts.withLock { $0[Key(kind: kind, pool: pool), default: 0] += trips }
    }

    /// How many there were.
    ///
    /// - Parameters:
    ///   - kind: nil for all kinds.
    ///   - pool: nil for all connections.
    package func total(_ kind: DatabaseMetrics.Kind? = nil, over pool: DatabaseMetrics.Pool? = nil) -> Int {
        counts.withLock { counts in
            counts.reduce(0) { sum, entry in
                let isMeant = (kind ?? entry.key.kind) == entry.key.kind && (pool ?? entry.key.pool) == entry.key.pool
                return isMeant ? sum + entry.value : sum
            }
        }
    }
}

extension DatabaseMetrics {
    /// Notes round trips; on SQLite, transactions.
    package func note(_ count: Int, _ kind: Kind, over pool: Pool) {
        trips[kind].add(count)
        TripCount.current?.add(count, kind, over: pool)
    }
}
