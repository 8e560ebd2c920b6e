import Database
import Domain
@testable import Replay
import Testing

@testable import EventLog
@testable import Projections

@Suite("Verifying") struct VerificationTests {
    private func report(_ engine: Engine, after meddling: String? = nil) async throws -> Verification.Report {
        try await engine.node { node in
            try await node.wholeHistory()
            try await node.caughtUp()
            if let meddling { try await node.meddle(meddling) }
            return try await withScratch { scratch in
                try await Verification(database: node.database, scratch: scratch, stokens: node.stokens, chunks: node.chunks).run()
            }
        }
    }

    @Test("a database that nobody has changed is well", arguments: Engine.all)
    func sound(engine: Engine) async throws {
        let report = try await report(engine)
        #expect(report.faults == [])
        #expect(report.events > 10 && report.rows > report.events)
    }

    @Test(
        "what was changed in the tables, the log or beside it is named", arguments: Engine.all,
        [
            (
                "UPDATE django_etebase_collectionitemrevision SET meta = X'00' WHERE id = (SELECT max(id) FROM django_etebase_collectionitemrevision)",
                "collectionitemrevision"
            ),
            ("DELETE FROM apus_item WHERE id = (SELECT min(id) FROM apus_item)", "apus_item"),
            ("UPDATE apus_collection SET member_stoken = member_stoken + 1", "apus_collection"),
            ("UPDATE myauth_user SET email = 'other@example.com' WHERE id = 1", "myauth_user differs from the log at id 1"),
            ("DELETE FROM apus_event WHERE position = 3", "position 3 is missing"),
            ("UPDATE apus_event SET previous = 0 WHERE position = (SELECT max(position) FROM apus_event)", "does not follow"),
            ("UPDATE apus_event SET payload = X'00' WHERE position = 5", "after position"),
            ("UPDATE apus_event SET epoch = 2 WHERE position = 5", "position 5 is of epoch 2"),
            ("INSERT INTO apus_epoch (epoch, first_position) VALUES (2, 9)", "position 9 is of epoch 1"),
            ("UPDATE apus_stream SET head = 0", "head"),
            ("DELETE FROM apus_claim WHERE key = (SELECT min(key) FROM apus_claim)", "claim"),
            ("DELETE FROM apus_chunk", "content"),
        ])
    func meddling(engine: Engine, change: (sql: String, named: String)) async throws {
        let faults = try await report(engine, after: change.sql).faults
        #expect(faults.contains { $0.contains(change.named) }, "\(faults)")
    }

    @Test("comes to the same, whatever the pages in which the log is read", arguments: Engine.all, [1, 3, 20])
    func pages(engine: Engine, pageEvents: Int) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            try await node.caughtUp()
            let report = { () async throws -> Verification.Report in
                try await withScratch { scratch in
                    var verification = try Verification(
                        database: node.database, scratch: scratch, stokens: node.stokens, chunks: node.chunks)
                    verification.replay.pageEvents = pageEvents
                    return try await verification.run()
                }
            }
            let events = try await node.log().count
            let sound = try await report()
            #expect(sound.faults == [] && sound.events == events && events > 20)
            try await node.meddle("UPDATE apus_event SET previous = 0 WHERE position = (SELECT max(position) FROM apus_event)")
            #expect(try await report().faults == ["log: position \(events) does not follow its stream's last event"])
        }
    }
}
