import Database
import Domain
import EventLog

/// The databases' server: what is committed, who holds which lock, and what a crash leaves.
///
/// Safe: as the scheduler is.
final class SimulatedServer: @unchecked Sendable {
    enum Lock: Hashable {
        /// The row of `apus_log`.
        case head
        /// The row of `apus_projection`.
        case projection
    }

    /// A session with a transaction in it.
    ///
    /// Safe: as the scheduler is.
    final class Session: @unchecked Sendable {
        let process: Process
        /// When it is ended for standing still.
        var standsStillAt: Int64 = .max
        var isAborted = false
        var locks: Set<Lock> = []
        /// With the fault of claims outside: what was looked up in another transaction.
        var claims: [String: Int64]?

        init(_ process: Process) { self.process = process }
    }

    /// How long a session may stand still in a transaction.
    private static let stillSeconds: Int64 = 2

    let scheduler: Scheduler
    let place: Place
    let fault: Fault?
    /// What everybody sees.
    private(set) var committed: Tables
    /// What a crash leaves: some commits need not be on the disk at once.
    private var durable: Tables
    /// What a standby has that is behind.
    private var standby: Tables
    /// The positions that a fork has lost, with their revisions; and the memberships whose end was lost.
    private(set) var lost: Set<String> = []
    private(set) var lostRemovals: Set<String> = []
    private var holders: [Lock: Session] = [:]
    private var sessions: [Session] = []
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private(set) var isDown = false
    /// Where the log is, as `apus_place` has it.
    private(set) var incarnation = 1
    /// How far its clock is from the true time, in nanoseconds.
    var skew: Int64 = 0
    /// With the fault of a sequence: the last position that was given out.
    var sequence: Int64
    /// With the fault of a projector without a fence: where it believes to be.
    var believed: Int64?

    init(_ scheduler: Scheduler, _ tables: Tables, fault: Fault?) {
        (self.scheduler, self.fault) = (scheduler, fault)
        place = Place(scheduler)
        (committed, durable, standby) = (tables, tables, tables)
        sequence = tables.head
    }

    /// Microseconds, by its own clock.
    var now: Int64 { 1_700_000_000_000_000 + (scheduler.time + skew) / 1000 }

    static let away = DatabaseFault(.unavailable, "the simulated server is away")

    // MARK: Transactions

    func begin(_ process: Process) throws -> Session {
        guard !isDown else { throw Self.away }
        let session = Session(process)
        sessions.append(session)
        return session
    }

    /// Runs the statements of a transaction up to its commit, waiting for the locks that they take.
    ///
    /// - Parameter body: run again after each lock that others held, for it sees what they have committed.
    func run<T>(_ session: Session, _ body: (SimulatedConnection) throws -> T) async throws -> (T, SimulatedConnection) {
        while true {
            guard !session.isAborted else { throw Self.away }
            let connection = SimulatedConnection(self, session)
            let result = Result { try body(connection) }
            guard let lock = connection.wanted else {
                if case .failure = result { end(session) }
                return (try result.get(), connection)
            }
            do { try await waitForOthers(holding: lock, session, patience: connection.lockPatience) } catch {
                end(session)
                throw error
            }
        }
    }

    private func waitForOthers(holding lock: Lock, _ session: Session, patience: Int64) async throws {
        let end = scheduler.time + patience
        while let holder = holders[lock], holder !== session {
            if holder.standsStillAt <= scheduler.time {
                self.end(holder)
                continue
            }
            guard scheduler.time < end else { throw DatabaseFault(.conflict, "a lock is held by others") }
            let pause = min(end, holder.standsStillAt) - scheduler.time
            await withCheckedContinuation { continuation in
                waiters.append(continuation)
                scheduler.after(.nanoseconds(pause)) { self.wakeWaiters() }
            }
            guard !session.isAborted else { throw Self.away }
        }
    }

    private func wakeWaiters() {
        let woken = waiters
        waiters = []
        for waiter in woken { waiter.resume() }
    }

    /// Whether the session has the lock now.
    func take(_ lock: Lock, _ session: Session) -> Bool {
        if let holder = holders[lock], holder !== session { return false }
        holders[lock] = session
        session.locks.insert(lock)
        return true
    }

    /// Counts from here on how long the session stands still.
    func standStill(_ session: Session) { session.standsStillAt = scheduler.time + Self.stillSeconds * 1_000_000_000 }

    func end(_ session: Session) {
        session.isAborted = true
        sessions.removeAll { $0 === session }
        for lock in session.locks { holders[lock] = nil }
        session.locks = []
        wakeWaiters()
    }

    /// Commits what a connection has written; that takes time.
    func commit(_ connection: SimulatedConnection) async throws {
        let session = connection.session
        guard !session.isAborted, session.standsStillAt > scheduler.time else {
            end(session)
            throw Self.away
        }
        session.standsStillAt = .max
        guard !connection.changes.isEmpty else { return end(session) }
        let time = scheduler.happens(oneIn: 12) ? scheduler.micros(5_000...60_000) : scheduler.micros(100...3_000)
        let isDone = await withCheckedContinuation { (continuation: CheckedContinuation<Bool, Never>) in
            scheduler.after(connection.mayBeLost ? .microseconds(20) : time) { [self] in
                guard !session.isAborted else { return continuation.resume(returning: false) }
                for change in connection.changes { change(&committed) }
                if !connection.mayBeLost { durable = committed }
                end(session)
                continuation.resume(returning: true)
            }
        }
        guard isDone else { throw Self.away }
    }

    // MARK: What befalls it

    /// Ends the sessions of a process that is gone.
    func endSessions(of process: Process) { for session in sessions where session.process === process { end(session) } }

    private func stop() {
        isDown = true
        for session in sessions { end(session) }
    }

    /// What was committed is on the disk.
    func flush() { durable = committed }

    /// The standby gets what is there.
    func replicate() { standby = durable }

    /// It crashes, and is back later on the same disk.
    func crash(for duration: Duration) {
        guard !isDown else { return }
        stop()
        scheduler.after(duration) { [self] in
            committed = durable
            isDown = false
        }
    }

    /// Another server takes its place: one that has all, or one that has lost the end.
    func failOver(losing isAsynchronous: Bool, after duration: Duration) {
        guard !isDown else { return }
        stop()
        scheduler.after(duration) { [self] in
            let before = durable
            if isAsynchronous { durable = standby }
            committed = durable
            sequence = committed.head
            note(lostOf: before)
            incarnation += 1
            isDown = false
        }
    }

    private func note(lostOf before: Tables) {
        guard before.head > committed.head, let records = try? before.records() else { return }
        for record in records where record.position.rawValue > committed.head {
            if let made = record.event.made { lost.insert(Told.name(made.revision.uid.rawValue, record.position.rawValue)) }
            if case .memberRemoved(let event) = record.event {
                lostRemovals.insert("\(event.collection.rawValue) \(World.users[Int(event.user.rawValue) - 1])")
            }
        }
    }
}

/// The database as one process has it: what it asks and what it is answered goes through the network.
struct SimulatedDatabase: RemoteDatabase {
    let server: SimulatedServer
    let process: Process

    private static let lost = DatabaseFault(.unavailable, "the connection was lost")
    private var scheduler: Scheduler { server.scheduler }

    var engine: DatabaseEngine { preconditionFailure("the simulated database is none of the engines") }

    private func travel() async throws {
        let isSlow = scheduler.happens(oneIn: 40)
        await scheduler.wait(isSlow ? scheduler.micros(1_000...80_000) : scheduler.micros(20...600))
        guard !process.isDead, !process.isCutOff else { throw Self.lost }
    }

    func read<T: Sendable>(_ extent: ReadExtent, _ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        try await travel()
        guard !server.isDown else { throw SimulatedServer.away }
        let connection = SimulatedConnection(server, SimulatedServer.Session(process))
        let result = Result { try body(connection) }
        try await travel()
        return try result.get()
    }

    func write<T: Sendable>(_ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        try await travel()
        let session = try server.begin(process)
        let (result, connection): (T, SimulatedConnection)
        do {
            (result, connection) = try await there { try await $0.run(session, body) }
            server.standStill(session)
            // Its last statement is answered, and the commit is on its way; whoever stands still now holds what it has locked.
            try await travel()
            try await travel()
            try await there { try await $0.commit(connection) }
        } catch {
            // Of one that is cut off, the server does not know.
            if !process.isCutOff { server.end(session) }
            throw error
        }
        try await travel()
        return result
    }

    func atomically<T: Sendable>(
        _ batch: [(statement: Statement, values: [Value])], _ row: @escaping @Sendable (any Row) throws -> T
    ) async throws -> T {
        try await travel()
        let session = try server.begin(process)
        if server.fault == .claimsOutside {
            session.claims = server.committed.claims
            try await travel()
        }
        let result = try await there { server in
            let (result, connection) = try await server.run(session) { connection in
                var answer: T?
                for (statement, values) in batch { answer = try connection.query(statement, values, row).first ?? answer }
                guard let answer else { throw DatabaseFault(.corrupt, "the last statement had no answer") }
                return answer
            }
            try await server.commit(connection)
            return result
        }
        try await travel()
        return result
    }

    /// Does something where the server runs, whatever becomes of the process meanwhile.
    private func there<T: Sendable>(_ body: @escaping @Sendable (SimulatedServer) async throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            server.place.start { [server] in
                do { continuation.resume(returning: try await body(server)) } catch { continuation.resume(throwing: error) }
            }
        }
    }
}
