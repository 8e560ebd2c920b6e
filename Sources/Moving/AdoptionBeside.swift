package import Database
package import Domain
internal import EventLog
internal import Projections
internal import Replay
internal import Sodium

/// Takes over what an EteSync server has written beside Apus: it went on after its database was adopted.
///
/// Both have written then, and both have acknowledged it, so nothing of either goes. What the log says stays where it is. Rows of
/// the other that are in its way get other ids; stokens that the log has already come by get new names too: who holds one may
/// not have seen what Apus did meanwhile, and is told to sync anew. Then the rest of the log is brought into the tables, and all
/// that the log does not have yet is adopted behind its end, as after a hand-back.
extension AdoptionAgain {
    /// What came of it.
    package enum Outcome: Sendable {
        /// The tables are what the log says.
        case nothing
        /// So many events were appended.
        case adopted(events: Int)
        /// The tables have lost something or have it otherwise, and hold nothing that the log does not.
        case damaged
    }

    /// Takes over what is in the tables and not in the log, in one transaction.
    ///
    /// - Parameters:
    ///   - takesAll: whether rows that are only gone or changed are taken as they are too.
    ///   - begin: what is done first in that transaction: it keeps others from writing.
    /// - Throws: `DatabaseFault`, also where both have written what can be there once; then nothing was changed.
    package func runBeside(
        at time: Timestamp, takesAll: Bool, _ begin: @escaping @Sendable (any Connection) throws -> Void
    ) async throws -> Outcome {
        do {
            return try await database.write { [replay, dialect = database.dialect] connection in
                try begin(connection)
                let faults = try replay.advance(upTo: replay.goal(connection), connection)
                if let fault = faults.first { throw DatabaseFault(.corrupt, fault) }
                let comparison = try replay.compare(connection, dialect, notesAll: true)
                let foreign = try replay.foreign(connection)
                guard !foreign.isEmpty || takesAll else { return comparison.isSame ? .nothing : .damaged }
                var making = try Clearing(connection, replay)
                try making.clear(foreign)
                try making.projectRest()
                _ = try replay.compare(connection, dialect, notesAll: true)
                return .adopted(events: try append(connection, at: time))
            }
        } catch let stop as Replay.Stop { throw DatabaseFault(.corrupt, stop.fault) }
    }
}

/// Makes way for the rest of the log.
private struct Clearing {
    private let connection: any Connection
    private let replay: Replay
    private let head: Position
    private let checkpoint: Position
    private var nextID: Int64
    /// Revisions of the other server that were current.
    private var current: [Int64] = []

    init(_ connection: any Connection, _ replay: Replay) throws {
        self.connection = connection
        self.replay = replay
        head = try EventLog.head(connection).position
        checkpoint = try Checkpoint(connection)?.position ?? .none
        let highest = try connection.first(Adoption.highestOwnID, []) { $0.integer(0) } ?? 0
        nextID = max(head.rawValue, highest) + 1
    }

    /// Gives the rows that are in the way other ids, the stokens in their order.
    mutating func clear(_ foreign: [AdoptedRecord.Kind: [Int64]]) throws {
        for (kind, keys) in foreign where kind != .userKeys {
            for key in keys {
                switch kind {
                case .stoken where key <= head.rawValue: try move(key, of: kind, to: takeID())
                // What is counted by itself comes next in the rest of the log.
                case .chunk, .chunkUse: if checkpoint < head { try move(key, of: kind, to: nextCounted(kind)) }
                default: if key > checkpoint.rawValue, key <= head.rawValue { try move(key, of: kind, to: takeID()) }
                }
            }
        }
        guard checkpoint < head else { return }
        // An item has one current revision: the log's, where both have made one.
        current = try connection.query(Self.selectCurrent, [.integers(keysNow(of: foreign[.revision] ?? []))]) { $0.integer(0) }
        try connection.execute(Self.setAside, [.integers(current)])
    }

    /// Where rows of revisions have gone.
    private var moved: [Int64: Int64] = [:]
    private func keysNow(of keys: [Int64]) -> [Int64] { keys.map { moved[$0] ?? $0 } }

    private mutating func takeID() -> Int64 {
        defer { nextID += 1 }
        return nextID
    }

    private func nextCounted(_ kind: AdoptedRecord.Kind) throws -> Int64 {
        let table = ReadModelTable.of(kind)
        let select = Statement("SELECT COALESCE(max(\(table.key)), 0) FROM \(table.name)")
        let read = { (row: any Row) in row.integer(0) }
        let here = try connection.first(select, [], read) ?? 0
        return max(here, try replay.scratch.writeWithin { try $0.first(select, [], read) } ?? 0) + 1
    }

    private mutating func move(_ key: Int64, of kind: AdoptedRecord.Kind, to id: Int64) throws {
        let table = ReadModelTable.of(kind)
        if kind == .revision { moved[key] = id }
        let values: [Value] = [.integer(key), .integer(id)]
        if kind == .stoken {
            try connection.execute(
                Statement("UPDATE \(table.name) SET id = $2, uid = $3 WHERE id = $1"), values + [.text(Sodium.randomAlphanumerics(32))])
        } else {
            try connection.execute(Statement("UPDATE \(table.name) SET \(table.key) = $2 WHERE \(table.key) = $1"), values)
        }
        for reference in Soundness.references where reference.target == table.name {
            try connection.execute(
                Statement("UPDATE \(reference.table) SET \"\(reference.column)\" = $2 WHERE \"\(reference.column)\" = $1"), values)
        }
    }

    /// Brings the tables to the end of the log.
    func projectRest() throws {
        do {
            try replay.projection.applyRest(connection)
            try connection.execute(Self.putBack, [.integers(current)])
        } catch let fault as DatabaseFault {
            guard case .constraint = fault.kind else { throw fault }
            throw DatabaseFault(
                .constraint,
                "both servers have made what can be there once, an account, a collection or an item of one name: mend it by hand (\(fault))"
            )
        }
    }

    private static let selectCurrent = Statement(
        "SELECT id FROM django_etebase_collectionitemrevision WHERE id IN [$1 bigint] AND current = TRUE")
    private static let setAside = Statement(
        "UPDATE django_etebase_collectionitemrevision SET current = NULL WHERE id IN [$1 bigint]")
    private static let putBack = Statement(
        """
        UPDATE django_etebase_collectionitemrevision
        SET    current = TRUE
        WHERE  id IN [$1 bigint]
        AND    NOT EXISTS (SELECT 1 FROM django_etebase_collectionitemrevision other
                           WHERE other.item_id = django_etebase_collectionitemrevision.item_id AND other.current = TRUE)
        """)
}
