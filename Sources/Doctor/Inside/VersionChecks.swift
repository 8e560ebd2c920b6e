internal import Database
internal import Domain
internal import ReadModel
internal import Server

/// Which versions meet here.
struct VersionChecks {
    let patient: Patient

    init(_ patient: Patient) { self.patient = patient }

    func versions() async -> Finding {
        await patient.ask { database in
            if database is PostgresDatabase {
                let number = try await database.ask(Self.selectServer, []) { $0.integer(0) }.first ?? 0
                if let finding = Self.finding(aboutPostgres: number) { return finding }
            }
            return Self.finding(about: await Processes.known(database).map(\.version), beside: patient.version)
        }
    }

    /// The oldest that apus works with, and the one that it is tested with.
    private static let (oldest, tested): (Int64, Int64) = (13, 15)

    /// - Parameter number: as in `server_version_num`.
    static func finding(aboutPostgres number: Int64) -> Finding? {
        let major = number / 10_000
        guard major < oldest else { return nil }
        return .failure(
            "PostgreSQL \(major)", means: "Apus is tested with PostgreSQL \(tested); \(oldest) is the oldest that has what it needs.",
            mend: "Upgrade PostgreSQL (pg_upgradecluster, or a dump and a new server).")
    }

    static func finding(about others: [String], beside version: String) -> Finding {
        let different = Set(others.map(ExactText.init(rawValue:))).subtracting([ExactText(rawValue: version)]).map(\.rawValue).sorted()
        guard !different.isEmpty else { return .ok("apus \(version)\(others.isEmpty ? "" : ", as every process that serves")") }
        return .warning(
            "this is apus \(version), and \(different.joined(separator: ", ")) serves too",
            means: "Only while versions are changed processes of two serve one database.", mend: "Bring all processes to the newest.")
    }

    private static let selectServer = Statement("SELECT current_setting('server_version_num')::bigint")
}

extension Processes {
    /// Those that serve a database; none where it is of an older schema, which knows none, or does not answer.
    static func known(_ database: any Database) async -> [ServingProcess] {
        do { return try await database.read { try alive(at: Node.clock(), $0) } } catch { return [] }
    }

    /// Whether one is known to serve it.
    static func serve(_ database: any Database) async -> Bool { await !known(database).isEmpty }
}
