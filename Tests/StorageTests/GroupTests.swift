import Database
import Domain
import EventLog
import Projections
import ReadModel
import Synchronization
import TestSupport
import Testing

@Suite("Groups of submissions") struct GroupTests {
    /// How many events each append came to.
    private final class Batches: Sendable {
        let sizes = Mutex<[Int]>([])
    }

    @Test("a refused one changes nothing for the others, and each sees those before it", arguments: Engine.all)
    func refused(engine: Engine) async throws {
        try await engine.place { place in
            let batches = Batches()
            let node = try await place.node(appended: { count in batches.sizes.withLock { $0.append(count) } })
            try await node.running { node in
                let ada = try await node.user("ada")
                let eve = try await node.user("eve")
                try await node.create(notes, by: ada)
                let answers = await node.commit(group: [
                    try await node.submission(CommitItems([OfferedItem("a", "a-1"), OfferedItem("b", "b-1")], by: ada)),
                    try await node.submission(CommitItems([OfferedItem("c", "c-1")], by: eve)),
                    // Its author read that there is no item `a`; the group's first submission has made one.
                    try await node.submission(CommitItems([OfferedItem("a", "a-2")], by: ada, checksEtags: true)),
                    try await node.submission(CommitItems([OfferedItem("a", "a-3")], by: ada)),
                    try await node.submission(CommitItems([OfferedItem("a", "a-1"), OfferedItem("b", "b-1")], by: ada)),
                ])
                #expect(try answers[0].get().map(\.position.rawValue) == [5, 6])
                #expect(throws: Refusal.doesNotExist(.collection)) { try answers[1].get() }
                let stale = FieldError(.item("a"), .wrongEtag(current: "a-1", given: nil))
                #expect(throws: Refusal.itemsFailed([stale])) { try answers[2].get() }
                #expect(try answers[3].get().map(\.position.rawValue) == [7])
                #expect(try answers[4].get().isEmpty, "a-1 is in the history by now")
                #expect(batches.sizes.withLock { $0 } == [1, 1, 2, 3], "the group was one transaction")
                #expect(try await node.expectSoundLog().revisions == ["notes-1", "a-1", "b-1", "a-3"])
            }
        }
    }

    @Test(
        "that the database refuses are remembered, for those who ask whether it can be written; that it was away is not, once it is back",
        arguments: Engine.projectingLater)
    func remembered(engine: Engine) async throws {
        try await engine.place { place in
            let node = try await place.node()
            try await node.running { node in
                let ada = try await node.user("ada")
                try await node.create(notes, by: ada)
                for (fails, isRemembered) in [
                    ("RAISE EXCEPTION USING ERRCODE = 'disk_full'", true),
                    ("PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(60)", false),
                ] {
                    try await node.database.write { connection in
                        try connection.run(
                            script: """
                                CREATE OR REPLACE FUNCTION fails() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN \(fails); RETURN NULL; END $$;
                                CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON apus_event EXECUTE FUNCTION fails();
                                """)
                    }
                    await #expect(throws: DatabaseFault.self) { try await node.commit(OfferedItem("a", "a-1"), by: ada) }
                    #expect((node.committer.failed != nil) == isRemembered)
                }
                try await node.database.write { try $0.run(script: "DROP TRIGGER fails ON apus_event") }
                try await node.commit(OfferedItem("a", "a-1"), by: ada)
                #expect(node.committer.failed == nil)
            }
        }
    }

    @Test("a write whose answer was lost is a success, wherever the other device's change was by then", arguments: Engine.all)
    func lostAnswer(engine: Engine) async throws {
        try await engine.place { place in
            let first = OfferedItem("a", "a-1", chunks: "k1")
            var ada = UserID(rawValue: 0)
            try await place.node().running { node in
                ada = try await node.user("ada")
                try await node.create(notes, by: ada)
                try await node.commit(first, by: ada)
                try await node.caughtUp()
                // The change comes after the state was read.
                let again = try await node.submission(CommitItems([first], by: ada))
                try await node.commit(OfferedItem("a", "a-2"), by: ada)
                #expect(try await node.committer.commit(again).isEmpty)
                try await node.caughtUp()
            }
            // The change is in the log, and where a projector follows that, not in the tables.
            var node = try await place.node()
            node.projector = nil
            try await node.running { node in
                let second = OfferedItem("a", "a-2")
                try await node.commit(OfferedItem("a", "a-3"), by: ada)
                #expect(try await node.commit(CommitItems([first, second], by: ada)).isEmpty)
            }
        }
    }

    @Test("a claim is given to one of those who make it, in one group and across groups", arguments: Engine.all, [true, false])
    func claims(engine: Engine, inOneGroup: Bool) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            let eve = try await node.user("eve")
            try await node.create(notes, by: ada)
            try await node.create("eves", by: eve)
            let zoe = CreateUser(username: "zoe", email: "", keys: keys, passwordSalt: "", mayCreate: true)
            // All are made before any is committed: none knows of the others.
            let submissions = [
                try await node.submission(creating: "new", by: ada), try await node.submission(creating: "new", by: eve, revision: "n-2"),
                try await node.submission(CommitItems([OfferedItem("a", "r")], by: ada)),
                try await node.submission(CommitItems([OfferedItem("x", "r")], to: "eves", by: eve)),
                try await node.submission(creating: "newer", by: ada, type: [7]),
                try await node.submission(creating: "newest", by: eve, type: [7]),
                try await node.submission(creating: "latest", by: ada, type: [7]),
                try await node.submission(zoe), try await node.submission(zoe),
            ]
            var answers: [Result<[RecordedEvent], any Error>] = []
            if inOneGroup {
                answers = await node.commit(group: submissions)
            } else {
                for submission in submissions { answers += await node.commit(group: [submission]) }
            }
            let outcomes = answers.map { answer in
                switch answer {
                case .success: "done"
                case .failure(let error): "\(error)".prefix { $0 != "(" }.description
                }
            }
            #expect(
                outcomes == [
                    "done", "collectionExists", "done", "invalidFields", "done", "collectionTypeTaken", "done", "done", "userExists",
                ])
            try await node.expectSoundLog()
        }
    }

    @Test("a transaction that fails half way leaves nothing, and the committer goes on", arguments: Engine.all)
    func failing(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            let before = try await node.tables()
            let good = try await node.submission(CommitItems([OfferedItem("a", "a-1", chunks: "k1")], by: ada))
            let broken = try await node.submission(
                CommitItems([OfferedItem("b", "b-1")], by: ada), by: ada,
                writes: [
                    Write(
                        SetStatement(insertInto: "apus_log", ["id": .number, "position": .number, "epoch": .number]),
                        [.integer(2), .integer(0), .integer(1)])
                ])
            for answer in await node.commit(group: [good, broken, good]) {
                let fault = #expect(throws: DatabaseFault.self) { try answer.get() }
                #expect(fault.map { "\($0.kind)" } == "constraint")
            }
            #expect(try await node.tables() == before)
            #expect(try await node.committer.commit(good).map(\.position.rawValue) == [4])
            try await node.expectSoundLog()
        }
    }

    /// Makes room for no event at position 5: a row of its table is there already.
    private static let obstruct = "INSERT INTO django_etebase_stoken (id, uid) VALUES (5, 'in the way')"
    private static let clear = "DELETE FROM django_etebase_stoken WHERE uid = 'in the way'"
    private static let threeItems = [OfferedItem("a", "a-1", chunks: "k1"), OfferedItem("b", "b-1"), OfferedItem("c", "c-1")]

    @Test("a projection that fails half way leaves nothing of the append either", arguments: Engine.projectingInAppend)
    func failingProjection(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await node.meddle(Self.obstruct)
            let before = try await node.tables()
            let fault = await #expect(throws: DatabaseFault.self) { try await node.commit(CommitItems(Self.threeItems, by: ada)) }
            #expect(fault.map { "\($0.kind)" } == "constraint")
            #expect(try await node.tables() == before)
            try await node.meddle(Self.clear)
            #expect(try await node.commit(OfferedItem("a", "a-1"), by: ada).count == 1)
            try await node.expectSoundLog()
        }
    }

    @Test(
        "a projector stands before what it cannot apply, reads that need it are refused, and it goes on once it can",
        arguments: Engine.projectingLater)
    func standingProjector(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await node.meddle(Self.obstruct)
            #expect(try await node.commit(CommitItems(Self.threeItems, by: ada)).map(\.position.rawValue) == [4, 5, 6])
            let fault = await #expect(throws: DatabaseFault.self) {
                _ = try await node.readModel.snapshot { try $0.access(to: notes, by: ada) }
            }
            #expect(fault.map { "\($0.kind)" } == "unavailable")
            let stands = try await node.database.read { connection in
                try connection.first(Self.selectStanding, []) { [$0.integer(0), $0.integer(1), $0.integer(2)] }
            }
            #expect(stands == [4, 1, 1], "what comes before the obstacle is there, and nothing of it or after it")
            let obstacle = try #require(node.projector?.obstacle)
            #expect(obstacle.position.rawValue == 5 && obstacle.type == "ItemCreated")
            #expect(obstacle.description.contains("django_etebase_stoken_pkey") && obstacle.description.contains("apus rebuild"))
            _ = try await node.database.write { try $0.execute(Statement(Self.clear), []) }
            try await node.expectSoundLog()
            #expect(try await node.snapshot { try $0.state(CollectionNeeds(notes, chunks: ["k1"])).chunks } == ["k1"])
            #expect(node.projector?.obstacle == nil)
        }
    }

    /// The checkpoint, the collections' main items and all others.
    private static let selectStanding = Statement(
        """
        SELECT position, (SELECT count(*) FROM apus_item WHERE is_main <> 0), (SELECT count(*) FROM apus_item WHERE is_main = 0)
        FROM   apus_projection
        """)

    @Test("the projection takes events only where it stands", arguments: Engine.all)
    func gaps(engine: Engine) async throws {
        try await engine.place { place in
            let copy = try await place.node("two")
            try await place.node().running { node in
                let ada = try await node.user("ada")
                _ = try await node.user("eve")
                try await node.create(notes, by: ada)
                let log = try await node.log()
                try await copy.database.write { connection in try copy.projection.apply(Array(log.prefix(1)), connection) }
                let before = try await copy.tables()
                // Without Eve, whom nothing after her needs; and Ada once more.
                for events in [Array(log.dropFirst(2)), Array(log.prefix(2))] {
                    let fault = await #expect(throws: DatabaseFault.self) {
                        try await copy.database.write { connection in try copy.projection.apply(events, connection) }
                    }
                    #expect(fault.map { "\($0.kind)" } == "corrupt")
                }
                #expect(try await copy.tables() == before)
            }
        }
    }

    @Test("a group is bounded in number and in bytes", arguments: Engine.all)
    func bounds(engine: Engine) async throws {
        try await engine.place { place in
            let batches = Batches()
            let node = try await place.node(appended: { count in batches.sizes.withLock { $0.append(count) } })
            try await node.running { node in
                let ada = try await node.user("ada")
                try await node.create(notes, by: ada)
                var group: [Submission] = []
                for number in 0..<300 {
                    let item = OfferedItem(ItemUID("i\(number)"), RevisionUID("r\(number)"))
                    group.append(try await node.submission(CommitItems([item], by: ada)))
                }
                batches.sizes.withLock { $0.removeAll() }
                for answer in await node.commit(group: group) { #expect(try answer.get().count == 1) }
                let sizes = batches.sizes.withLock { $0 }
                #expect(sizes.reduce(0, +) == 300 && sizes.allSatisfy { $0 <= 256 })

                batches.sizes.withLock { $0.removeAll() }
                var large: [Submission] = []
                for number in 0..<3 {
                    let command = CommitItems([OfferedItem("large", RevisionUID("l\(number)"))], by: ada)
                    large.append(
                        try await node.submission(command, by: ada, bytes: 600_000))
                }
                for answer in await node.commit(group: large) { #expect(try answer.get().count == 1) }
                #expect(batches.sizes.withLock { $0 } == [1, 1, 1])
            }
        }
    }

    @Test("more than 128 MiB that wait are told to come again, but for one that is alone", arguments: Engine.projectingInAppend)
    func overloadInBytes(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            var group: [Submission] = []
            for bytes in [200 << 20, 1, 100 << 20, 29 << 20] {
                group.append(try await node.submission(Happenings(), by: ada, bytes: bytes))
            }
            let answers = await node.commit(group: Array(group.prefix(2))) + node.commit(group: Array(group.suffix(2)))
            for index in [0, 2] { #expect(try answers[index].get().isEmpty) }
            for index in [1, 3] { #expect(throws: LogFault.overloaded) { try answers[index].get() } }
        }
    }

    @Test("more than 4,096 that wait are told to come again", arguments: Engine.all)
    func overload(engine: Engine) async throws {
        try await engine.place { place in
            let node = try await place.node()
            let nothing = try await node.submission(Happenings(), by: UserID(rawValue: 1))
            try await withThrowingTaskGroup(of: Result<[RecordedEvent], any Error>?.self) { group in
                for _ in 0...4096 { group.addTask { await Task { try await node.committer.commit(nothing) }.result } }
                // Nobody commits yet, so only the one that is refused can be answered.
                let refused = try #require(try await group.next() ?? nil)
                #expect(throws: LogFault.overloaded) { try refused.get() }
                group.addTask {
                    try await node.committer.run()
                    return nil
                }
                for _ in 1...4096 {
                    let answer = try #require(try await group.next() ?? nil)
                    #expect(try answer.get().isEmpty)
                }
                group.cancelAll()
            }
            await #expect(throws: LogFault.closed, "after the committer has ended") { try await node.committer.commit(nothing) }
        }
    }
}
