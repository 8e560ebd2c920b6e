package import Database
package import Domain
internal import EventLog
internal import Projections

/// Rows in the original's tables that no event of the log has made: an EteSync server went on writing after its database was
/// adopted, and has acknowledged them. They are never deleted for that: adopting again takes them over.
package enum ForeignRows {
    /// What to do about them, in words.
    package static let remedy =
        "stop the program that writes there besides apus, an EteSync server most likely, and run apus adopt again: it brings in what was written"

    /// Looks for those whose ids the log has not come to yet, so that the next event that would give such an id cannot be written, and
    /// for those whose ids are above what was adopted and below all that Apus has made. Costs a few looks into indexes.
    ///
    /// - Returns: what there is, in words; nil where there is nothing.
    package static func find(_ connection: any Connection) throws -> String? {
        let head = try EventLog.head(connection).position
        let checkpoint = try Checkpoint(connection)
        var found: [String] = []
        for kind in AdoptedRecord.Kind.allCases {
            let last =
                switch kind {
                case .chunk: checkpoint?.lastChunkID
                case .chunkUse: checkpoint?.lastRelationID
                default: head.rawValue
                }
            guard let last else { continue }
            let table = ReadModelTable.of(kind)
            let highest = try connection.first(Statement("SELECT max(\(table.key)) FROM \(table.name)"), []) { $0.integerOrNil(0) } ?? nil
            if let highest, highest > last { found.append("\(table.name) has the id \(highest), and the log has come to \(last)") }
        }
        for (name, last, end) in try connection.query(selectAdopted, [], { ($0.text(0), $0.integer(1), $0.integer(2)) }) {
            guard let table = adopted.first(where: { $0.name == name }) else { continue }
            let select = Statement("SELECT min(\(table.key)) FROM \(name) WHERE \(table.key) > $1 AND \(table.key) <= $2")
            let between = try connection.first(select, [.integer(last), .integer(end)]) { $0.integerOrNil(0) } ?? nil
            if let between { found.append("\(name) has the id \(between), and had ids up to \(last) when it was adopted") }
        }
        return found.isEmpty ? nil : found.joined(separator: "; ")
    }

    /// Notes what there is, in the transaction that adopts it.
    package static func note(_ connection: any Connection) throws {
        let head = Value.integer(try EventLog.head(connection).position.rawValue)
        try connection.execute(Self.deleteAll, [])
        for table in adopted {
            try connection.execute(
                Statement(
                    """
                    INSERT INTO apus_adopted (name, last_id, end_id)
                    SELECT '\(table.name)', COALESCE(max(\(table.key)), 0), $1 FROM \(table.name) WHERE \(table.key) <= $1
                    """), [head])
        }
    }

    /// Those whose ids follow from positions.
    private static let adopted = AdoptedRecord.Kind.allCases.filter { $0 != .chunk && $0 != .chunkUse }.map { ReadModelTable.of($0) }
    private static let selectAdopted = Statement("SELECT name, last_id, end_id FROM apus_adopted ORDER BY name")

    private static let deleteAll = Statement("DELETE FROM apus_adopted")
}

extension Replay {
    /// The rows of the original's tables that no event has made, by their keys, after a comparison that has noted what differs. The
    /// replay is brought to the log's end: what lies behind a checkpoint may still be there.
    package func foreign(_ live: any Connection) throws -> [AdoptedRecord.Kind: [Int64]] {
        var unexpected: [AdoptedRecord.Kind: [Int64]] = [:]
        for kind in AdoptedRecord.Kind.allCases {
            let table = ReadModelTable.of(kind)
            try eachNoted(table) { keys, replayed in
                let known = try table.rows(keys: keys, replayed)
                let found = try table.rows(keys: keys, live).keys.filter { known[$0] == nil }
                if !found.isEmpty { unexpected[kind, default: []] += found.sorted() }
            }
        }
        guard !unexpected.isEmpty else { return [:] }
        _ = try advance(upTo: EventLog.head(live).position, live)
        var foreign: [AdoptedRecord.Kind: [Int64]] = [:]
        for (kind, keys) in unexpected {
            let table = ReadModelTable.of(kind)
            var rest = keys[...]
            while !rest.isEmpty {
                let page = Array(rest.prefix(Self.pageRows))
                rest = rest.dropFirst(page.count)
                let present = try table.rows(keys: page, live)
                let known = try scratch.writeWithin { try table.rows(keys: page, $0) }
                foreign[kind, default: []] += page.filter { key in
                    guard let values = present[key], let wanted = known[key] else { return true }
                    return !table.isSameThing(values, wanted)
                }
            }
        }
        return foreign.filter { !$0.value.isEmpty }
    }
}

extension ReadModelTable {
    /// Whether two rows under one key are of one thing: what names it in the whole table is the same.
    fileprivate func isSameThing(_ one: [Value], _ other: [Value]) -> Bool {
        zip(columns, zip(one, other)).allSatisfy { column, values in
            !["uid", "username"].contains(column.name) || values.0 == values.1
        }
    }
}

extension Replay.Comparison {
    /// Whether there are rows in the original's tables that the log did not have where the comparison was made.
    var hasUnexpected: Bool { tables.contains { $0.counts[.unexpected] != nil && !$0.name.hasPrefix("apus_") } }
}
