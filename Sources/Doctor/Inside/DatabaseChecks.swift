internal import Database
internal import Domain
internal import EventLog
internal import Foundation
internal import ReadModel
internal import Schemas
internal import Server
internal import Sodium

/// The log's database: whether it answers, and is what it should be.
struct DatabaseChecks {
    let patient: Patient

    init(_ patient: Patient) { self.patient = patient }

    func answers() async -> Finding {
        let database: any Database
        do { database = try patient.open() } catch {
            return .failure(
                "\(error)", means: "Nothing is served without the database.",
                mend: "Say where it is (--data, APUS_DATA or --database-url); apus serve makes a new one.")
        }
        do {
            let isWritable = try await database.ask(Self.selectWritable, []) { $0.flag(0) }.first ?? false
            guard isWritable, isFileWritable else {
                return .failure(
                    "it can only be read", means: "Nothing can be written: a standby, a disk that is full, or a file of another user.",
                    mend: "Let APUS_DATABASE_URL name the primary, promote this one, or give the file to the server's user.")
            }
            let engine = try await database.ask(Self.selectEngine, []) { $0.text(0) }.first ?? ""
            return .ok("\(engine) answers")
        } catch {
            return .failure(
                "it does not answer: \(error)", means: "Nothing is served without the database.",
                mend:
                    "Look whether it runs, and at its address, user and password (APUS_DATABASE_URL), its pg_hba.conf and a "
                    + "firewall between."
            )
        }
    }

    private var isFileWritable: Bool { patient.file.map { FileManager.default.isWritableFile(atPath: $0) } ?? true }

    func schema() async -> Finding {
        await patient.ask { database -> Finding in
            let found: Int64?
            do { found = try await database.read { try Schema.check($0) } } catch let fault as DatabaseFault {
                guard case .corrupt = fault.kind else { throw fault }
                return .failure(
                    "\(fault)", means: "This program does not touch the database as it is.", mend: "See what the sentence says.")
            }
            guard let found else {
                return .warning(
                    "the database is empty", means: "No server has ever used it.",
                    mend: "apus serve makes the tables; if there were some, this is the wrong database.")
            }
            guard found < Schema.version else { return .ok("version \(found), which this program writes") }
            let isServed = await Processes.serve(database)
            let upgrade: Finding.Fix = { try await self.upgrade() }
            return .warning(
                "version \(found), and this program knows \(Schema.version)",
                means: "The program is newer than the tables\(isServed ? ", and an older one serves them" : "").",
                mend: isServed
                    ? "Start the servers anew, with this program: the first one upgrades the tables."
                    : "apus serve upgrades them, or --fix.",
                fix: isServed ? nil : upgrade)
        }
    }

    private func upgrade() async throws -> String {
        let database = try await Node.open(patient.data.database)
        try await database.write { [dialect = database.dialect] in try Schema.create($0, dialect) }
        try (database as? SQLiteDatabase)?.close()
        return "the tables were upgraded to version \(Schema.version)"
    }

    /// What a secret has at least that nobody can guess.
    private static let shortestSecret = 24

    func secret() async -> Finding {
        let secret: [UInt8]
        do {
            guard let found = try patient.data.secret ?? patient.folder.readSecret() else {
                return .failure(
                    "there is none: neither APUS_SECRET nor APUS_SECRET_FILE is set, and no file secret is in the data folder",
                    means: "No server starts on a database that has one.",
                    mend: "Give the one that the database was made with; it is in every backup. If it is lost: apus secret renew --help.")
            }
            secret = found.value
        } catch { return .failure("\(error)", means: "No server starts without it.", mend: "Restore it from a backup.") }
        return await patient.ask { database -> Finding in
            let isRight = try await database.read { connection in
                try Schema.check(connection) == nil ? nil : try SecretMark.isOf(secret, connection)
            }
            guard isRight ?? true else {
                return .failure(
                    "it is not the one that this database was made with",
                    means: "All nodes need the same: with another one stokens, logins and seals break, so this node does not start.",
                    mend: "Give every node the secret of the first (APUS_SECRET, APUS_SECRET_FILE, or the file secret in the data folder).")
            }
            guard secret.count >= Self.shortestSecret else {
                return .warning(
                    "it has \(secret.count) bytes", means: "Who guesses it can forge logins' challenges and stokens.",
                    mend: "Stop all servers, give a longer one (openssl rand -hex 32), and run apus secret renew.")
            }
            return .ok(isRight == nil ? "there is one, and nothing in the database was made with any" : "it is the database's")
        }
    }

    /// Differences of clocks, in microseconds: what is no worry, and what breaks logins, whose challenges are good for a minute.
    private static let (little, much): (Int64, Int64) = (2_000_000, 20_000_000)

    func clock() async -> Finding {
        await patient.ask { database -> Finding in
            let before = Node.clock().rawValue
            let theirs = try await database.ask(Self.selectClock, []) { $0.integerOrNil(0) }.first ?? nil
            let ours = before + (Node.clock().rawValue - before) / 2
            let newest = try await database.read { connection in
                try Schema.check(connection) == nil ? nil : try connection.first(Self.selectNewest, []) { $0.integer(0) }
            }
            let difference = theirs.map { $0 - ours } ?? 0
            let isBehind = newest.map { $0 - ours > Self.much } ?? false
            let words = isBehind ? "this machine's clock is before the newest event of the log" : Self.words(difference)
            guard abs(difference) > Self.little || isBehind else {
                return .ok(theirs == nil ? "it is after all events of the log" : "this machine's and the database's agree")
            }
            let (means, mend) = (
                "Sessions, tickets, leases and challenges of logins are good for a time: too soon or never over, or over at once.",
                "Keep the clocks of all machines with a time server: timedatectl set-ntp true."
            )
            return abs(difference) > Self.much || isBehind
                ? .failure(words, means: means, mend: mend) : .warning(words, means: means, mend: mend)
        }
    }

    private static func words(_ difference: Int64) -> String {
        "the database's clock is \(abs(difference) / 1_000_000) s \(difference > 0 ? "ahead of" : "behind") this machine's"
    }

    private static let selectWritable = Statement(
        "{sqlite: SELECT 1}{postgres: SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'}")
    private static let selectEngine = Statement(
        "{sqlite: SELECT 'SQLite ' || sqlite_version()}{postgres: SELECT 'PostgreSQL ' || current_setting('server_version')}")
    private static let selectClock = Statement(
        "{sqlite: SELECT NULL}{postgres: SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint}")
    private static let selectNewest = Statement("SELECT occurred_at FROM apus_event ORDER BY position DESC LIMIT 1")
}
