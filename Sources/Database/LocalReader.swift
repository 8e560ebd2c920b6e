internal import GRDB
internal import Synchronization

/// A thread on which requests are worked on, and where little questions are asked on the spot: to wake another thread, and to be
/// woken by it, takes longer than the answer.
package final class ReadingPlace: Sendable {
    /// The place of the task that runs; nil where there is none.
    @TaskLocal package static var current: ReadingPlace?

    private let isHere: @Sendable () -> Bool

    /// - Parameter isHere: whether the thread that asks is this one. A task with a place may go to other threads for a while.
    package init(isHere: @escaping @Sendable () -> Bool) { self.isHere = isHere }

    /// The place whose thread this is.
    static var here: ReadingPlace? { current.flatMap { $0.isHere() ? $0 : nil } }
}

/// The connections of a file that are used in place, one for each thread.
final class LocalReaders: Sendable {
    private struct State {
        var queues: [ObjectIdentifier: DatabaseQueue] = [:]
        var isClosed = false
    }

    private let path: String
    private let configuration: Configuration
    private let state = Mutex(State())

    init(path: String, configuration: Configuration) {
        self.path = path
        var configuration = configuration
        configuration.readonly = true
        configuration.label = "apus.sqlite.local"
        // Who waits here holds up everybody on this thread: the others wait better.
        configuration.busyMode = .immediateError
        self.configuration = configuration
    }

    /// A connection that one thread uses.
    struct Reader {
        fileprivate let queue: DatabaseQueue

        /// Runs `body` in a snapshot, on the thread that asks.
        ///
        /// As `read` does, but what begins and ends a transaction is not parsed each time.
        func read<T>(_ body: (GRDB.Database) throws -> T) throws -> T {
            try queue.unsafeRead { database in
                try database.cachedStatement(sql: "BEGIN").execute()
                do {
                    let result = try body(database)
                    try database.cachedStatement(sql: "COMMIT").execute()
                    return result
                } catch {
                    // What went wrong may have ended it already.
                    if database.isInsideTransaction { try database.execute(sql: "ROLLBACK") }
                    throw error
                }
            }
        }
    }

    /// The connection of the thread that asks; nil where it has none.
    func connection() throws -> Reader? {
        guard let place = ReadingPlace.here else { return nil }
        return try state.withLock { state in
            if let queue = state.queues[ObjectIdentifier(place)] { return Reader(queue: queue) }
            guard !state.isClosed else { return nil }
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            state.queues[ObjectIdentifier(place)] = queue
            return Reader(queue: queue)
        }
    }

    func close() throws {
        let queues = state.withLock { state in
            state.isClosed = true
            return Array(state.queues.values)
        }
        for queue in queues { try queue.close() }
    }
}
