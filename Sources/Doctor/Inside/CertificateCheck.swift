internal import Database
internal import Directory
internal import Foundation
internal import NIOSSL
internal import Redis
internal import Server

extension Inside {
    /// What is soon enough to be told.
    static let soonDays = 14

    /// The certificates in the files that addresses and settings name.
    static func certificates(_ patient: Patient) -> Finding {
        var files: [String] = []
        if case .postgres(let url) = patient.data.database { files += PostgresDatabase.certificateFiles(of: url) }
        if let url = patient.data.readDatabaseURL { files += PostgresDatabase.certificateFiles(of: url) }
        if let path = patient.redis?.authoritiesPath { files.append(path) }
        if let path = patient.directory?.authoritiesPath { files.append(path) }
        guard !files.isEmpty else { return .notApplicable("no address names a file of certificates") }
        var soonest: (path: String, day: Date)?
        for path in files {
            let ends: [Date]
            do {
                ends = try NIOSSLCertificate.fromPEMFile(path).map { Date(timeIntervalSince1970: TimeInterval($0.notValidAfter)) }
            } catch {
                return .failure(
                    "\(path) cannot be read as certificates", means: "Connections that need it are not made.",
                    mend: "Look whether the file is there, is PEM, and may be read by the server's user.")
            }
            // Of several authorities one may be old; of a chain none.
            if let end = ends.min(), end < soonest?.day ?? .distantFuture { soonest = (path, end) }
        }
        guard let soonest else { return .notApplicable("the files hold no certificates") }
        return expiry(soonest.day, of: "a certificate in \(soonest.path)", mend: "Put a new one into the file, and start the servers anew.")
    }

    /// What there is to say of something that is good until then.
    static func expiry(_ day: Date, of what: String, mend: String, now: Date = Date()) -> Finding {
        let days = Int((day.timeIntervalSince(now) / 86_400).rounded(.down))
        let date = day.formatted(.iso8601.year().month().day())
        guard days >= 0 else {
            return .failure("\(what) was good until \(date)", means: "Whoever looks at it makes no connection.", mend: mend)
        }
        guard days >= soonDays else {
            return .warning("\(what) is good until \(date), \(days) days more", means: "It should have been renewed by now.", mend: mend)
        }
        return .ok("\(what) is good until \(date)")
    }
}
