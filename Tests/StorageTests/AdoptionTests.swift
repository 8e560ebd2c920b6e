import Database
import Domain
import EventLog
import Projections
import Schemas
import TestSupport
import Testing

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

    private func adopt(_ database: any Database) async throws {
        _ = try await database.write { [dialect = database.dialect] connection in
            try Schema.adopt(connection, dialect) { try Adoption.requireSound(connection, dialect) }
            return try Adoption.run(connection, at: Timestamp(rawValue: 1)) { _ in }
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
            try await adopt(database)
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
        try await tables(engine) { _, database in
            try await adopt(database)
            await #expect(throws: DatabaseFault.self) { try await adopt(database) }
        }
    }

    @Test("changes nothing where it fails", arguments: Engine.all)
    func fails(engine: Engine) async throws {
        try await tables(engine) { place, database in
            await #expect(throws: DatabaseFault.self) {
                _ = try await database.write { [dialect = database.dialect] connection in
                    try Schema.adopt(connection, dialect) { try Adoption.requireSound(connection, dialect) }
                    _ = try Adoption.run(connection, at: Timestamp(rawValue: 1)) { _ in }
                    throw DatabaseFault(.unavailable, "the power went")
                }
            }
            let names = try await database.read { try $0.query(.tableNames, []) { $0.text(0) } }
            #expect(names.allSatisfy { !$0.hasPrefix("apus_") })
            try await adopt(database)
            #expect(try await faults(place.node()) == [])
        }
    }
}
