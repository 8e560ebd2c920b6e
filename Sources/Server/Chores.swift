package import Backup
internal import Bulletin
package import Database
package import Domain
package import EventLog
internal import Pages
internal import ReadModel
package import Replay
internal import Schemas
internal import Sodium

/// Runs `body` with an empty database of which nothing is left afterwards.
package func withScratch<T>(_ body: (SQLiteDatabase) async throws -> T) async throws -> T {
    let scratch = try SQLiteDatabase()
    try await scratch.write { try Schema.create($0, .sqlite) }
    let result = try await body(scratch)
    try scratch.close()
    return result
}

// What takes its time, for the command line and for jobs. Each tells how far it is.
extension Node {
    /// Checks the log, and that the tables are what it says.
    package func verify(_ advanced: @escaping Advanced = { _, _ in }) async throws -> Verification.Report {
        try await withScratch { scratch in
            var verification = try Verification(database: database, scratch: scratch, stokens: readModel.stokens, chunks: chunks)
            verification.advanced = advanced
            return try await verification.run()
        }
    }

    /// Checks the log against its seals.
    ///
    /// - Parameter proof: one that was kept elsewhere.
    package func verifyLog(against proof: Seal? = nil, _ advanced: @escaping Advanced = { _, _ in }) async throws -> LogVerification.Report
    {
        var verification = LogVerification(database: database, key: SealKey(secret: secret.value))
        verification.advanced = advanced
        return try await verification.run(against: proof)
    }

    /// Builds the tables anew from the log, and mends those that differ.
    package func rebuild(
        mends: Bool = true, discardsForeign: Bool = false, _ advanced: @escaping Advanced = { _, _ in }
    ) async throws -> Rebuild.Report {
        try await withScratch { scratch in
            var rebuild = try Rebuild(database: database, scratch: scratch, stokens: readModel.stokens, chunks: chunks)
            rebuild.advanced = advanced
            return try await rebuild.run(mends: mends, discardsForeign: discardsForeign)
        }
    }

    /// Writes everything that is kept into one file, and notes that this was done.
    ///
    /// - Returns: what was written, and why it could not be noted, where it could not: the backup is there all the same.
    package func backUp(
        to path: String, at time: Timestamp, _ advanced: @escaping Advanced = { _, _ in }
    ) async throws -> (report: Backup.Report, unnoted: (any Error)?) {
        var backup = Backup(of: database, chunks: chunks, secret: secret.value)
        backup.advanced = advanced
        let report = try await backup.write(to: path, at: time)
        let last = LastBackup(madeAt: time, position: report.head.position)
        do { try await database.write { try last.note($0) } } catch { return (report, error) }
        return (report, nil)
    }

    /// Does what was ordered on a page.
    func carryOut(_ kind: Job.Kind, _ user: UserID?, by actor: Actor, _ course: JobRunner.Course) async throws -> JobRunner.Outcome {
        switch kind {
        case .verify: return .init(try await verify(course.advance), preceded: [])
        case .verifyLog:
            let report = try await verifyLog(course.advance)
            guard report.faults.isEmpty else { return .init(.faulty, report.faults) }
            return .init(
                .done, [JobWords.soundLog(end: report.end.rawValue, sealed: report.sealed.rawValue, rewritten: report.rewritten)])
        case .rebuild:
            let report = try await rebuild(course.advance)
            return .init(report.verification, preceded: report.found + (report.changed > 0 ? [JobWords.changed(report.changed)] : []))
        case .backup: return try await pageBackups.make(self, course.advance)
        case .verifyBackup: return try await pageBackups.verify()
        case .erase:
            guard let user else { preconditionFailure("an erasure is of somebody") }
            let found = try await readModel.snapshot { try $0.accountOverview(user) }
            guard let account = found, !account.isErased else { return .init(.failed, [JobWords.noAccount]) }
            let proof = try await erase(account.username, user, isActive: account.isActive, by: actor) {
                bulletin.post([.userChanged(user)])
            } decided: {
                try await course.makeFinal()
            }
            bulletin.post([.userChanged(user)])
            return .init(.done, [JobWords.erased(events: proof.count)])
        }
    }
}

extension JobRunner.Outcome {
    fileprivate init(_ report: Verification.Report, preceded found: [String]) {
        guard report.faults.isEmpty else {
            self.init(.faulty, found + report.faults)
            return
        }
        self.init(.done, found + [JobWords.sound(events: report.events, rows: report.rows)])
    }
}
