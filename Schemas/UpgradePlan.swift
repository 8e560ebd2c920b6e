package import Database

/// What an upgrade of a database would do.
package struct UpgradePlan: Equatable, Sendable {
    package struct Step: Equatable, Sendable {
        package let version: Int64
        /// What it does, in words.
        package let summary: String
        /// The first release whose processes may run beside; nil where all may.
        package let bearableFrom: String?
    }

    /// The version that the database has.
    package let found: Int64
    /// The version that this program makes.
    package let newest: Int64
    package let steps: [Step]
    /// Who serves the database now, in words; nil where it cannot know yet.
    package let processes: [String]?
    /// Those of them that a step would take something from.
    package let inTheWay: [String]
}

extension Schema {
    /// What ``create(_:_:)`` would do; changes nothing.
    ///
    /// - Returns: nil where there are no tables yet.
    /// - Throws: `DatabaseFault` as ``check(_:)``.
    package static func plan(_ connection: any Connection) throws -> UpgradePlan? {
        try plan(connection, upgrades: upgrades)
    }

    static func plan(_ connection: any Connection, upgrades: [Upgrade]) throws -> UpgradePlan? {
        let newest = upgrades.last?.version ?? 1
        guard let found = try check(connection, newest: newest) else { return nil }
        let pending = upgrades.filter { $0.version > found }
        let processes = found < firstWithProcesses ? nil : try serving(connection)
        return UpgradePlan(
            found: found, newest: newest,
            steps: pending.map { .init(version: $0.version, summary: $0.summary, bearableFrom: $0.bearableFrom) },
            processes: processes?.map(\.words), inTheWay: (processes ?? []).filter { !$0.bears(pending) }.map(\.words))
    }

    /// - Throws: `DatabaseFault` where a process still serves the database that one of the upgrades would take something from.
    static func requireBearable(_ pending: [Upgrade], of found: Int64, _ connection: any Connection) throws {
        guard found >= firstWithProcesses, let first = pending.first(where: { $0.bearableFrom != nil }) else { return }
        let inTheWay = try serving(connection).filter { !$0.bears(pending) }
        guard !inTheWay.isEmpty else { return }
        throw DatabaseFault(
            .corrupt,
            """
            schema \(first.version) takes away what programs before \(first.bearableFrom ?? "") need, and one still serves the database \
            (\(inTheWay.map(\.words).joined(separator: "; "))): end it first
            """)
    }

    /// Processes note themselves since this version.
    private static let firstWithProcesses: Int64 = 6

    private static func serving(_ connection: any Connection) throws -> [Serving] {
        try connection.query(selectServing, []) { Serving(roles: $0.text(0), address: $0.textOrNil(1), version: $0.text(2)) }
    }

    private static let selectServing = Statement(
        """
        SELECT roles, address, version
        FROM   apus_process
        WHERE  roles <> 'doctor' AND expires_at >
               {sqlite: CAST(strftime('%s', 'now') AS INTEGER) * 1000000}
               {postgres: (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint}
        ORDER  BY started_at, process
        """)
}

/// A process that serves the database, as it has noted itself.
private struct Serving {
    let roles: String
    let address: String?
    let version: String

    var words: String { "\(roles)\(address.map { " at \($0)" } ?? ""), \(version)" }

    func bears(_ upgrades: [Schema.Upgrade]) -> Bool {
        upgrades.allSatisfy { upgrade in
            guard let needed = upgrade.bearableFrom else { return true }
            return !Self.numbers(version).lexicographicallyPrecedes(Self.numbers(needed))
        }
    }

    /// The numbers of a release, as `0.1.0` or `0.1.0 (commit)`; one that has none is before all others.
    private static func numbers(_ version: String) -> [Int] {
        version.prefix { $0 != " " }.split(separator: ".").map { Int($0) ?? -1 }
    }
}
