import Database
import Domain
import Projections
import ReadModel
import TestSupport
import Testing

@testable import EventLog

/// Whether a table is made from the log's events: not the log itself, nor what lies beside it.
private func isProjected(_ table: String) -> Bool {
    ![
        "apus_log", "apus_epoch", "apus_event", "apus_stream", "apus_stream_event", "apus_claim", "apus_chunk",
        "apus_seal", "apus_redaction", "apus_session", "token_auth_authtoken",
    ].contains(table)
}

@Suite("Replaying the log") struct ReplayTests {
    @Test("into a fresh database gives the same tables, whatever the batches", arguments: Engine.all, [1, 7, 1000])
    func rebuild(engine: Engine, batch: Int) async throws {
        try await engine.place { place in
            let rebuilt = try await place.node("two")
            try await place.node().running { node in
                try await node.wholeHistory()
                let log = try await node.expectSoundLog()
                // But for what comes with an adoption.
                let types = Set(EventType.allCases).subtracting([.recordsAdopted])
                #expect(Set(log.map(\.event.type)) == types, "every type happened")
                var position = Position.none
                while position.rawValue < log.count {
                    let events = try await node.database.read { [position] connection in
                        try EventLog.events(after: position, limit: batch, connection)
                    }
                    try await rebuilt.database.write { connection in try rebuilt.projection.apply(events, connection) }
                    position = try #require(events.last).position
                }
                let (original, copy) = (try await node.tables(where: isProjected), try await rebuilt.tables(where: isProjected))
                #expect(Set(original.keys) == Set(copy.keys))
                #expect(try #require(original["django_etebase_collectionitemrevision"]).count > 5)
                for (table, rows) in original { #expect(rows == copy[table], "\(table)") }
            }
        }
    }

    @Test("gives the state that the read model gives, after each event", arguments: Engine.all)
    func states(engine: Engine) async throws {
        try await engine.place { place in
            let rebuilt = try await place.node("two")
            try await place.node().running { node in
                try await node.wholeHistory()
                var states = Dictionary(
                    uniqueKeysWithValues: ["notes", "tests", "bens", "tests2"].map { (CollectionUID($0), CollectionState(uid: .init($0))) })
                for record in try await node.expectSoundLog() {
                    try await rebuilt.database.write { connection in try rebuilt.projection.apply([record], connection) }
                    for uid in states.keys where record.streams.contains(.collection(uid)) {
                        states[uid]?.evolve(record.event, at: record.position)
                    }
                    for state in states.values { try await expect(rebuilt, toHave: state) }
                }
            }
        }
    }

    private func expect(_ node: Node, toHave state: CollectionState) async throws {
        try await node.readModel.snapshot { snapshot in
            let needs = CollectionNeeds(
                state.uid, items: state.etags.keys + ["no-item"], revisions: state.revisions.keys + ["no-revision"],
                chunks: state.chunks + ["no-chunk"])
            let read = try snapshot.state(needs)
            #expect(read.owner == state.owner)
            #expect(read.revisionStoken == state.revisionStoken)
            #expect(read.members == state.members)
            #expect(read.invitations == state.invitations)
            #expect(read.etags == state.etags)
            #expect(read.revisions == state.revisions)
            #expect(read.chunks == state.chunks)
            // What is served, and so what clients expect the stoken to be.
            // One that is only half adopted has none yet, and is not served.
            guard state.stoken > .none else { return }
            let stoken = try snapshot.stoken(at: state.stoken)
            for user in state.members.keys { #expect(try snapshot.collection(state.uid, of: user, .medium).stoken == stoken) }
        }
    }

    @Test("a reset is felt in every collection that it concerns", arguments: Engine.all)
    func reset(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            let log = try await node.log()
            let reset = try #require(log.first { if case .userReset = $0.event { true } else { false } })
            #expect(Set(reset.streams) == [.user(UserID(rawValue: 5)), .collection(notes), .collection("tests"), .collection("bens")])
        }
    }
}

@Suite("Payloads in the log") struct PayloadTests {
    @Test("are unreadable without their stream's key, and those of other streams are not touched by that", arguments: Engine.all)
    func destroyedKey(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            _ = try await node.user("eve")
            try await node.create(notes, by: ada)
            try await node.meddle("UPDATE apus_stream SET key = NULL WHERE name = 'user/2'")
            await #expect(throws: LogFault.unreadable(Position(rawValue: 2))) { try await node.log() }
            let readable = try await node.database.read { connection in
                [
                    try EventLog.events(after: .none, limit: 1, connection),
                    try EventLog.events(after: Position(rawValue: 2), limit: 10, connection),
                    try EventLog.events(touching: .collection(notes), after: .none, connection),
                ]
            }
            #expect(readable.map(\.count) == [1, 2, 2])
            try await node.meddle("UPDATE apus_stream SET key = X'\(String(repeating: "00", count: 32))' WHERE name = 'user/2'")
            await #expect(throws: LogFault.unreadable(Position(rawValue: 2))) { try await node.log() }
            try await node.commit(OfferedItem("a", "a-1"), by: ada)
        }
    }

    @Test("hold nothing in clear", arguments: Engine.all)
    func sealed(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("a-name-to-be-found")
            try await node.create(notes, by: ada)
            let rows = try await node.tables { ["apus_event", "apus_stream"].contains($0) }.values.joined()
            let name = "a-name-to-be-found".utf8.map { String($0, radix: 16, uppercase: true) }.joined()
            #expect(rows.contains { $0.contains("payload=X'") })
            #expect(!rows.contains { $0.contains(name) || $0.contains("a-name-to-be-found") })
        }
    }

    @Test("a changed payload, an unknown type and a later version stop the reader", arguments: Engine.all)
    func stops(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await node.meddle("UPDATE apus_event SET version = 2 WHERE position = 3")
            await #expect(throws: LogFault.unknownEvent(type: "MemberJoined", version: 2)) { try await node.log() }
            try await node.meddle("UPDATE apus_event SET type = 'MemberDanced' WHERE position = 2")
            await #expect(throws: LogFault.unknownEvent(type: "MemberDanced", version: 1)) { try await node.log() }
            try await node.meddle("UPDATE apus_event SET payload = X'00' WHERE position = 1")
            await #expect(throws: LogFault.unreadable(Position(rawValue: 1))) { try await node.log() }
        }
    }

    @Test("an event whose stream has lost its row stops the reader too", arguments: Engine.all)
    func lostStream(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await node.meddle("DELETE FROM apus_stream WHERE name = 'user/1'")
            await #expect(throws: LogFault.unreadable(Position(rawValue: 1))) { try await node.log() }
        }
    }
}
