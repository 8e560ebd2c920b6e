import Database
import Domain
import EventLog
import Foundation
import ReadModel
import TestSupport
import Testing

@testable import Schemas

@Suite("The schema") struct SchemaTests {
    private func create(_ database: any Database) async throws {
        try await database.write { [dialect = database.dialect] connection in try Schema.create(connection, dialect) }
    }

    /// What the database is made of, and every row.
    private func everything(_ node: Node) async throws -> [String: [String]] {
        var everything = try await node.tables()
        everything["definitions"] = try await node.database.read { try $0.query(.definitions, []) { $0.text(0) } }
        return everything
    }

    @Test("made a second time stays as it is", arguments: Engine.all)
    func twice(engine: Engine) async throws {
        try await engine.node { node in
            try await node.create(notes, by: try await node.user("ada"))
            let before = try await everything(node)
            try await create(node.database)
            #expect(try await everything(node) == before)
        }
    }

    @Test("is made once by processes that come at once", arguments: Engine.all)
    func atOnce(engine: Engine) async throws {
        try await engine.place { place in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { _ = try await place.node() } }
                try await group.waitForAll()
            }
            #expect(try await place.node().tables()["apus_schema"]?.count == 1)
        }
    }

    /// The scripts of the first version.
    private static let oldest = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../Schemas/versions/version1.sqlite.sql")

    @Test("is upgraded to what a new database has")
    func upgraded() async throws {
        try await Engine.sqlite.place { place in
            let oldest = try String(contentsOf: Self.oldest, encoding: .utf8)
            let database = try await place.database("old")
            try await database.write { connection in try connection.run(script: oldest) }
            let (old, new) = (try await place.node("old"), try await place.node("new"))
            #expect(try await new.tables()["apus_schema"] == ["version=\(Schema.version)"])
            #expect(try await old.tables() == new.tables())
            for table in try await new.tables().keys {
                let columns = Statement("SELECT name || ' ' || type || ' ' || \"notnull\" || ' ' || pk FROM pragma_table_info($1)")
                let read = { @Sendable (connection: any Connection) in try connection.query(columns, [.text(table)]) { $0.text(0) } }
                #expect(try await old.database.read(read) == new.database.read(read), "\(table)")
            }
        }
    }

    @Test("is upgraded once, in order, and as a whole or not at all")
    func upgrades() async throws {
        try await Engine.sqlite.node { node in
            let start = Schema.version
            let upgrades = [
                Schema.Upgrade(version: start + 1, sqlite: ["CREATE TABLE apus_news (id INTEGER)", "INSERT INTO apus_news VALUES (1)"]),
                Schema.Upgrade(version: start + 2, sqlite: ["UPDATE apus_news SET id = id + 1"]),
            ]
            let broken = upgrades + [Schema.Upgrade(version: start + 3, sqlite: ["UPDATE apus_nothing SET id = 1"])]
            let upgrade = { @Sendable (upgrades: [Schema.Upgrade]) in
                try await node.database.write { try Schema.create($0, .sqlite, upgrades: upgrades) }
            }
            let before = try await everything(node)
            await #expect(throws: DatabaseFault.self) { try await upgrade(broken) }
            #expect(try await everything(node) == before)
            for _ in 0..<2 { try await upgrade(upgrades) }
            #expect(try await node.tables()["apus_news"] == ["id=2"])
            #expect(try await node.tables()["apus_schema"] == ["version=\(start + 2)"])
        }
    }

    /// An upgrade that takes something away.
    private static func removal(_ version: Int64) -> Schema.Upgrade {
        let script = ["ALTER TABLE apus_last_backup RENAME TO apus_gone"]
        return Schema.Upgrade(
            version: version, summary: "takes away", bearableFrom: "0.2.0", sqlite: script, postgres: script)
    }

    @Test("an upgrade that takes something away waits for the end of the processes that need it", arguments: Engine.all)
    func removal(engine: Engine) async throws {
        try await engine.node { node in
            let version = Schema.version + 1
            let serving = { @Sendable (name: String, version: String, roles: String, expiry: Int64) in
                try await node.meddle("INSERT INTO apus_process VALUES ('\(name)', '\(roles)', NULL, '\(version)', 0, 1, 1, \(expiry))")
            }
            try await serving("old", "0.1.9 (abc)", "api", .max)
            try await serving("gone", "0.1.0", "api", 1)
            try await serving("looking", "0.1.0", "doctor", .max)
            for (name, version) in [("new", "0.2.0"), ("newer", "0.10.0 (abc)")] { try await serving(name, version, "projector", .max) }
            let upgrade = {
                try await node.database.write { [dialect = node.database.dialect] in
                    try Schema.create($0, dialect, upgrades: [Self.removal(version)])
                }
            }
            let before = try await everything(node)
            let fault = await #expect(throws: DatabaseFault.self) { try await upgrade() }
            #expect(fault.map { "\($0)" }?.contains("before 0.2.0 need, and one still serves the database (api, 0.1.9 (abc))") == true)
            #expect(try await everything(node) == before)
            let plan = try await node.database.read { try Schema.plan($0, upgrades: [Self.removal(version)]) }
            #expect(plan?.inTheWay == ["api, 0.1.9 (abc)"])
            #expect(plan?.processes?.count == 3)
            #expect(plan?.steps == [.init(version: version, summary: "takes away", bearableFrom: "0.2.0")])
            #expect(try await everything(node) == before)
            try await node.meddle("DELETE FROM apus_process WHERE process = 'old'")
            try await upgrade()
            #expect(try await node.database.read { try Schema.check($0, newest: version) } == version)
        }
    }

    @Test("of a newer version is refused and left as it is", arguments: Engine.all)
    func newer(engine: Engine) async throws {
        try await engine.node { node in
            try await node.meddle("UPDATE apus_schema SET version = version + 1")
            let before = try await everything(node)
            let fault = await #expect(throws: DatabaseFault.self) { try await create(node.database) }
            #expect(fault.map { "\($0.kind)" } == "corrupt")
            #expect(try await everything(node) == before)
        }
    }

    @Test("is not put beside the tables of another program", arguments: Engine.all)
    func foreign(engine: Engine) async throws {
        try await engine.place { place in
            let database = try await place.database()
            try await database.write { connection in
                try connection.run(script: "CREATE TABLE shop (id INTEGER); INSERT INTO shop VALUES (1)")
            }
            let fault = await #expect(throws: DatabaseFault.self) { try await create(database) }
            #expect(fault.map { "\($0.kind)" } == "corrupt")
            let names = try await database.read { try $0.query(.tableNames, []) { $0.text(0) } }
            #expect(names == ["shop"])
        }
    }
}

@Suite("Stokens of the read model") struct StokenOfReadModelTests {
    private func open(_ stoken: String, _ node: Node) async throws -> Int64? {
        try await node.snapshot { snapshot in try snapshot.position(ofStoken: stoken)?.rawValue }
    }

    private func stoken(_ position: Int64, epoch: Int64 = 1, _ node: Node) -> String {
        node.stokens.stoken(LogHead(position: Position(rawValue: position), epoch: epoch))
    }

    @Test("are those of the history so far, and no others", arguments: Engine.all)
    func history(engine: Engine) async throws {
        try await engine.node { node in
            try await node.create(notes, by: try await node.user("ada"))
            for position in Int64(1)...3 { #expect(try await open(stoken(position, node), node) == position) }
            for (position, epoch) in [(4, 1), (0, 1), (-1, 1), (3, 2), (Int64.max, 1)] as [(Int64, Int64)] {
                #expect(try await open(stoken(position, epoch: epoch, node), node) == nil)
            }
            for text in ["", "x", String(repeating: "A", count: 32), "' OR 1 = 1 --"] { #expect(try await open(text, node) == nil) }
        }
    }

    @Test("of an adopted database are looked up", arguments: Engine.all)
    func adopted(engine: Engine) async throws {
        try await engine.node { node in
            try await node.create(notes, by: try await node.user("ada"))
            try await node.meddle("UPDATE django_etebase_stoken SET uid = 'XkPcaEUVhmKnMnmQ3TUoN6LKb3pAFO6o' WHERE id = 2")
            #expect(try await open("XkPcaEUVhmKnMnmQ3TUoN6LKb3pAFO6o", node) == 2)
            #expect(try await node.snapshot { try $0.stoken(at: Position(rawValue: 2)) } == "XkPcaEUVhmKnMnmQ3TUoN6LKb3pAFO6o")
        }
    }

    @Test("of a future that was lost are refused, those of the common past are not", arguments: Engine.all)
    func lostFuture(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            // The log was once longer; a backup that ended at position 3 was restored, and history goes on from there.
            try await node.meddle("INSERT INTO apus_epoch (epoch, first_position) VALUES (2, 4)")
            try await node.meddle("UPDATE apus_log SET epoch = 2")
            try await node.commit(OfferedItem("a", "a-1"), OfferedItem("b", "b-1"), by: ada)
            #expect(try await open(stoken(3, node), node) == 3)
            #expect(try await open(stoken(4, node), node) == nil)
            #expect(try await open(stoken(5, node), node) == nil)
            #expect(try await open(stoken(4, epoch: 2, node), node) == 4)
            #expect(try await open(stoken(3, epoch: 2, node), node) == nil)
            #expect(try await open(stoken(6, epoch: 2, node), node) == nil)
            #expect(try await node.snapshot { try $0.stoken(at: Position(rawValue: 4)) } == stoken(4, epoch: 2, node))
            #expect(try await node.log().map(\.epoch) == [1, 1, 1, 2, 2])
        }
    }
}

@Suite("A decision") struct LostDecisionTests {
    @Test("on a state that was lost when history forked is not carried out, on one of the common past it is", arguments: Engine.all)
    func lost(engine: Engine) async throws {
        try await engine.place { place in
            try await place.node("old").running { old in
                try await place.node("restored").running { restored in
                    let ada = UserID(rawValue: 1)
                    for node in [old, restored] {
                        #expect(try await node.user("ada") == ada)
                        try await node.create(notes, by: ada)
                    }
                    let common = try await old.submission(CommitItems([OfferedItem("a", "a-1")], to: notes, by: ada))
                    try await old.commit(OfferedItem("lost", "lost-1"), by: ada)
                    let lost = try await old.submission(CommitItems([OfferedItem("b", "b-1")], to: notes, by: ada))
                    // Before the new epoch begins, when it has begun, and when it is longer than what was lost.
                    await #expect(throws: LogFault.lost) { try await restored.committer.commit(lost) }
                    try await restored.meddle("INSERT INTO apus_epoch (epoch, first_position) VALUES (7, 4)")
                    try await restored.meddle("UPDATE apus_log SET epoch = 7")
                    await #expect(throws: LogFault.lost) { try await restored.committer.commit(lost) }
                    #expect(try await restored.committer.commit(common).map(\.epoch) == [7])
                    try await restored.commit(OfferedItem("c", "c-1"), by: ada)
                    await #expect(throws: LogFault.lost) { try await restored.committer.commit(lost) }
                    // And a state of an epoch of which this history knows nothing.
                    let new = try await restored.submission(CommitItems([OfferedItem("d", "d-1")], to: notes, by: ada))
                    await #expect(throws: LogFault.lost) { try await old.committer.commit(new) }
                    #expect(try await restored.log().count == 5)
                }
            }
        }
    }
}
