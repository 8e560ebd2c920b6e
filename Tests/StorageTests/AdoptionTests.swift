import Contents
import Database
import Domain
import EventLog
import Schemas
import TestSupport
import Testing

@testable import Moving
@testable import Projections
@testable import Replay

/// What is adopted here has the original's tables and was made by us: a history with all that can be in them. Databases that
/// the original made are adopted in `Tests/Adoption`.
@Suite("Adopting") struct AdoptionTests {
    /// Runs `body` with the tables of a whole history, and nothing of ours beside them.
    private func tables(_ engine: Engine, _ body: (Place, any Database) async throws -> Void) async throws {
        try await engine.place { place in
            try await place.node().running { node in
                try await node.wholeHistory()
                try await node.caughtUp()
            }
            let database = try await place.database()
            try await database.write { [dialect = database.dialect] connection in
                let names = try connection.query(.tableNames, []) { $0.text(0) }
                for name in names where name.hasPrefix("apus_") { try connection.run(script: "DROP TABLE \(name)") }
                // Indexes outlive nothing but their tables, and this one is on one of the original's.
                try connection.run(script: "DROP INDEX apus_user_email")
                if dialect == .postgres { try connection.run(script: "DROP FUNCTION apus_append") }
            }
            try await body(place, database)
        }
    }

    private func adopt(_ database: any Database, in place: Place) async throws {
        let contents = FileContents(folder: place.chunkFolder)
        _ = try await database.write { [dialect = database.dialect] connection in
            try Schema.adopt(connection, dialect) { try Adoption.requireSound(connection, dialect) }
            return try Adoption.run(connection, contents: contents, at: Timestamp(rawValue: 1)) { _ in }
        }
    }

    /// What is wrong, but for the contents that went with our tables.
    private func faults(_ node: Node) async throws -> [String] {
        try await withScratch { scratch in
            try await Verification(database: node.database, scratch: scratch, stokens: node.stokens, chunks: node.chunks).run().faults
        }.filter { !$0.hasPrefix("chunks:") }
    }

    @Test("appends a history from which the same rows follow, and which goes on", arguments: Engine.all)
    func goesOn(engine: Engine) async throws {
        try await tables(engine) { place, database in
            let highest = try await database.read { connection in
                try connection.first(Statement("SELECT max(id) FROM django_etebase_stoken"), []) { $0.integer(0) }
            }
            try await adopt(database, in: place)
            try await place.node().running { node in
                #expect(try await faults(node) == [])
                let log = try await node.database.read { try EventLog.events(after: .none, limit: 1000, $0) }
                let stokens = log.flatMap { record -> [Int64] in
                    guard case .recordsAdopted(let event) = record.event else { return [] }
                    return event.records.filter { $0.kind == .stoken }.map(\.id)
                }
                #expect(stokens.count > 5 && stokens == stokens.sorted(), "in the order of the stokens")
                #expect(try #require(log.first).position.rawValue > (highest ?? .max), "above everything that there is")
                #expect(zip(log, log.dropFirst()).allSatisfy { $0.position + 1 == $1.position }, "dense")

                let zoe = try await node.user("zoe")
                try await node.create("later", by: zoe)
                try await node.commit(OfferedItem("a", "later-a"), to: "later", by: zoe)
                try await node.caughtUp()
                #expect(try await faults(node) == [])
            }
        }
    }

    @Test("is refused while it is done already, and after it", arguments: Engine.all)
    func once(engine: Engine) async throws {
        try await tables(engine) { place, database in
            try await adopt(database, in: place)
            await #expect(throws: DatabaseFault.self) { try await adopt(database, in: place) }
        }
    }

    @Test("changes nothing where it fails", arguments: Engine.all)
    func fails(engine: Engine) async throws {
        try await tables(engine) { place, database in
            let contents = FileContents(folder: place.chunkFolder)
            await #expect(throws: DatabaseFault.self) {
                _ = try await database.write { [dialect = database.dialect] connection in
                    try Schema.adopt(connection, dialect) { try Adoption.requireSound(connection, dialect) }
                    _ = try Adoption.run(connection, contents: contents, at: Timestamp(rawValue: 1)) { _ in }
                    throw DatabaseFault(.unavailable, "the power went")
                }
            }
            let names = try await database.read { try $0.query(.tableNames, []) { $0.text(0) } }
            #expect(names.allSatisfy { !$0.hasPrefix("apus_") })
            try await adopt(database, in: place)
            #expect(try await faults(place.node()) == [])
        }
    }

    /// Records as they come one after the other: changed, gone, come again, and with what another one had.
    private var records: [[AdoptedRecord]] {
        func stoken(_ id: Int64) -> AdoptedRecord { .init(kind: .stoken, id: id, fields: [.init("uid", .text("stoken \(id)"))]) }
        func item(_ id: Int64, _ uid: String) -> AdoptedRecord {
            .init(
                kind: .item, id: id, fields: [.init("uid", .text(uid)), .init("version", .number(1)), .init("collection_id", .number(1))])
        }
        func revision(_ id: Int64, of item: Int64, stoken: Int64, isCurrent: Bool) -> AdoptedRecord {
            .init(
                kind: .revision, id: id,
                fields: [
                    .init("uid", .text("revision \(id)")), .init("meta", .bytes([1])), .init("deleted", .number(0)),
                    .init("item_id", .number(item)),
                    .init("stoken_id", .number(stoken)),
                ] + (isCurrent ? [.init("current", .number(1))] : []))
        }
        return [
            [
                .init(
                    kind: .user, id: 1,
                    fields: [
                        .init("username", .text("ada")), .init("email", .text("")), .init("password", .text("!")),
                        .init("first_name", .text("")),
                        .init("last_name", .text("")), .init("date_joined", .text("2020-01-01 00:00:00.5")), .init("is_active", .number(1)),
                        .init("is_staff", .number(0)), .init("is_superuser", .number(0)),
                    ])
            ],
            [
                .init(
                    kind: .collection, id: 1,
                    fields: [.init("uid", .text("notes")), .init("owner_id", .number(1)), .init("main_item_id", .number(1))]),
                item(1, "notes"),
            ],
            [stoken(1), revision(1, of: 1, stoken: 1, isCurrent: true)],
            [stoken(2), item(2, "a"), revision(2, of: 2, stoken: 2, isCurrent: true)],
            [stoken(3), revision(2, of: 2, stoken: 2, isCurrent: false), revision(3, of: 2, stoken: 3, isCurrent: true)],
            [stoken(4), item(3, "b"), revision(4, of: 3, stoken: 4, isCurrent: true)],
            [.init(kind: .revision, id: 4, fields: nil), .init(kind: .item, id: 3, fields: nil)],
            [stoken(5), item(4, "b"), revision(5, of: 4, stoken: 5, isCurrent: true)],
            [.init(kind: .stoken, id: 4, fields: nil)],
        ]
    }

    @Test("comes to the same tables, however many of its events are projected together", arguments: Engine.all)
    func batches(engine: Engine) async throws {
        try await engine.place { place in
            var found: [[String: [String]]] = []
            for batch in [1, 4, 100] {
                let database = try await place.database("by \(batch)".replacing(" ", with: "_"))
                try await database.write { [dialect = database.dialect] in try Schema.create($0, dialect) }
                let events = records.enumerated().map { index, records in
                    RecordedEvent(
                        position: Position(rawValue: Int64(index) + 1), epoch: 1, stream: .collection("notes"), previous: .none,
                        actor: Actor(user: nil, session: nil, address: nil), occurredAt: Timestamp(rawValue: 1),
                        event: .recordsAdopted(RecordsAdopted(owner: .collection("notes"), records: records)))
                }
                let projection = DjangoProjection(stokens: StokenSealer(secret: [1]))
                for start in stride(from: 0, to: events.count, by: batch) {
                    try await database.write { try projection.apply(Array(events[start..<min(start + batch, events.count)]), $0) }
                }
                found.append(
                    try await database.read { connection in
                        Dictionary(
                            uniqueKeysWithValues: try ReadModelTable.all.map { table in
                                (table.name, try table.rows(after: 0, limit: 100, connection).map { "\($0.key) \($0.values)" })
                            })
                    })
            }
            #expect(found[1] == found[0] && found[2] == found[0])
            #expect(found[0]["django_etebase_collectionitemrevision"]?.count == 4)
            #expect(found[0]["apus_item"]?.map { $0.prefix(2) } == ["1 ", "2 ", "4 "])
        }
    }
}

/// An EteSync server that was not stopped, and writes on as it does: ids from its own sequences, which are behind ours or are not.
@Suite("What an EteSync server writes beside Apus") struct AdoptionBesideTests {
    private func adopt(_ node: Node, takesAll: Bool = false) async throws -> AdoptionAgain.Outcome {
        try await withScratch { scratch in
            try await AdoptionAgain(database: node.database, scratch: scratch, stokens: node.stokens, contents: node.chunks.files)
                .runBeside(at: Timestamp(rawValue: 1), takesAll: takesAll) { _ in }
        }
    }

    private func faults(_ node: Node) async throws -> [String] {
        try await withScratch {
            try await Verification(database: node.database, scratch: $0, stokens: node.stokens, chunks: node.chunks).run().faults
        }
    }

    /// A new revision of the first item that is not a main one, as the original makes it.
    private func revise(_ id: Int64, _ node: Node) async throws {
        for sql in [
            "INSERT INTO django_etebase_stoken (id, uid) VALUES (\(id), 'of the other \(id)')",
            "UPDATE django_etebase_collectionitemrevision SET current = NULL WHERE item_id = (SELECT min(id) FROM apus_item WHERE is_main = 0)",
            """
            INSERT INTO django_etebase_collectionitemrevision (id, uid, meta, current, deleted, item_id, stoken_id)
            SELECT \(id), 'other-\(id)', X'01', (1 = 1), (1 = 0), min(id), \(id) FROM apus_item WHERE is_main = 0
            """,
        ] { try await node.meddle(sql) }
    }

    private func found(_ uid: String, _ node: Node) async throws -> Int64? {
        try await node.database.read { connection in
            try connection.first(
                Statement("SELECT stoken_id FROM django_etebase_collectionitemrevision WHERE uid = $1"), [.text(uid)]
            ) { $0.integer(0) }
        }
    }

    @Test("is found, is not deleted by a rebuild, and is adopted", arguments: Engine.projectingInAppend)
    func adopted(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            let head = try await node.log().count
            #expect(try await node.database.read { try ForeignRows.find($0) } == nil)
            try await revise(Int64(head) + 1, node)
            let words = try #require(try await node.database.read { try ForeignRows.find($0) })
            #expect(words.contains("django_etebase_stoken"))
            await #expect(throws: DatabaseFault.self) { try await node.commit(OfferedItem("new", "new-1"), by: UserID(rawValue: 1)) }
            #expect(try await faults(node).contains { $0.contains("run apus adopt again") })
            let before = try await node.tables()
            let report = try await withScratch {
                try await Rebuild(database: node.database, scratch: $0, stokens: node.stokens, chunks: node.chunks).run()
            }
            #expect(report.changed == 0 && report.verification.faults.contains { $0.contains("run apus adopt again") })
            #expect(try await node.tables() == before)

            guard case .adopted(let events) = try await adopt(node) else { return #expect(Bool(false), "nothing was adopted") }
            #expect(events >= 3)
            #expect(try await faults(node) == [])
            #expect(try await node.database.read { try ForeignRows.find($0) } == nil)
            #expect(try await found("other-\(head + 1)", node) == Int64(head) + 1)
            try await node.commit(OfferedItem("new", "new-1"), by: UserID(rawValue: 1))
            guard case .nothing = try await adopt(node) else { return #expect(Bool(false), "something is adopted twice") }
        }
    }

    @Test("under an id that the log has passed comes behind what clients have seen", arguments: Engine.all)
    func passed(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            try await node.caughtUp()
            // A position that made no stoken.
            let free = try #require(
                try await node.database.read { connection in
                    try connection.first(
                        Statement(
                            """
                            SELECT max(position) FROM apus_event
                            WHERE position NOT IN (SELECT id FROM django_etebase_stoken)
                            AND position NOT IN (SELECT id FROM django_etebase_collectionitemrevision)
                            """), []
                    ) { $0.integer(0) }
                })
            let head = Int64(try await node.log().count)
            try await revise(free, node)
            guard case .adopted = try await adopt(node) else { return #expect(Bool(false), "nothing was adopted") }
            #expect(try await faults(node) == [])
            #expect(try #require(try await found("other-\(free)", node)) > head)
            try await node.commit(OfferedItem("new", "new-1"), by: UserID(rawValue: 1))
            #expect(try await faults(node) == [])
        }
    }

    @Test(
        "in the way of what is in the log and not yet in the tables makes way, and nothing of either is lost", arguments: [Engine.postgres])
    func inTheWay(engine: Engine) async throws {
        guard Engine.all.contains(engine) else { return }
        try await engine.place { place in
            let ada = UserID(rawValue: 1)
            let node = try await place.node()
            try await node.running { node in
                try await node.wholeHistory()
                try await node.caughtUp()
            }
            let head = Int64(try await node.log().count)
            // No projector runs now.
            try await withThrowingTaskGroup(of: Void.self) { group in
                let front = try await place.node()
                group.addTask { try await front.committer.run() }
                let submission = try await front.submission(CommitItems([OfferedItem("p", "p-late", chunks: "k20")], by: ada))
                _ = try await front.committer.commit(submission)
                group.cancelAll()
            }
            try await node.database.write { connection in
                for sql in [
                    "INSERT INTO django_etebase_stoken (id, uid) VALUES (\(head + 1), 'of the other')",
                    "UPDATE django_etebase_collectionitemrevision SET current = NULL WHERE item_id = (SELECT id FROM django_etebase_collectionitem WHERE uid = 'p')",
                    """
                    INSERT INTO django_etebase_collectionitemrevision (id, uid, meta, current, deleted, item_id, stoken_id)
                    SELECT \(head + 1), 'other', '\\x01', TRUE, FALSE, id, \(head + 1) FROM django_etebase_collectionitem WHERE uid = 'p'
                    """,
                    """
                    INSERT INTO django_etebase_collectionitemchunk (id, uid, "chunkFile", collection_id)
                    SELECT max(id) + 1, 'other', 'user_1/other', min(collection_id) FROM django_etebase_collectionitemchunk
                    """,
                ] { try connection.run(script: sql) }
            }
            guard case .adopted = try await adopt(node) else { return #expect(Bool(false), "nothing was adopted") }
            #expect(try await faults(node).filter { !$0.contains("user_1/other") } == [])
            #expect(try await found("p-late", node) == head + 1)
            #expect(try #require(try await found("other", node)) > head + 1)
            let current = try await node.database.read { connection in
                try connection.query(
                    Statement(
                        """
                        SELECT revision.uid FROM django_etebase_collectionitemrevision revision
                        JOIN django_etebase_collectionitem item ON item.id = revision.item_id
                        WHERE item.uid = 'p' AND revision.current = TRUE
                        """), []
                ) { $0.text(0) }
            }
            #expect(current == ["p-late"])
            try await place.node().running { node in
                try await node.commit(OfferedItem("new", "new-1"), by: ada)
                try await node.caughtUp()
                #expect(try await faults(node).filter { !$0.contains("user_1/other") } == [])
            }
        }
    }

    @Test("that changes rows and makes none is taken when it is said to be true", arguments: Engine.projectingInAppend)
    func changed(engine: Engine) async throws {
        try await engine.node { node in
            try await node.wholeHistory()
            try await node.meddle("UPDATE django_etebase_userinfo SET salt = X'05' WHERE owner_id = 1")
            guard case .damaged = try await adopt(node) else { return #expect(Bool(false), "a changed row is not told") }
            guard case .adopted = try await adopt(node, takesAll: true) else { return #expect(Bool(false), "it is not taken") }
            #expect(try await faults(node) == [])
        }
    }
}
