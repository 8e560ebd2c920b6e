import Database
import Domain
import Foundation
@testable import Replay
import Schemas
import TestSupport
import Testing

@testable import EventLog
@testable import Projections

/// Runs `body` with an empty database for a replay.
func withScratch<T>(_ body: (SQLiteDatabase) async throws -> T) async throws -> T {
    let scratch = try SQLiteDatabase()
    try await scratch.write { try Schema.create($0, .sqlite) }
    return try await body(scratch)
}

/// On PostgreSQL, where a projector runs beside it, the same is proven by Tests/Cluster/rebuild.py.
@Suite("Rebuilding") struct RebuildTests {
    private func rebuild(_ node: Node, discardsForeign: Bool = true) async throws -> Rebuild.Report {
        try await withScratch {
            try await Rebuild(database: node.database, scratch: $0, stokens: node.stokens, chunks: node.chunks)
                .run(discardsForeign: discardsForeign)
        }
    }

    private func verify(_ node: Node) async throws -> [String] {
        try await withScratch {
            try await Verification(database: node.database, scratch: $0, stokens: node.stokens, chunks: node.chunks).run().faults
        }
    }

    /// Every row, but for SQLite's memory of ids that were once in use.
    private func rows(_ node: Node) async throws -> [String: [String]] { try await node.tables { $0 != "sqlite_sequence" } }

    @Test("changes nothing where all is well", arguments: Engine.projectingInAppend)
    func sound(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            let before = try await rows(node)
            let report = try await rebuild(node)
            #expect(report.found == [] && report.changed == 0 && report.verification.faults == [])
            #expect(report.verification.events > 10 && report.verification.rows > report.verification.events)
            #expect(try await rows(node) == before)
        }
    }

    @Test(
        "brings back what was changed, deleted or added in the tables, and names it", arguments: Engine.projectingInAppend,
        [
            ("UPDATE django_etebase_collectionitemrevision SET meta = X'00'", "collectionitemrevision"),
            ("UPDATE django_etebase_collectionitemrevision SET current = NULL", "collectionitemrevision"),
            ("UPDATE myauth_user SET email = 'somebody', is_active = (id = 1), date_joined = '2001-01-01'", "myauth_user"),
            ("DELETE FROM apus_item", "apus_item"),
            ("DELETE FROM django_etebase_revisionchunkrelation", "revisionchunkrelation"),
            ("INSERT INTO django_etebase_stoken (id, uid) VALUES (-7, 'made-up'), (1000000, 'made-up too')", "2 rows are unexpected"),
            ("UPDATE apus_collection SET member_stoken = member_stoken + 1", "apus_collection"),
            ("UPDATE apus_usage SET bytes = bytes + 1", "apus_usage"),
            ("DELETE FROM apus_chunk_size", "apus_chunk_size"),
            ("UPDATE apus_projection SET position = 0", "checkpoint"),
            ("UPDATE apus_projection SET position = position - 3", "checkpoint"),
            ("UPDATE apus_projection SET position = position + 3", "checkpoint"),
            ("UPDATE apus_projection SET last_chunk_id = 0", "checkpoint"),
            ("DELETE FROM apus_projection", "checkpoint"),
        ])
    func damage(engine: Engine, change: (sql: String, named: String)) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            try await node.meddle(
                """
                INSERT INTO token_auth_authtoken ("key", "created", "expiry", "user_id") VALUES ('a token', '2020-01-01', NULL, 1)
                """)
            try await node.meddle("UPDATE myauth_user SET last_login = '2020-01-01'")
            let before = try await rows(node)
            try await node.meddle(change.sql)
            #expect(try await verify(node) != [])
            let report = try await rebuild(node)
            #expect(report.found.contains { $0.contains(change.named) }, "\(report.found)")
            #expect(report.verification.faults == [])
            let after = try await rows(node)
            for (table, rows) in before { #expect(after[table] == rows, "\(table)") }
            #expect(try await verify(node) == [])
            try await node.create("after", by: UserID(rawValue: 1))
        }
    }

    @Test("looks again at what the log has changed since the comparison", arguments: Engine.projectingInAppend)
    func meanwhile(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            try await withScratch { scratch in
                let replay = try Replay(scratch: scratch, projection: node.projection)
                let compare = { @Sendable () async throws -> Replay.Comparison in
                    try await node.database.read { connection in
                        _ = try replay.advance(upTo: replay.goal(connection), connection)
                        return try replay.compare(connection, node.database.dialect)
                    }
                }
                let comparison = try await compare()
                #expect(comparison.isSame)
                try await node.create("late", by: UserID(rawValue: 1))
                try await node.meddle("DELETE FROM apus_item WHERE id = (SELECT max(id) FROM apus_item)")
                try await node.database.write { connection in
                    _ = try replay.advance(upTo: EventLog.head(connection).position, connection)
                    #expect(try replay.mend(connection, node.database.dialect, after: comparison) == 1)
                }
                #expect(try await compare().isSame)
            }
        }
    }

    @Test("drops the sessions of users whom the log does not know", arguments: Engine.projectingInAppend)
    func strangers(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            let before = try await rows(node)
            try await node.meddle(
                """
                INSERT INTO myauth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
                VALUES (1000, '', 1, 'stranger', '', '', '', 0, 1, '2020-01-01')
                """)
            try await node.meddle(
                """
                INSERT INTO token_auth_authtoken ("key", "created", "expiry", "user_id") VALUES ('a token', '2020-01-01', NULL, 1000)
                """)
            #expect(try await rebuild(node).verification.faults == [])
            #expect(try await rows(node) == before)
        }
    }

    @Test("changes nothing where the log itself cannot be read, and says so", arguments: Engine.projectingInAppend)
    func unreadable(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            try await node.meddle("UPDATE apus_event SET payload = X'00' WHERE position = 5")
            try await node.meddle("DELETE FROM apus_item")
            let before = try await rows(node)
            let report = try await rebuild(node)
            #expect(report.changed == 0 && report.verification.faults.contains { $0.contains("after position") })
            #expect(try await rows(node) == before)
        }
    }

    @Test("says what it cannot bring back", arguments: Engine.projectingInAppend)
    func contents(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            try await node.meddle("DELETE FROM apus_chunk")
            #expect(try await rebuild(node).verification.faults.contains { $0.contains("content") })
        }
    }

    /// What there is besides rows: each index and constraint with its name, as the catalogue defines it.
    private func definitions(_ node: Node) async throws -> [String] {
        try await node.database.read { try $0.query(.definitions, []) { $0.text(0) } }
    }

    private func loseEverything(_ node: Node) async throws {
        try await node.caughtUp()
        try await node.database.write { [dialect = node.database.dialect] connection in
            let names = ReadModelTable.all.map(\.name) + ["token_auth_authtoken"]
            switch dialect {
            case .sqlite: for name in names { try connection.run(script: "DELETE FROM \(name)") }
            case .postgres: try connection.run(script: "TRUNCATE \(names.joined(separator: ", ")) CASCADE")
            }
        }
    }

    private func projected(_ node: Node) async throws -> [String: [String]] {
        try await node.tables { name in ReadModelTable.all.contains { $0.name == name } }
    }

    @Test("makes the indexes and constraints of what was lost last, and as they were", arguments: Engine.all)
    func indexesLast(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            let before = (try await projected(node), try await definitions(node))
            try await loseEverything(node)
            let report = try await withScratch { scratch in
                var rebuild = try Rebuild(database: node.database, scratch: scratch, stokens: node.stokens, chunks: node.chunks)
                rebuild.leastRows = 1
                return try await rebuild.run()
            }
            #expect(report.verification.faults == [] && report.changed > 10)
            #expect(try await projected(node) == before.0)
            #expect(before.1.count > 30)
            #expect(try await definitions(node) == before.1)
        }
    }

    @Test("says which rule of the tables a log breaks, and leaves the tables as they are", arguments: Engine.all, [false, true])
    func brokenRule(engine: Engine, isLost: Bool) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            try await node.meddle("DELETE FROM apus_item")
            if isLost { try await loseEverything(node) }
            // Another item of the collection has the uid of one that is there.
            try await node.database.write { connection in
                let items = (1...2).map { id in
                    AdoptedRecord(
                        kind: .item, id: 1_000_000 + id,
                        fields: [.init("version", .number(1)), .init("collection_id", .number(1)), .init("uid", .text("twice"))])
                }
                var log = try AdoptionAppend(connection, at: Timestamp(rawValue: 1))
                try log.append(RecordsAdopted(owner: .collection(notes), records: items))
                _ = try log.finish()
            }
            let before = (try await lines(node), try await definitions(node))
            let report = try await withScratch { scratch in
                var rebuild = try Rebuild(database: node.database, scratch: scratch, stokens: node.stokens, chunks: node.chunks)
                if isLost { rebuild.leastRows = 1 }
                return try await rebuild.run()
            }
            #expect(report.changed == 0 && report.found == [])
            let fault = try #require(report.verification.faults.first { $0.contains("breaks a rule") })
            if isLost || engine == .postgres { #expect(fault.contains("uid_collection_id_927d3c7a_uniq")) }
            #expect(try await lines(node) == before.0)
            #expect(try await definitions(node) == before.1)
        }
    }

    /// The rows as they are, however far the log is.
    private func lines(_ node: Node) async throws -> [[String]] {
        try await node.database.read { connection in
            try ReadModelTable.all.map { table in try table.rows(after: 0, limit: 1000, connection).map { "\($0.key) \($0.values)" } }
        }
    }
}
