internal import Database
internal import Domain
internal import EventLog
internal import ReadModel
internal import Replay
internal import Schemas
internal import Server

/// What keeps the past, and who serves it.
struct KeepingChecks {
    let patient: Patient

    init(_ patient: Patient) { self.patient = patient }

    private static let day: Int64 = 86_400_000_000
    private static let oldDays: Int64 = 7

    func backups() async -> Finding {
        await patient.ask { database in
            let found = try await database.read { connection -> (head: Position, backup: LastBackup?)? in
                guard try Schema.check(connection) == Schema.version else { return nil }
                return (try EventLog.head(connection).position, try LastBackup.find(connection))
            }
            guard let (head, backup) = found, head != .none else { return .notApplicable("there is nothing to back up yet") }
            let (means, mend) = (
                "What a disk, a mistake or a thief takes would be lost.",
                "apus backup FILE takes one while the server runs; keep it elsewhere. Backups by other means, as pg_dump, "
                    + "are not known here."
            )
            guard let backup else { return .warning("apus backup never took one", means: means, mend: mend) }
            let days = (Node.clock().rawValue - backup.madeAt.rawValue) / Self.day
            guard days >= Self.oldDays, backup.position < head else { return .ok("the newest has \(days) days") }
            return .warning("the newest has \(days) days, and much has come since", means: means, mend: mend)
        }
    }

    func foreign() async -> Finding {
        await patient.ask { database in
            let found = try await database.read { connection in
                try Schema.check(connection) == Schema.version ? try ForeignRows.find(connection) : nil
            }
            guard let found else { return .ok("the tables have nothing that is not in the log") }
            return .failure(
                "another program writes into this database: \(found)", means: "Apus writes nothing while its ids are taken by others.",
                mend: "\(ForeignRows.remedy).")
        }
    }

    /// A server here is ready; where none is to be here, others serve.
    func server() async -> Finding {
        let processes: [ServingProcess]
        do { processes = await Processes.known(try patient.open()) } catch { processes = [] }
        let others = "\(processes.count) \(processes.count == 1 ? "process serves" : "processes serve") this database"
        do {
            let answer = try await LocalAnswer.ready(patient.address)
            guard answer.status == 200 else {
                return .failure(
                    "the server at \(patient.address.text) is not ready: \(answer.lines)", means: "Load balancers send it no clients.",
                    mend: "See what the sentence says; its log says more.")
            }
            return .ok("the server at \(patient.address.text) is ready; \(others)")
        } catch let fault as OperatorFault {
            return processes.isEmpty
                ? .warning("\(fault), and no process serves this database", means: "Nobody is served.", mend: "Start one: apus serve.")
                : .ok("\(others); none at \(patient.address.text)")
        } catch { return .notApplicable("\(error)") }
    }
}
