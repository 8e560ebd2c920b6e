package import Contents
package import Database
internal import Domain
package import EventLog

/// Builds the read model anew from the log beside the live one, and brings the live tables to what the log says where they
/// differ. A server may go on meanwhile.
///
/// The replay and the comparison take their time and hold nobody up. What differs is mended in one transaction, so that no
/// reader sees half of it, and no projector moves the checkpoint meanwhile; only rows that differed or have changed since are
/// looked at there. Where most of a large table is lost, its indexes are made last, and on PostgreSQL its readers wait. Login tokens, and when users logged in, do not follow from the log and stay; so do chunks' contents.
package struct Rebuild: Sendable {
    /// How often the live tables are mended before it is given up that they stay so.
    private static let attempts = 3

    private var verification: Verification
    /// Told how many events are replayed.
    package var advanced: Advanced {
        get { verification.advanced }
        set { verification.advanced = newValue }
    }
    /// How many rows a table must have lost for its indexes to be made last.
    var leastRows = BareTables.leastRows

    /// What was found and done.
    package struct Report: Sendable {
        /// What was mended, a line for each fault.
        package var found: [String] = []
        /// How many rows were written or deleted.
        package var changed = 0
        /// What was found in the end.
        package var verification = Verification.Report()
    }

    /// - Parameters:
    ///   - scratch: an empty database with the schema, which is filled.
    ///   - chunks: where contents lie that have no row.
    package init(database: any Database, scratch: SQLiteDatabase, stokens: StokenSealer, chunks: ContentStores) throws {
        verification = try Verification(database: database, scratch: scratch, stokens: stokens, chunks: chunks)
    }

    /// Compares, mends, and compares again.
    ///
    /// - Parameters:
    ///   - mends: false to change nothing.
    ///   - discardsForeign: whether rows that no event has made are deleted too; else nothing is changed where there are some.
    /// - Throws: `DatabaseFault` when a database cannot be read or written. Where the log itself cannot be replayed the report
    ///   says why, and nothing is changed.
    package func run(mends: Bool = true, discardsForeign: Bool = false) async throws -> Report {
        var report = Report()
        for attempt in 0...Self.attempts {
            guard let comparison = try await verification.compare(&report.verification) else { return report }
            var faults = Verification.Report()
            faults.note(comparison)
            if comparison.hasUnexpected, !discardsForeign, let words = try await verification.foreign() {
                report.found = []
                report.verification.faults += faults.faults + [words]
                return report
            }
            if comparison.isSame || !mends || attempt == Self.attempts {
                report.verification.faults += faults.faults
                try await verification.checkBeside(&report.verification)
                break
            }
            if attempt == 0 { report.found = faults.faults }
            do { report.changed += try await mend(comparison, &report.verification) } catch let stop as Replay.Stop {
                report.verification.faults.append(stop.fault)
                break
            } catch let fault as DatabaseFault {
                switch fault.kind {
                // Somebody was in the way.
                case .conflict: continue
                case .constraint:
                    report.found = []
                    report.verification.faults +=
                        faults.faults + ["read model: it stays as it is, for the log breaks a rule of the tables: \(fault)"]
                    return report
                case .unavailable, .corrupt, .raised: throw fault
                }
            }
        }
        return report
    }

    private func mend(_ comparison: Replay.Comparison, _ report: inout Verification.Report) async throws -> Int {
        let (faults, changed) = try await verification.database.write {
            [replay = verification.replay, dialect = verification.database.dialect, leastRows] connection in
            if dialect == .postgres {
                try connection.set(.waitsLong)
                try connection.run(script: Self.lock)
            }
            let faults = try replay.advance(upTo: EventLog.head(connection).position, connection)
            return (faults, try replay.mend(connection, dialect, after: comparison, leastRows: leastRows))
        }
        report.faults += faults
        return changed
    }

    /// Keeps projectors out, whether or not there is a row to lock. Readers are not disturbed.
    private static let lock = "LOCK TABLE apus_projection IN SHARE ROW EXCLUSIVE MODE"
}
