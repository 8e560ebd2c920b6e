import Contents
import Database
import Domain
import EventLog
import ReadModel
import TestSupport
import Testing

@testable import Projections

/// An item of which meta takes 2 bytes, and each chunk as much.
@Suite("Quotas") struct QuotaTests {
    private func excess(_ kind: Quota.Kind, limit: Int64, used: Int64, wanted: Int64 = 1) -> Refusal {
        .quotaExceeded(.init(kind, limit: limit, used: used, wanted: wanted))
    }

    private func limit(_ user: UserID, to quota: Quota?, _ node: Node) async throws {
        try await node.caughtUp()
        try await Quotas(node.database).set(quota, of: user)
    }

    private func used(_ user: UserID, _ node: Node) async throws -> Usage {
        try await node.counted()
        return try #require(try await node.snapshot { try $0.quotaStandings() })[user]?.used ?? Usage()
    }

    @Test("are kept of bytes, items and collections, each for itself", arguments: Engine.all)
    func kinds(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await limit(ada, to: Quota(bytes: 10, items: 2, collections: 1), node)
            #expect(try await used(ada, node) == Usage(bytes: 2, items: 0, collections: 1))
            await #expect(throws: excess(.collections, limit: 1, used: 1)) { try await node.create("more", by: ada) }
            await #expect(throws: excess(.bytes, limit: 10, used: 2, wanted: 10)) {
                try await node.commit(OfferedItem("a", "a-1", chunks: "k1", "k2", "k3", "k4"), by: ada)
            }
            try await node.commit(OfferedItem("a", "a-1", chunks: "k1"), by: ada)
            await #expect(throws: excess(.items, limit: 2, used: 1, wanted: 2)) {
                try await node.commit(OfferedItem("b", "b-1"), OfferedItem("c", "c-1"), by: ada)
            }
            try await node.commit(OfferedItem("b", "b-1"), by: ada)
            #expect(try await used(ada, node) == Usage(bytes: 8, items: 2, collections: 1))
            let store = StoreChunk(collection: notes, author: ada, chunk: StoredChunk(uid: "k9", content: [1, 2, 3]))
            await #expect(throws: excess(.bytes, limit: 10, used: 8, wanted: 3)) { try await node.commit(store, by: ada) }
            // A content that is there already takes no room.
            try await node.commit(OfferedItem("a", "a-2", chunks: "k1"), by: ada)
            await #expect(throws: excess(.bytes, limit: 10, used: 10, wanted: 2)) {
                try await node.commit(OfferedItem("a", "a-3"), by: ada)
            }
            // What was refused has left nothing.
            #expect(try await node.expectSoundLog().revisions == ["notes-1", "a-1", "b-1", "a-2"])
            #expect(try await used(ada, node) == Usage(bytes: 10, items: 2, collections: 1))
        }
    }

    @Test("let deletions through, and make room where revisions are not kept", arguments: Engine.all)
    func room(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await node.commit(OfferedItem("a", "a-1", chunks: "k1", "k2"), by: ada)
            try await limit(ada, to: Quota(bytes: 8), node)
            await #expect(throws: excess(.bytes, limit: 8, used: 8, wanted: 2)) { try await node.commit(OfferedItem("a", "a-2"), by: ada) }
            try await node.commit(OfferedItem("a", "a-2", isDeleted: true), by: ada)
            await #expect(throws: excess(.bytes, limit: 8, used: 10, wanted: 2)) { try await node.commit(OfferedItem("a", "a-3"), by: ada) }
            // What goes with the deletion of one thing is no deletion of another.
            await #expect(throws: excess(.bytes, limit: 8, used: 10, wanted: 4)) {
                try await node.commit(OfferedItem("a", "a-3", isDeleted: true), OfferedItem("b", "b-1"), by: ada)
            }
            try await node.prune(keeping: RetentionPolicy(newest: 1, since: nil))
            #expect(try await used(ada, node) == Usage(bytes: 4, items: 1, collections: 1))
            try await node.commit(OfferedItem("a", "a-3"), by: ada)
            // Who wrote it back is the operator.
            try await limit(ada, to: Quota(bytes: 1), node)
            try await node.restore(["a": "a-2"])
        }
    }

    @Test("are those of whoever owns the collection, also where another one writes", arguments: Engine.all)
    func owners(engine: Engine) async throws {
        try await engine.node { node in
            let (ada, ben) = (try await node.user("ada"), try await node.user("ben"))
            try await node.create(notes, by: ada)
            try await node.create("bens", by: ben)
            try await node.share(notes, of: ada, with: ben, .readWrite)
            try await limit(ada, to: Quota(items: 1), node)
            try await limit(ben, to: Quota(items: 1), node)
            try await node.commit(OfferedItem("x", "x-1"), to: "bens", by: ben)
            try await node.commit(OfferedItem("a", "a-1"), by: ben)
            await #expect(throws: excess(.items, limit: 1, used: 1)) { try await node.commit(OfferedItem("b", "b-1"), by: ben) }
            await #expect(throws: excess(.items, limit: 1, used: 1)) { try await node.commit(OfferedItem("b", "b-1"), by: ada) }
            try await limit(ada, to: nil, node)
            try await node.commit(OfferedItem("b", "b-1"), by: ben)
            await #expect(throws: excess(.items, limit: 1, used: 1)) { try await node.commit(OfferedItem("y", "y-1"), to: "bens", by: ben) }
        }
    }

    @Test("hold for all who have none of their own", arguments: Engine.all)
    func forAll(engine: Engine) async throws {
        try await engine.place { place in
            try await place.node(quota: Quota(collections: 1)).running { node in
                let users = [try await node.user("ada"), try await node.user("ben"), try await node.user("eve")]
                try await limit(users[1], to: Quota(collections: 2), node)
                try await limit(users[2], to: Quota.none, node)
                for (user, room) in zip(users, [1, 2, 4]) {
                    for number in 1...4 {
                        let make = { _ = try await node.create(CollectionUID("c\(user.rawValue)-\(number)"), by: user) }
                        if number <= room {
                            try await make()
                        } else {
                            await #expect(throws: excess(.collections, limit: Int64(room), used: Int64(room))) { try await make() }
                        }
                    }
                }
                let standing = try await node.readModel.standing(at: noon, after: nil, elsewhere: nil)
                #expect(standing.counted.nearQuota == 2)
            }
        }
    }

    @Test("of some alone are looked at where nothing holds for all: who is near one is counted", arguments: Engine.all)
    func nearOwn(engine: Engine) async throws {
        try await engine.place { place in
            try await place.node().running { node in
                let quotas: [Quota?] = [
                    nil, Quota.none, Quota(collections: 1), Quota(collections: 2), Quota(bytes: 1), Quota(bytes: 1 << 30),
                    Quota(bytes: 1 << 30, items: 1 << 30, collections: 1),
                ]
                for (number, quota) in quotas.enumerated() {
                    let user = try await node.user("user\(number)")
                    try await node.create(CollectionUID("c\(number)"), by: user)
                    if let quota { try await limit(user, to: quota, node) }
                }
                try await node.counted()
                // Once all is in the tables.
                _ = try await node.readModel.snapshot { try $0.accounts(limit: 1) }
                let standing = try await node.readModel.standing(at: noon, after: nil, elsewhere: nil)
                #expect(standing.counted.nearQuota == 3)
                // What is too old is not counted anew where that is not wanted.
                let later = Timestamp(rawValue: noon.rawValue + 3_600_000_000)
                try await limit(try await node.user("late"), to: Quota(items: 1), node)
                let known = try await node.readModel.standing(at: later, after: standing, elsewhere: nil, counts: false)
                #expect(known.counted.nearQuota == 3)
                #expect(try await node.readModel.standing(at: later, after: nil, elsewhere: nil, counts: false).counted.nearQuota == 0)
            }
        }
    }

    @Test("are not overstepped by those who write at once to several collections of one owner", arguments: Engine.all)
    func atOnce(engine: Engine) async throws {
        try await engine.place { place in
            try await place.node().running { node in
                // On PostgreSQL two processes write.
                let other = engine == .postgres ? try await place.node() : node
                let ada = try await node.user("ada")
                let collections: [CollectionUID] = ["one", "two", "three"]
                for uid in collections { try await node.create(uid, by: ada) }
                try await limit(ada, to: Quota(items: 20), node)
                try await node.counted()
                let made = try await withThrowingTaskGroup(of: Int.self) { group in
                    if engine == .postgres { group.addTask { try await other.committing(0) } }
                    for number in 0..<60 {
                        group.addTask {
                            let item = OfferedItem(ItemUID("i\(number)"), RevisionUID("r\(number)"))
                            let command = CommitItems([item], to: collections[number % 3], by: ada)
                            do { return try await (number % 2 == 0 ? node : other).write(command, by: ada).count } catch Refusal
                                .quotaExceeded
                            {
                                return 0
                            }
                        }
                    }
                    var made = 0
                    for _ in 0..<60 { made += try await group.next() ?? 0 }
                    group.cancelAll()
                    return made
                }
                #expect(made == 20)
                #expect(try await used(ada, node).items == 20)
            }
        }
    }

    @Test("are decided on what came since, in one group and across groups", arguments: Engine.all, [true, false])
    func prepared(engine: Engine, inOneGroup: Bool) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            for uid: CollectionUID in ["one", "two"] { try await node.create(uid, by: ada) }
            try await limit(ada, to: Quota(items: 1), node)
            try await node.counted()
            // Both are made before one is committed: none knows of the other.
            let submissions = [
                try await node.submission(CommitItems([OfferedItem("a", "a-1")], to: "one", by: ada)),
                try await node.submission(CommitItems([OfferedItem("b", "b-1")], to: "two", by: ada)),
            ]
            var answers: [Result<[RecordedEvent], any Error>] = []
            if inOneGroup {
                answers = await node.commit(group: submissions)
            } else {
                for submission in submissions { answers += await node.commit(group: [submission]) }
            }
            #expect(try answers[0].get().count == 1)
            #expect(throws: excess(.items, limit: 1, used: 1)) { try answers[1].get() }
        }
    }

    @Test("are looked for again where the owner has made another collection meanwhile", arguments: Engine.all)
    func another(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await limit(ada, to: Quota(items: 2), node)
            try await node.counted()
            let prepare = { (item: OfferedItem) in
                let command = CommitItems([item], by: ada)
                return try await node.readModel.snapshot { try $0.prepare(command) }
            }
            let (first, second) = (try await prepare(OfferedItem("a", "a-1")), try await prepare(OfferedItem("b", "b-1")))
            let blind = try await node.submission(CommitItems([OfferedItem("c", "c-1")], by: ada))
            try await node.create("new", by: ada)
            try await node.commit(OfferedItem("x", "x-1"), to: "new", by: ada)
            await #expect(throws: Refusal.usageUnknown) { try await node.committer.commit(blind) }
            let actor = Actor(user: ada)
            #expect(try await node.door.commit(first, with: [:], by: actor, at: noon, holding: 0).count == 1)
            await #expect(throws: excess(.items, limit: 2, used: 2)) {
                try await node.door.commit(second, with: [:], by: actor, at: noon, holding: 0)
            }
        }
    }

    @Test("that are looked for again lose nothing of the contents that came along", arguments: Engine.all, [ContentPlace.database, .files])
    func contents(engine: Engine, kept: ContentPlace) async throws {
        try await engine.place { place in
            try await place.node(chunks: kept).running { node in
                let ada = try await node.user("ada")
                try await node.create(notes, by: ada)
                try await limit(ada, to: Quota(items: 4), node)
                try await node.counted()
                let command = CommitItems([OfferedItem("a", "a-1", chunks: "abcdef")], by: ada)
                let prepared = try await node.readModel.snapshot { try $0.prepare(command) }
                try await node.create("new", by: ada)
                try await node.door.commit(
                    prepared, with: ["abcdef": content], by: Actor(user: ada), at: noon, holding: content.count)
                try await node.caughtUp()
                let item = try await node.readModel.snapshot { try $0.item("a", of: $0.access(to: notes, by: ada), .auto) }
                let found = try await node.readModel.completed([item].compactMap(\.self))
                #expect(found.flatMap { $0.revision.chunks.map(\.content) } == [.bytes(content)])
            }
        }
    }

    @Test("go by what follows from the log: counted from it anew, it is the same", arguments: Engine.all)
    func counting(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            try await node.counted()
            let tables: @Sendable (String) -> Bool = { ["apus_usage", "apus_chunk_size", "apus_counted"].contains($0) }
            let before = try await node.tables(where: tables)
            #expect(before["apus_usage"]?.count ?? 0 > 1 && before["apus_chunk_size"]?.count ?? 0 > 1)
            // Somebody has projected the rest who does not count.
            for position in [0, 17] {
                try await node.meddle("DELETE FROM apus_chunk_size WHERE id > \(position)")
                try await node.meddle("INSERT INTO apus_chunk_size (id, bytes) VALUES (1000000, 1)")
                try await node.meddle("UPDATE apus_usage SET items = 7, bytes = bytes + 1")
                try await node.meddle("UPDATE apus_counted SET position = \(position)")
                try await node.database.write { try Counting.finish($0) }
                #expect(try await node.tables(where: tables) == before)
            }
            let summed = try await node.database.read { connection in
                try connection.query(Self.sums, []) { [$0.integer(0), $0.integer(1), $0.integer(2)] }
            }
            let kept = try await node.database.read { connection in
                try connection.query(Statement("SELECT id, items, bytes FROM apus_usage ORDER BY id"), []) {
                    [$0.integer(0), $0.integer(1), $0.integer(2)]
                }
            }
            #expect(kept == summed)
        }
    }

    /// By the contents themselves, which are all in the table here.
    private static let sums = Statement(
        """
        SELECT collection.id,
               (SELECT count(*) FROM django_etebase_collectionitem item WHERE item.collection_id = collection.id) - 1,
               (SELECT sum(length(revision.meta))
                FROM   django_etebase_collectionitemrevision revision
                JOIN   django_etebase_collectionitem item ON item.id = revision.item_id
                WHERE  item.collection_id = collection.id)
               + COALESCE((SELECT sum(length(stored.content))
                           FROM   django_etebase_collectionitemchunk chunk
                           JOIN   apus_chunk stored ON stored.collection = collection.uid AND stored.uid = chunk.uid
                           WHERE  chunk.collection_id = collection.id), 0)
        FROM   django_etebase_collection collection
        ORDER  BY collection.id
        """)

    @Test("do not hold until it is counted, and then a projector has counted", arguments: Engine.all)
    func uncounted(engine: Engine) async throws {
        try await engine.place { place in
            var node = try await place.node()
            node.projector = nil
            let ada = UserID(rawValue: 1)
            // A projector of before is away, and has not counted.
            try await place.node().running { node in
                _ = try await node.user("ada")
                try await node.create(notes, by: ada)
                try await node.commit(OfferedItem("a", "a-1"), by: ada)
                try await limit(ada, to: Quota(items: 1), node)
                try await node.counted()
            }
            try await node.running { node in
                try await node.meddle("UPDATE apus_counted SET position = 1")
                try await node.meddle("UPDATE apus_usage SET items = 0")
                #expect(try await node.snapshot { try $0.quotaStandings() } == nil)
                try await node.commit(OfferedItem("b", "b-1"), by: ada)
            }
            try await place.node().running { node in
                if engine == .sqlite { try await node.database.write { try Counting.finish($0) } }
                #expect(try await used(ada, node).items == 2)
                await #expect(throws: excess(.items, limit: 1, used: 2)) { try await node.commit(OfferedItem("c", "c-1"), by: ada) }
            }
        }
    }

    @Test("see what is in the log and not in the tables yet", arguments: Engine.projectingLater)
    func tails(engine: Engine) async throws {
        try await engine.place { place in
            let ada = UserID(rawValue: 1)
            try await place.node().running { node in
                _ = try await node.user("ada")
                for uid: CollectionUID in ["one", "two"] { try await node.create(uid, by: ada) }
                try await limit(ada, to: Quota(items: 3), node)
                try await node.counted()
            }
            var node = try await place.node()
            node.projector = nil
            try await node.running { node in
                try await node.commit(OfferedItem("a", "a-1"), to: "one", by: ada)
                try await node.commit(OfferedItem("b", "b-1"), to: "two", by: ada)
                try await node.commit(OfferedItem("c", "c-1"), to: "one", by: ada)
                await #expect(throws: excess(.items, limit: 3, used: 3)) {
                    try await node.commit(OfferedItem("d", "d-1"), to: "two", by: ada)
                }
            }
        }
    }

    @Test("go with the user who is erased", arguments: Engine.all)
    func erased(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await limit(ada, to: Quota(items: 1), node)
            #expect(try await node.snapshot { try $0.quota(of: ada) } == Quota(items: 1))
            try await node.erase("ada")
            #expect(try await node.snapshot { try $0.quota(of: ada) } == nil)
            #expect(try await used(ada, node) == Usage())
        }
    }
}

extension Node {
    /// Waits until it is counted what collections hold.
    fileprivate func counted() async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while try await !database.read({ try Counting.isDone($0) }) {
            try #require(ContinuousClock.now < deadline, "it is not counted what collections hold")
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Commits through the door, as a request does.
    fileprivate func write(_ command: CommitItems, by user: UserID) async throws -> [RecordedEvent] {
        let prepared = try await readModel.snapshot { try $0.prepare(command) }
        return try await door.commit(prepared, with: [:], by: Actor(user: user), at: noon, holding: 0)
    }

    /// Commits what is submitted until it is cancelled.
    fileprivate func committing<T>(_ value: T) async throws -> T {
        try await committer.run()
        return value
    }
}
