import Database
import Domain
import TestSupport
import Testing

@testable import EventLog

extension Node {
    /// Expects what DESIGN §2 promises of positions, epochs, streams and heads, and answers with the log.
    @discardableResult
    func expectSoundLog() async throws -> [RecordedEvent] {
        try await caughtUp()
        let log = try await log()
        #expect(log.map(\.position.rawValue) == Array(1...Int64(log.count)), "positions are dense")
        #expect(log.allSatisfy { $0.epoch == 1 })
        var heads: [StreamID: Position] = [:]
        for record in log {
            #expect(record.previous == heads[record.stream] ?? .none, "previous is where the stream last changed")
            for stream in record.streams { heads[stream] = record.position }
        }
        let (stored, head, position) = try await database.read { connection in
            (
                try connection.query(Statement("SELECT name, head FROM apus_stream"), []) { row in
                    "\(row.text(0)) \(row.integer(1))"
                }, try EventLog.head(connection),
                try connection.first(Statement("SELECT position FROM apus_projection"), []) { $0.integer(0) }
            )
        }
        #expect(Set(stored) == Set(heads.map { "\($0.key.name.rawValue) \($0.value.rawValue)" }))
        #expect(head == LogHead(position: Position(rawValue: Int64(log.count)), epoch: 1))
        #expect(position == Int64(log.count), "the read model is where the log ends")
        return log
    }
}

extension [RecordedEvent] {
    var revisions: [RevisionUID] { compactMap { $0.event.made?.revision.uid } }
}

@Suite("Appending") struct AppendingTests {
    @Test("positions are dense, and each stream is chained through all that touches it", arguments: Engine.all)
    func positions(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            #expect(ada.rawValue == 1, "a user's id is the position of its event")
            let ben = try await node.user("ben")
            let created = try await node.create(notes, by: ada)
            #expect(created.map(\.position.rawValue) == [3, 4])
            try await node.create("other", by: ben)
            let batch = try await node.commit(OfferedItem("a", "a-1"), OfferedItem("b", "b-1"), by: ada)
            #expect(batch.map(\.position.rawValue) == [7, 8])
            try await node.commit(
                SendInvitation(
                    collection: notes, author: ada, invitation: "i1", version: 1, invitee: ben, level: .readOnly,
                    signedEncryptionKey: []), by: ada)
            try await node.commit(OfferedItem("x", "x-1"), to: "other", by: ben)
            try await node.commit(ChangeUserActivity(username: "ben", isActive: false))

            let log = try await node.expectSoundLog()
            // The invitation at 9 moved Ben's stream, so the next event of that stream, at 11, follows on it.
            #expect(log.last?.stream == .user(ben) && log.last?.previous.rawValue == 9)
            let touching = try await node.database.read { connection in
                try EventLog.events(touching: .user(ben), after: .none, connection).map(\.position.rawValue)
            }
            #expect(touching == [2, 6, 9, 11])
        }
    }

    @Test("what is read back is what was appended, with actor, session and time", arguments: Engine.all)
    func readBack(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            let appended = try await node.create(notes, by: ada)
            let log = try await node.log().suffix(2)
            #expect(log.map(\.event) == appended.map(\.event))
            #expect(log.map(\.occurredAt) == [noon, noon])
            #expect(log.map(\.actor.user) == [ada, ada] && log.map(\.actor.session) == ["s1", "s1"])
        }
    }

    @Test("collections whose uids only look alike are two", arguments: Engine.all)
    func lookAlikes(engine: Engine) async throws {
        try await engine.node { node in
            let (composed, decomposed) = (CollectionUID("\u{e9}"), CollectionUID("e\u{301}"))
            let ada = try await node.user("ada")
            let eve = try await node.user("eve")
            try await node.adoptCollection(composed, by: ada)
            try await node.adoptCollection(decomposed, by: eve)
            try await node.commit(OfferedItem("a", "a-1"), to: composed, by: ada)
            try await node.commit(OfferedItem("a", "a-2"), to: decomposed, by: eve)
            await #expect(throws: Refusal.doesNotExist(.collection)) {
                try await node.commit(OfferedItem("b", "b-1"), to: composed, by: eve)
            }
            let log = try await node.expectSoundLog()
            #expect(log.filter { $0.stream == .collection(composed) }.revisions == ["\u{e9}-1", "a-1"])
            #expect(log.filter { $0.stream == .collection(decomposed) }.revisions == ["e\u{301}-1", "a-2"])
        }
    }

    @Test("every acknowledged write of 32 writers is there once, on one collection and on several", arguments: Engine.all, [1, 5])
    func writers(engine: Engine, collections: Int) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            let uids = (0..<collections).map { CollectionUID("c\($0)") }
            for uid in uids { try await node.create(uid, by: ada) }
            let acknowledged = try await withThrowingTaskGroup(of: [RecordedEvent].self) { group in
                for writer in 0..<32 {
                    group.addTask {
                        var records: [RecordedEvent] = []
                        for round in 0..<4 {
                            // An item of the writer's own, and one that all of them revise.
                            let items = [
                                OfferedItem(ItemUID("w\(writer)-\(round)"), RevisionUID("own-\(writer)-\(round)")),
                                OfferedItem("shared", RevisionUID("shared-\(writer)-\(round)")),
                            ]
                            records += try await node.commit(CommitItems(items, to: uids[writer % uids.count], by: ada))
                        }
                        return records
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(acknowledged.count == 32 * 4 * 2)
            let log = try await node.expectSoundLog()
            let byPosition = Dictionary(uniqueKeysWithValues: log.map { ($0.position, $0.event) })
            #expect(acknowledged.allSatisfy { byPosition[$0.position] == $0.event })
            #expect(log.revisions.count == acknowledged.count + uids.count && Set(log.revisions).count == log.revisions.count)
        }
    }

    @Test("processes that share a database interleave", arguments: Engine.all)
    func processes(engine: Engine) async throws {
        try await engine.place { place in
            let (first, second) = (try await place.node(), try await place.node())
            try await first.running { first in
                try await second.running { second in
                    let ada = try await first.user("ada")
                    try await second.create(notes, by: ada)
                    let acknowledged = try await withThrowingTaskGroup(of: [RecordedEvent].self) { group in
                        for writer in 0..<16 {
                            let node = writer.isMultiple(of: 2) ? first : second
                            group.addTask {
                                var records: [RecordedEvent] = []
                                for round in 0..<4 {
                                    let item = OfferedItem("shared", RevisionUID("r-\(writer)-\(round)"))
                                    records += try await node.commit(CommitItems([item], by: ada))
                                }
                                return records
                            }
                        }
                        return try await group.reduce(into: []) { $0 += $1 }
                    }
                    let logs = [try await first.expectSoundLog(), try await second.expectSoundLog()]
                    #expect(logs[0].map(\.event) == logs[1].map(\.event))
                    #expect(Set(acknowledged.revisions).union(["notes-1"]) == Set(logs[0].revisions))
                    #expect(logs[0].count == 3 + 16 * 4)
                }
            }
        }
    }
}
