package import Database
internal import Domain

/// A statement that goes into the append's own transaction, so that what it writes is there exactly when the events are:
/// the contents of chunks.
package struct Write: Sendable {
    package let statement: SetStatement
    package let row: [Value]

    package init(_ statement: SetStatement, _ row: [Value]) {
        self.statement = statement
        self.row = row
    }
}

/// Appending inside one writing transaction in which nobody else writes: SQLite's way.
enum LocalAppend {
    /// Plans a group and appends what is planned. The answer's records stand where they say.
    static func commit(_ submissions: [Submission], _ connection: any Connection) throws -> Plan {
        let view = try LogView(for: submissions, connection)
        var taken: TakenClaims = [:]
        while true {
            let plan = Plan(submissions, view, taken: taken)
            let conflicts = try conflicts(of: plan, connection)
            guard !conflicts.isEmpty else {
                try insert(plan, view, connection)
                return plan
            }
            // Each round learns of a claim that is taken, and no plan makes a claim that is known to be.
            taken.merge(conflicts) { $1 }
        }
    }

    private static func conflicts(of plan: Plan, _ connection: any Connection) throws -> TakenClaims {
        let claims = plan.records.flatMap(\.claims)
        let taken = try EventLog.taken(claims.map(\.claim), connection)
        var conflicts: TakenClaims = [:]
        for claim in claims {
            guard let holder = taken[claim.claim], !(claim.isRepeatable && holder == claim.holder) else { continue }
            conflicts[claim.claim] = holder
        }
        return conflicts
    }

    private static func insert(_ plan: Plan, _ view: LogView, _ connection: any Connection) throws {
        for write in plan.writes { try connection.enqueue(write.statement, rows: [write.row]) }
        try AppendRows(plan.records, keys: view.streams.mapValues(\.key)).write(connection)
    }
}
