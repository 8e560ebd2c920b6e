/// The checks of what lies on this machine and in its database. Numbers stay what they are; what comes to be of no use leaves a gap.
package enum Inside {
    static let databaseNumber = "check 6"

    package static func checks(_ patient: Patient) -> [Check] {
        [
            Check(1, "Settings") { settings(patient) },
            Check(2, "Whose files they are") { FileChecks(patient).owners() },
            Check(3, "Who can read them") { FileChecks(patient).rights() },
            Check(4, "Free space") { DiskChecks(patient).space() },
            Check(5, "File system") { DiskChecks(patient).fileSystem() },
            Check(6, "Database") { await DatabaseChecks(patient).answers() },
            Check(7, "Schema") { await DatabaseChecks(patient).schema() },
            Check(8, "Secret") { await DatabaseChecks(patient).secret() },
            Check(9, "Clock") { await DatabaseChecks(patient).clock() },
            Check(10, "Durability") { await PostgresChecks(patient).durability() },
            Check(11, "Versions") { await VersionChecks(patient).versions() },
            Check(12, "Connections left") { await PostgresChecks(patient).connections() },
            Check(13, "Redis") { await redis(patient) },
            Check(14, "Certificates in files") { certificates(patient) },
            Check(15, "Backups") { await KeepingChecks(patient).backups() },
            Check(16, "Nobody else writes") { await KeepingChecks(patient).foreign() },
            Check(17, "The server on this machine") { await KeepingChecks(patient).server() },
            // Each of its servers has its time.
            Check(18, "Directory (LDAP)", limit: .seconds(60), onlyWaits: true) { await directory(patient) },
            Check(19, "S3 store", limit: .seconds(60), onlyWaits: true) { await store(patient) },
        ]
    }

    /// What is wrong with the settings keeps everything else from being looked at.
    package static func mistakes(_ mistakes: [String]) -> [Check] {
        [
            Check(1, "Settings") {
                .failure(
                    mistakes.joined(separator: "; "), means: "A server would not start, and nothing else can be looked at.",
                    mend: "apus config tells every setting and where it comes from.")
            }
        ]
    }

    private static func settings(_ patient: Patient) -> Finding { .ok("all are understood") }
}
