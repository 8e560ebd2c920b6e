internal import Database
internal import Foundation
internal import Glibc

/// Other programs that have a database open, for what must have it alone: nothing else keeps an EteSync server, or a server of ours,
/// from writing on into what was moved under it.
package enum Others {
    /// Makes sure that nobody else has the database open.
    ///
    /// - Parameter purpose: what is about to be done.
    /// - Throws: ``OperatorFault`` that names who has, and what to do.
    package static func requireNone(_ place: DatabasePlace, to purpose: String) async throws {
        var found = try await names(place)
        // Whoever has just been ended may need a moment to be gone.
        for _ in 0..<attempts where !found.isEmpty {
            try await Task.sleep(for: pause)
            found = try await names(place)
        }
        guard !found.isEmpty else { return }
        let names = found.prefix(named).joined(separator: "; ") + (found.count > named ? "; and \(found.count - named) more" : "")
        throw OperatorFault(
            """
            another program has this database open (\(names)), and \(purpose) wants it alone: stop that program, an EteSync server or \
            apus, and try again. Where it only reads, as monitoring does, --ignore-others goes on
            """)
    }

    private static let named = 5
    private static let attempts = 8
    private static let pause = Duration.milliseconds(250)

    /// Who has the database open, in words. To be asked before this process opens it.
    package static func names(_ place: DatabasePlace) async throws -> [String] {
        switch place {
        case .sqlite(let path): holders(of: path)
        case .postgres(let url): try await sessions(PostgresDatabase(url: url, connections: 1))
        }
    }

    /// The sessions of others with the same database.
    private static func sessions(_ database: any Database) async throws -> [String] {
        try await database.read { connection in
            try connection.query(selectSessions, []) { row in
                let program = row.text(1)
                return "process \(row.integer(0)) of PostgreSQL, user \(row.text(2)), program \(program.isEmpty ? "unnamed" : program)"
            }
        }
    }

    private static let selectSessions = Statement(
        """
        SELECT pid::bigint, COALESCE(application_name, '')::text, COALESCE(usename::text, '')
        FROM   pg_stat_activity
        WHERE  datname = current_database() AND pid <> pg_backend_pid() AND COALESCE(backend_type, 'client backend') = 'client backend'
        ORDER  BY pid
        """)

    /// The processes that have a file open, as far as this user may see.
    private static func holders(of path: String) -> [String] {
        guard let file = KeptFiles.Identity(of: path) else { return [] }
        let own = getpid()
        let processes: [String]
        do { processes = try FileManager.default.contentsOfDirectory(atPath: "/proc") } catch { return [] }
        return processes.compactMap { name in
            guard let process = pid_t(name), process != own else { return nil }
            let folder = "/proc/\(process)/fd"
            let descriptors: [String]
            // Of another user, or gone since.
            do { descriptors = try FileManager.default.contentsOfDirectory(atPath: folder) } catch { return nil }
            guard descriptors.contains(where: { KeptFiles.Identity(of: "\(folder)/\($0)") == file }) else { return nil }
            let command = FileManager.default.contents(atPath: "/proc/\(process)/comm").map { String(decoding: $0, as: UTF8.self) } ?? ""
            return "process \(process), \(command.trimmingCharacters(in: .whitespacesAndNewlines))"
        }
    }
}
