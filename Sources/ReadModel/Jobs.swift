package import Database
package import Domain
internal import Sodium

/// Long work that was ordered on an admin's page.
package struct Job: Sendable {
    /// What is done.
    package enum Kind: String, CaseIterable, Sendable {
        case verifyLog = "verify-log"
        case verify
        case rebuild
        case backup
        case verifyBackup = "verify-backup"
        case erase
    }

    package enum State: String, Sendable {
        case working
        case done
        /// It was done, and has found that something is wrong.
        case faulty
        /// It could not be done.
        case failed
        case stopped
        /// Its process has ended in the middle, or does not say any more that it goes on.
        case lost
    }

    /// How far it is.
    package struct Progress: Hashable, Sendable {
        package var reached: Int64
        /// Of how much; 0 where nobody knows.
        package var whole: Int64

        package init(_ reached: Int64 = 0, of whole: Int64 = 0) { (self.reached, self.whole) = (reached, whole) }
    }

    package let id: String
    package let kind: Kind
    package let state: State
    /// The account that it is done to: its name, or its number where it is erased.
    package let user: String?
    package let orderedAt: Timestamp
    package let endedAt: Timestamp?
    package let progress: Progress
    /// Whether somebody wants it to stop.
    package let isUnwanted: Bool
    /// Whether it cannot be stopped any more.
    package let isFinal: Bool
    /// What there is to say, a line for each thing.
    package let found: [String]
}

/// The jobs, in the log's database: any process can show and stop them. One process does each of them, and says so again and again; what
/// it does not say any more of is lost, and may be ordered anew.
package struct Jobs: Sendable {
    /// How long what was said is good for, in microseconds: a writer may have to wait for a large transaction.
    private static let goodFor: Int64 = 60_000_000
    /// How long it is told what came of one.
    private static let keptFor: Int64 = 30 * 86_400_000_000
    /// How much is kept of what was found.
    private static let (longestLine, mostLines) = (500, 50)

    private let database: any Database

    package init(_ database: any Database) { self.database = database }

    /// Begins a job, unless the same is at work already.
    ///
    /// - Parameter process: who does it.
    /// - Returns: the job, and whether it is a new one.
    package func begin(_ kind: Job.Kind, of user: UserID?, by process: String, at now: Timestamp) async throws -> (id: String, isNew: Bool)
    {
        let id = Sodium.randomAlphanumerics(12).lowercased()
        return try await database.write { connection in
            try connection.execute(Self.endLost, [.integer(now.rawValue)])
            try connection.execute(Self.deleteOld, [.integer(now.rawValue - Self.keptFor)])
            let values: [Value] = [
                .text(id), .text(process), .text(kind.rawValue), .integer(orNull: user?.rawValue), .integer(now.rawValue),
                .integer(now.rawValue + Self.goodFor),
            ]
            guard try connection.execute(Self.insert, values) == 0 else { return (id, true) }
            let working = try connection.first(Self.selectWorking, [.text(kind.rawValue), .integer(user?.rawValue ?? 0)]) { $0.text(0) }
            guard let working else { throw DatabaseFault(.conflict, "a job has just ended") }
            return (working, false)
        }
    }

    /// Says that a job goes on.
    ///
    /// - Returns: whether it should: nobody wants it to stop, and nobody has taken it for lost.
    /// - Throws: `DatabaseFault`, within seconds.
    package func goesOn(_ id: String, _ progress: Job.Progress, at now: Timestamp) async throws -> Bool {
        try await database.write { connection in
            try connection.set(.needNotLast, .mustBeShort)
            let values: [Value] = [
                .text(id), .integer(progress.reached), .integer(progress.whole), .integer(now.rawValue + Self.goodFor),
            ]
            return try connection.first(Self.update, values) { !$0.flag(0) || $0.flag(1) } ?? false
        }
    }

    /// Begins the part of a job that is not stopped any more.
    ///
    /// - Returns: whether that may begin: somebody may have stopped it just now.
    package func makeFinal(_ id: String) async throws -> Bool {
        try await database.write { try $0.execute(Self.updateFinal, [.text(id)]) > 0 }
    }

    /// Ends a job.
    package func end(_ id: String, _ state: Job.State, _ found: [String], _ progress: Job.Progress, at now: Timestamp) async throws {
        let rest = found.count > Self.mostLines ? ["… (\(found.count - Self.mostLines))"] : []
        let lines = found.prefix(Self.mostLines).map { String($0.prefix(Self.longestLine)).replacing("\n", with: " ") } + rest
        let values: [Value] = [
            .text(id), .text(state.rawValue), .integer(now.rawValue), .text(lines.joined(separator: "\n")), .integer(progress.reached),
            .integer(progress.whole),
        ]
        try await database.write { _ = try $0.execute(Self.updateEnd, values) }
    }

    /// Wants a job to stop, which it does within seconds.
    ///
    /// - Returns: false where it has ended, or cannot be stopped any more.
    package func stop(_ id: String, at now: Timestamp) async throws -> Bool {
        try await database.write { try $0.execute(Self.updateUnwanted, [.text(id), .integer(now.rawValue)]) > 0 }
    }

    /// The newest first.
    package func newest(of kinds: Set<Job.Kind>, limit: Int, at now: Timestamp) async throws -> [Job] {
        let values: [Value] = [.texts(kinds.map(\.rawValue).sorted()), .integer(Int64(limit))]
        return try await database.read(.small) { try $0.query(Self.selectNewest, values) { Self.job($0, at: now) }.compactMap(\.self) }
    }

    /// A job; nil where there is none of that name.
    package func job(_ id: String, at now: Timestamp) async throws -> Job? {
        try await database.read(.small) { try $0.first(Self.selectOne, [.text(id)]) { Self.job($0, at: now) } ?? nil }
    }

    /// Nil for one of a kind that only a newer program knows.
    private static func job(_ row: any Row, at now: Timestamp) -> Job? {
        guard let kind = Job.Kind(rawValue: row.text(1)), let state = Job.State(rawValue: row.text(2)) else { return nil }
        let (endedAt, expiresAt) = (row.integerOrNil(5).map { Timestamp(rawValue: $0) }, Timestamp(rawValue: row.integer(6)))
        let isLost = endedAt == nil && expiresAt <= now
        let found = row.text(11)
        return Job(
            id: row.text(0), kind: kind, state: isLost ? .lost : state, user: row.textOrNil(3),
            orderedAt: Timestamp(rawValue: row.integer(4)), endedAt: isLost ? expiresAt : endedAt,
            progress: .init(row.integer(7), of: row.integer(8)), isUnwanted: row.flag(9), isFinal: row.flag(10),
            found: found.isEmpty ? [] : found.split(separator: "\n").map(String.init))
    }
}

extension Jobs {
    private static let insert = Statement(
        """
        INSERT INTO apus_job (job, process, kind, user_id, state, ordered_at, expires_at, reached, whole, is_unwanted, is_final, found)
        VALUES ($1, $2, $3, $4, 'working', $5, $6, 0, 0, 0, 0, '')
        ON CONFLICT DO NOTHING
        """)

    private static let selectWorking = Statement(
        "SELECT job FROM apus_job WHERE kind = $1 AND COALESCE(user_id, 0) = $2 AND ended_at IS NULL")

    private static let endLost = Statement(
        "UPDATE apus_job SET ended_at = expires_at, state = 'lost' WHERE ended_at IS NULL AND expires_at <= $1")
    private static let deleteOld = Statement("DELETE FROM apus_job WHERE ordered_at < $1 AND ended_at IS NOT NULL")

    private static let update = Statement(
        """
        UPDATE apus_job
        SET    reached = $2, whole = $3, expires_at = $4
        WHERE  job = $1 AND ended_at IS NULL
        RETURNING is_unwanted, is_final
        """)

    private static let updateFinal = Statement(
        "UPDATE apus_job SET is_final = 1 WHERE job = $1 AND ended_at IS NULL AND is_unwanted = 0")
    private static let updateUnwanted = Statement(
        "UPDATE apus_job SET is_unwanted = 1 WHERE job = $1 AND ended_at IS NULL AND is_final = 0 AND expires_at > $2")
    private static let updateEnd = Statement(
        """
        UPDATE apus_job
        SET    state = $2, ended_at = $3, found = $4, reached = $5, whole = $6
        WHERE  job = $1 AND ended_at IS NULL
        """)

    private static let select = """
        SELECT job.job, job.kind, job.state, COALESCE(account.username, '#' || job.user_id), job.ordered_at, job.ended_at, job.expires_at,
               job.reached, job.whole, job.is_unwanted, job.is_final, job.found
        FROM   apus_job job
        LEFT   JOIN myauth_user account ON account.id = job.user_id
        """

    static let selectNewest = Statement(select + " WHERE job.kind IN [$1 text] ORDER BY job.ordered_at DESC LIMIT $2")
    static let selectOne = Statement(select + " WHERE job.job = $1")
}
