import Database
import Domain
import Foundation
import Schemas
import TestSupport
import Testing

@testable import EventLog
@testable import Projections

/// Runs `body` with an empty database for a replay.
func withScratch<T>(_ body: (SQLiteDatabase) async throws -> T) async throws -> T {
    let folder = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let scratch = try SQLiteDatabase(path: folder.appending(path: "replay").path())
    try await scratch.write { try Schema.create($0, .sqlite) }
    return try await body(scratch)
}

/// On PostgreSQL, where a projector runs beside it, the same is proven by Tests/Cluster/rebuild.py.
@Suite("Rebuilding") struct RebuildTests {
    private func rebuild(_ node: Node) async throws -> Rebuild.Report {
        try await withScratch { try await Rebuild(database: node.database, scratch: $0, stokens: node.stokens, chunks: node.chunks).run() }
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
            ("INSERT INTO django_etebase_stoken (id, uid) VALUES (-7, 'made-up'), (1000000, 'made-up too')", "2 unexpected"),
            ("UPDATE apus_collection SET member_stoken = member_stoken + 1", "apus_collection"),
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
                let compare = { @Sendable () async throws -> Bool in
                    try await node.database.read { connection in
                        _ = try replay.advance(allTo: replay.goal(connection), connection)
                        return try replay.compare(connection, node.database.dialect).isSame
                    }
                }
                #expect(try await compare())
                try await node.create("late", by: UserID(rawValue: 1))
                try await node.meddle("DELETE FROM apus_item WHERE id = (SELECT max(id) FROM apus_item)")
                try await node.database.write { connection in
                    _ = try replay.advance(allTo: EventLog.head(connection).position, connection)
                    #expect(try replay.mend(connection) == 1)
                }
                #expect(try await compare())
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
}
