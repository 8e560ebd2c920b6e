internal import Contents
internal import Database
internal import S3
internal import Server

extension Inside {
    /// How many seconds a clock may be wrong before it is told, and before stores refuse what it signs.
    private static let (nearSeconds, signedSeconds) = (60.0, 900.0)
    private static let meaning =
        "What lies there cannot be read, and nothing can be written that goes there: requests are answered with 503."

    /// The S3 store in which contents lie.
    static func store(_ patient: Patient) async -> Finding {
        guard let objects = patient.data.objects else {
            return await patient.ask { database in
                guard try await database.read({ try TableContents.namesObjects($0) }) else {
                    return .notApplicable("none is set (APUS_CHUNKS, APUS_CHUNKS_ALSO), and none is needed")
                }
                return .failure(
                    "contents lie in an S3 store, and none is set", means: "No server starts without it.",
                    mend: "Let APUS_CHUNKS, or APUS_CHUNKS_ALSO, name it, with its keys.")
            }
        }
        let lead: Double?
        do { lead = try await objects.bucket().examine() } catch {
            return .failure(
                "\(error)", means: meaning,
                mend: "The sentence says what is wrong: its address (APUS_CHUNKS), the keys (APUS_S3_…), their rights, or a clock.")
        }
        guard let lead, abs(lead) > nearSeconds else { return .ok("it answers, and the keys are right") }
        let words = "its clock is \(Int(abs(lead))) s \(lead > 0 ? "ahead of" : "behind") this machine's"
        let mend = "Let both follow NTP (timedatectl); no store takes what is signed 15 minutes from its own time."
        return abs(lead) > signedSeconds
            ? .failure(words, means: meaning, mend: mend)
            : .warning(words, means: "When they drift further apart it refuses everything.", mend: mend)
    }
}
