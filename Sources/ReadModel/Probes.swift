package import Database
package import Domain
internal import Sodium

/// Requests by which `apus doctor` looks through the public address. Whoever sends one shows a random token, of which there is a row among
/// those of the processes: so it can only come from somebody who has the log's database. The row holds a hash of it.
package enum Probes {
    /// How long a doctor may take, in microseconds.
    private static let goodFor: Int64 = 10 * 60_000_000
    fileprivate static let tokenLength = 32
    private static let roles = "doctor"

    /// What a ticket begins with that is a probe's token, to open a socket through which nothing comes. No other has a dot.
    package static let ticketPrefix = "doctor."

    /// Makes a token, and lets the servers know it for a while.
    ///
    /// - Throws: `DatabaseFault`.
    package static func begin(_ database: any Database, version: String, at now: Timestamp) async throws -> String {
        let token = Sodium.randomAlphanumerics(tokenLength)
        let process = ServingProcess(
            name: name(of: token), roles: roles, address: nil, version: version, sockets: 0, startedAt: now, seenAt: now)
        try await Processes(database).note(process, until: Timestamp(rawValue: now.rawValue + goodFor))
        return token
    }

    /// Lets them forget it.
    ///
    /// - Throws: `DatabaseFault`.
    package static func end(_ database: any Database, _ token: String) async throws {
        try await Processes(database).remove(name(of: token))
    }

    fileprivate static func name(of token: String) -> String {
        let hash = Sodium.blake2b(Array(token.utf8), personalization: "apus-probe")
        return "doctor " + hash.hexadecimal
    }

    fileprivate static let select = Statement("SELECT 1 FROM apus_process WHERE process = $1 AND roles = 'doctor' AND expires_at > $2")
}

extension ReadModel {
    /// Whether a request is a doctor's that is at work just now.
    ///
    /// - Throws: `DatabaseFault`.
    package func isProbe(_ token: String, at now: Timestamp) async throws -> Bool {
        // Whoever guesses at random is not worth a question.
        guard token.utf8.count == Probes.tokenLength else { return false }
        return try await database.ask(Probes.select, [.text(Probes.name(of: token)), .integer(now.rawValue)]) { _ in true }.first ?? false
    }
}
