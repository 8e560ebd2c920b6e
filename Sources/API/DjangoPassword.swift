internal import Foundation
internal import Sodium

/// Passwords as Django keeps them: `algorithm$iterations$salt$hash`.
enum DjangoPassword {
    /// What costs as much as a usual one, and is nobody's.
    static let nobodys = "pbkdf2_sha256$600000$nobody$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

    /// More than Django takes for years to come: whoever could write more into the table could keep the server busy.
    private static let mostIterations = 5_000_000

    /// Whether a password is the one that is kept. It takes as long as Django's settings say: much of a second.
    static func matches(_ password: String, _ stored: String) -> Bool {
        let parts = stored.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "pbkdf2_sha256", let iterations = Int(parts[1]), (1...mostIterations).contains(iterations),
            let hash = Data(base64Encoded: String(parts[3])), password.utf8.count <= 4096
        else { return false }
        let found = Sodium.pbkdf2SHA256(Array(password.utf8), salt: Array(parts[2].utf8), iterations: iterations)
        return found.count == hash.count && zip(found, hash).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
