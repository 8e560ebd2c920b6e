import Database
import Dispatch
import Domain
import EventLog
import Projections
import ReadModel
import TestSupport
import Testing

@Suite("Where log and tables stand") struct StandingTests {
    private let day: Int64 = 86_400_000_000

    @Test("is told of an empty log, of one whose events no seal covers, and of one that is sealed", arguments: Engine.all)
    func seals(engine: Engine) async throws {
        try await engine.node { node in
            let empty = try await node.readModel.standing(at: noon, after: nil, elsewhere: nil)
            #expect(empty.head == LogHead(position: .none, epoch: 1) && empty.tables.checkpoint == .none)
            #expect(empty.seal == .none && empty.unsealedSince == nil && empty.unprojectedSince == nil && empty.isWritable)
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await node.caughtUp()
            let log = try await node.log()
            let (first, end) = (log.first?.occurredAt, try #require(log.last?.position))
            let open = try await node.readModel.standing(at: noon, after: empty, elsewhere: Position(rawValue: 1))
            #expect(open.head.position == end && open.tables.checkpoint == end)
            #expect(open.seal == .none && open.unsealedSince == first && open.unprojectedSince == nil)
            #expect(open.unprojectedElsewhereSince != nil)
            #expect(open.tables.lease?.isHeld == (engine == .postgres ? true : nil))
            try await Sealer(database: node.database, key: SealKey(secret: [1])).seal()
            let sealed = try await node.readModel.standing(at: noon, after: nil, elsewhere: end)
            #expect(sealed.seal == end && sealed.unsealedSince == nil && sealed.unprojectedElsewhereSince == nil)
            #expect(try await node.readModel.replicaStanding() == nil)
        }
    }

    @Test("counts the sessions that end within a week, and again only after a minute", arguments: Engine.all)
    func expiring(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.caughtUp()
            for lifetime in [Duration.seconds(6 * 86_400), .seconds(8 * 86_400), nil] {
                _ = try await Sessions(database: node.database, lifetime: lifetime).create(for: ada, device: nil, at: noon)
            }
            let now = try await node.readModel.standing(at: noon, after: nil, elsewhere: nil)
            #expect(now.counted.expiring == 1)
            let soon = Timestamp(rawValue: noon.rawValue + 2 * day)
            #expect(try await node.readModel.standing(at: soon, after: now, elsewhere: nil).counted.expiring == 2)
            let atOnce = Timestamp(rawValue: noon.rawValue + 59_000_000)
            try await node.database.write { _ = try $0.execute(Statement("DELETE FROM token_auth_authtoken"), []) }
            #expect(try await node.readModel.standing(at: atOnce, after: now, elsewhere: nil).counted.expiring == 1)
            #expect(try await node.readModel.standing(at: soon, after: now, elsewhere: nil).counted.expiring == 0)
        }
    }

    @Test("a database that can be written is known to be whatever else is asked in the same trip", arguments: Engine.projectingLater)
    func writableAmidReads(engine: Engine) async throws {
        try await engine.node { node in
            var inquiry = Inquiry()
            for _ in 1...2 { inquiry.ask(Statement("SELECT position, epoch FROM apus_log"), []) }
            // Those who ask while a trip is under way are in the next one together.
            try await withThrowingTaskGroup(of: Bool.self) { [inquiry] group in
                for number in 1...200 {
                    group.addTask {
                        guard number.isMultiple(of: 4) else {
                            return try await node.database.read(.small, asking: { inquiry }) { _ in true }
                        }
                        return try await node.readModel.condition().canBeWritten
                    }
                }
                for try await isWritable in group { #expect(isWritable) }
            }
        }
    }

    @Test("a projector is at work for as long as it writes a batch, however long that takes", arguments: Engine.projectingLater)
    func longBatch(engine: Engine) async throws {
        try await engine.place { place in
            let node = try await place.node()
            let isKept = { try await node.readModel.condition().isKept }
            let isHeld = { try await node.readModel.standing(at: noon, after: nil, elsewhere: nil).tables.lease?.isHeld }
            let end = Statement("UPDATE apus_projection SET lease_until = '-infinity'")
            try await node.database.write { _ = try $0.execute(end, []) }
            #expect(try await !isKept())
            // One that has been given back a moment ago is as good as held: another projector takes it.
            let giveBack = Statement("UPDATE apus_projection SET lease_until = clock_timestamp()")
            try await node.database.write { _ = try $0.execute(giveBack, []) }
            #expect(try await isKept())
            #expect(try await isHeld() == false)
            try await node.database.write { _ = try $0.execute(end, []) }
            #expect(try await !isKept())
            #expect(try await isHeld() == false)
            // As in a batch, what is written in the transaction is seen by nobody else before its end.
            let (looked, look) = AsyncStream.makeStream(of: Void.self)
            let (begun, begin) = AsyncStream.makeStream(of: Void.self)
            let batch = Task.detached {
                try await node.database.write { connection in
                    _ = try connection.execute(end, [])
                    begin.yield()
                    let wait = DispatchSemaphore(value: 0)
                    Task.detached {
                        for await _ in looked { break }
                        wait.signal()
                    }
                    wait.wait()
                }
            }
            for await _ in begun { break }
            #expect(try await isKept())
            #expect(try await isHeld() == true)
            look.yield()
            try await batch.value
            #expect(try await !isKept())
        }
    }

    @Test("of more than fits of what is not in the tables, a command waits for the tables", arguments: Engine.projectingLater)
    func longTail(engine: Engine) async throws {
        try await engine.place { place in
            var node = try await place.node()
            let projector = try #require(node.projector)
            node.projector = nil
            let position = try await node.running { node in
                let ada = try await node.user("ada")
                try await node.create(notes, by: ada)
                for number in 1...4 { try await node.commit(OfferedItem("a", RevisionUID("a-\(number)")), by: ada) }
                return try await node.readModel.snapshot { try $0.position() }
            }
            #expect(position == .none)
            for change in [{ $0.tailEvents = 3 }, { $0.tailBytes = 1 }] as [@Sendable (inout ContentBounds) -> Void] {
                var bounds = ContentBounds()
                change(&bounds)
                let model = ReadModel(
                    database: node.database, stokens: node.stokens, contents: node.chunks, progress: Progress(), bounds: bounds)
                let state = Task {
                    try await model.snapshot { snapshot in
                        (
                            try snapshot.state(CollectionNeeds(notes, items: ["a"])).etags["a"], try snapshot.position(),
                            try snapshot.logHead().position
                        )
                    }
                }
                // The first time somebody has to bring them there.
                let projecting = Task { try await projector.run() }
                let (etag, there, head) = try await state.value
                projecting.cancel()
                try? await projecting.value
                #expect(etag == "a-4" && there + 3 > head)
            }
        }
    }

    @Test("says since when events are not in the tables", arguments: Engine.projectingLater)
    func behind(engine: Engine) async throws {
        try await engine.place { place in
            try await place.node().running { node in
                let ada = try await node.user("ada")
                try await node.create(notes, by: ada)
                try await node.caughtUp()
            }
            let node = try await place.node()
            try await node.database.write { connection in
                try connection.run(
                    script: "UPDATE apus_projection SET position = 1; UPDATE apus_event SET occurred_at = position * 1000000")
            }
            let found = try await node.readModel.standing(at: noon, after: nil, elsewhere: nil)
            #expect(found.tables.checkpoint == Position(rawValue: 1) && found.unprojectedSince == Timestamp(rawValue: 2_000_000))
            #expect(found.tables.lease?.isHeld == false && found.tables.lease?.changes == 1)
        }
    }
}
