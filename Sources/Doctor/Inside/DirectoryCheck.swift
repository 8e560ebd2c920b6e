internal import Directory

extension Inside {
    /// The directory that says who may be here.
    static func directory(_ patient: Patient) async -> Finding {
        guard let directory = patient.directory else { return .notApplicable("none is set (APUS_LDAP_URL)") }
        let found = await directory.examine()
        let faults = found.compactMap { $0.fault?.description }
        guard faults.count < found.count else {
            return .failure(
                faults.joined(separator: "; "),
                means: "Nobody can sign up. Who was let in before is let in for the time of APUS_LDAP_GRACE, and then nobody is.",
                mend:
                    "The sentence says what is wrong: the server, its certificate (APUS_LDAP_AUTHORITIES), name and password, or an entry.")
        }
        guard faults.isEmpty else {
            return .warning(
                faults.joined(separator: "; "), means: "Another server of the directory is asked; when that is away too, nobody is.",
                mend: "Look whether it runs, or take it out of APUS_LDAP_URL.")
        }
        let unencrypted = directory.unencrypted
        guard unencrypted.isEmpty else {
            return .warning(
                "nothing is encrypted on the way to \(unencrypted.map(\.description).joined(separator: ", "))",
                means: "Who listens on the way reads the password, and can answer in the directory's place.",
                mend: "Use ldaps://, or set APUS_LDAP_STARTTLS=on.")
        }
        return .ok(found.count == 1 ? "it answers" : "all \(found.count) servers answer")
    }
}
