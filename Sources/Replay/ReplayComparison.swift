package import Database
internal import Domain
internal import EventLog
package import Projections

extension Replay {
    /// What was found at one moment.
    package struct Comparison: Sendable {
        struct Table: Sendable {
            let name: String
            let key: String
            /// Which event has made the first row that differs, in words; empty where that is not known.
            var maker = ""
            var counts: [ReadModelTable.Difference: Int] = [:]
            var first: Int64 = 0
            /// How many rows there are.
            var rows = 0
            /// Whether all is missing; then no row is noted.
            var isEmpty: Bool { rows == 0 }

            /// How many rows it has lost, where these are most of them; else none.
            var lost: Int { counts[.missing, default: 0] >= rows ? counts[.missing, default: 0] : 0 }
        }

        var position = Position.none
        var rows = 0
        /// What is wrong with the checkpoint, in words.
        var checkpoint: String?
        /// The tables that differ.
        var tables: [Table] = []
        /// Whether it is counted what collections hold; where not, it is not compared: a server will.
        var isCounted = true

        package var isSame: Bool { checkpoint == nil && tables.isEmpty }
    }

    /// Compares the live tables with the replay, which is brought to where they are, and notes the rows that differ.
    ///
    /// - Parameter notesAll: whether rows are noted of tables, too, of which nothing is left: ``mend(_:_:after:leastRows:)`` has no use
    ///   for them.
    package func compare(_ live: any Connection, _ dialect: Dialect, notesAll: Bool = false) throws -> Comparison {
        var comparison = Comparison()
        let (head, checkpoint) = (try EventLog.head(live).position, try Checkpoint(live))
        comparison.position = try position()
        comparison.isCounted = try checkpoint == nil || Counting.isDone(live)
        try scratch.writeWithin { connection in
            try connection.execute(Self.deleteNotes, [])
            try ReplayTables.noteChanges(connection)
            let replayed = try Checkpoint(connection)
            switch checkpoint {
            case nil: comparison.checkpoint = "there is no checkpoint"
            case let found? where found.position > head:
                comparison.checkpoint = "the checkpoint is \(found.position.rawValue), and the log ends at \(head.rawValue)"
            case let found? where dialect == .sqlite && found.position != head:
                comparison.checkpoint = "the checkpoint is \(found.position.rawValue), and should be \(head.rawValue)"
            case let found? where found != replayed: comparison.checkpoint = "the checkpoint differs from the log"
            default: break
            }
            for table in ReadModelTable.all where comparison.isCounted || !ReadModelTable.counted.contains(table.name) {
                var differing = Comparison.Table(name: table.name, key: table.key)
                // Where nothing is left there is nothing to compare, and nothing to note.
                if !notesAll, let first = try table.rows(after: .min, limit: 1, connection).first,
                    try table.rows(after: .min, limit: 1, live).isEmpty
                {
                    differing.first = first.key
                    differing.counts[.missing] = try table.count(connection)
                    comparison.tables.append(differing)
                    continue
                }
                differing.rows = try table.compare(live, connection) { key, difference in
                    if differing.counts.isEmpty { differing.first = key }
                    differing.counts[difference, default: 0] += 1
                    try connection.execute(Self.insertNote, [.text(table.name), .integer(key)])
                }
                comparison.rows += differing.rows
                if !differing.counts.isEmpty { comparison.tables.append(differing) }
            }
        }
        return comparison
    }

    /// Brings the live tables to where the replay is, in the caller's writing transaction: the rows that were noted. Tables that
    /// have lost most of their rows are filled without their indexes, which are made again when the rows are there.
    ///
    /// - Parameters:
    ///   - comparison: what was found when the rows were noted.
    ///   - leastRows: how many rows a table must have lost for that.
    /// - Returns: how many rows were changed.
    /// - Throws: `DatabaseFault`, of the kind `constraint` where what the log says cannot stand in the tables.
    func mend(
        _ live: any Connection, _ dialect: Dialect, after comparison: Comparison, leastRows: Int = BareTables.leastRows
    ) throws -> Int {
        let lost = Set(comparison.tables.filter { $0.lost >= leastRows }.map(\.name))
        let empty = Set(comparison.tables.filter(\.isEmpty).map(\.name))
        var bare = try BareTables(lost, live, dialect)
        return try scratch.writeWithin { connection in
            var changed = 0
            // What has to go goes first, so that nothing that comes finds its unique values taken. Foreign keys are looked at
            // when the transaction ends.
            for table in ReadModelTable.all {
                if empty.contains(table.name) {
                    try table.eachPage(live) { page in changed += try remove(page.map(\.key), table, live, connection) }
                } else {
                    changed += try eachNoted(table, connection) { keys in try remove(keys, table, live, connection) }
                }
            }
            for table in ReadModelTable.all {
                try bare.willFill(table.name)
                if empty.contains(table.name) {
                    let isStillEmpty = try table.rows(after: .min, limit: 1, live).isEmpty
                    try table.eachPage(connection) { page in
                        changed += try restore(page, present: isStillEmpty ? [:] : table.rows(keys: page.map(\.key), live), table, live)
                    }
                } else {
                    changed += try eachNoted(table, connection) { keys in
                        let wanted = try table.rows(keys: keys, connection).map { (key: $0.key, values: $0.value) }
                        return try restore(wanted.sorted { $0.key < $1.key }, present: table.rows(keys: keys, live), table, live)
                    }
                }
                try bare.didFill(table.name)
            }
            try bare.finish()
            try live.execute(Self.deleteTokens, [])
            guard let checkpoint = try Checkpoint(connection) else {
                throw DatabaseFault(.corrupt, "the replay has no checkpoint row")
            }
            try checkpoint.save(live)
            if comparison.isCounted { try Counting.note(checkpoint.position, live) }
            return changed
        }
    }

    private func eachNoted(_ table: ReadModelTable, _ connection: any Connection, _ body: ([Int64]) throws -> Int) throws -> Int {
        var changed = 0
        var last = Int64.min
        while true {
            let keys = try connection.query(
                Self.selectNotes, [.text(table.name), .integer(last), .integer(Int64(Self.pageRows))]
            ) { $0.integer(0) }
            guard let next = keys.last else { return changed }
            changed += try body(keys)
            last = next
        }
    }

    /// Goes through the keys of a table that were noted, page by page, with the replay.
    package func eachNoted(_ table: ReadModelTable, _ body: ([Int64], any Connection) throws -> Void) throws {
        try scratch.writeWithin { connection in
            _ = try eachNoted(table, connection) { keys in
                try body(keys, connection)
                return 0
            }
        }
    }

    private func remove(
        _ keys: [Int64], _ table: ReadModelTable, _ live: any Connection, _ replayed: any Connection
    ) throws -> Int {
        let (present, wanted) = (try table.rows(keys: keys, live), try table.rows(keys: keys, replayed))
        let unexpected = present.keys.filter { wanted[$0] == nil }
        let different = present.filter { key, values in wanted[key].map { $0 != values } ?? false }.map(\.key)
        guard let parked = table.parked else {
            // Those that are different are inserted again.
            try table.delete(keys: unexpected + different, live)
            return unexpected.count
        }
        try table.delete(keys: unexpected, live)
        try live.enqueue(
            Statement("UPDATE \(table.name) SET \(parked) = ' ' || \(table.key) WHERE \(table.key) IN [$1 bigint]"),
            [.integers(different)])
        return unexpected.count
    }

    private func restore(
        _ wanted: [ReadModelTable.Line], present: [Int64: [Value]], _ table: ReadModelTable, _ live: any Connection
    ) throws -> Int {
        let missing = wanted.filter { present[$0.key] == nil }
        let different = wanted.filter { key, values in present[key].map { $0 != values } ?? false }
        try table.insert(missing, live)
        for line in different { try table.update(line, live) }
        return missing.count + different.count
    }

    private static let insertNote = Statement("INSERT OR IGNORE INTO replay_note (name, row_key) VALUES ($1, $2)")

    private static let selectNotes = Statement(
        "SELECT row_key FROM replay_note WHERE name = $1 AND row_key > $2 ORDER BY row_key LIMIT $3")

    /// Sessions of users of whom the log knows nothing.
    private static let deleteTokens = Statement(
        "DELETE FROM token_auth_authtoken WHERE user_id NOT IN (SELECT id FROM myauth_user)")

    private static let deleteNotes = Statement("DELETE FROM replay_note")
}
