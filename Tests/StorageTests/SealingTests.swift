import Database
import Domain
import EventLog
import Synchronization
import Testing

/// A database in which something happens after each write.
private struct BusyDatabase: Database {
    let base: any Database
    let meanwhile: @Sendable () async throws -> Void
    var engine: DatabaseEngine { base.engine }

    func read<T: Sendable>(_ extent: ReadExtent, _ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        try await base.read(extent, body)
    }

    func write<T: Sendable>(_ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        let result = try await base.write(body)
        try await meanwhile()
        return result
    }
}

@Suite("Sealing") struct SealingTests {
    @Test("leaves what comes meanwhile to the next time, so it ends however busy writers are", arguments: Engine.all)
    func busy(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            let database = BusyDatabase(base: node.database) {
                let end = try await node.log().count
                if end < 10 { try await node.commit(OfferedItem(ItemUID("item-\(end)"), RevisionUID("item-\(end)-1")), by: ada) }
            }
            let sealer = Sealer(database: database, key: SealKey(secret: [1]))
            for end: Int64 in [3, 4, 5] {
                try await sealer.seal()
                #expect(try await sealer.newest()?.position == Position(rawValue: end))
            }
            try await node.caughtUp()
        }
    }

    @Test("of a long log makes a seal for each stretch, and commits them together", arguments: Engine.all)
    func long(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            let names = (0..<2500).map { "item-\($0)" }
            try await node.commit(CommitItems(names.map { OfferedItem(ItemUID($0), RevisionUID("\($0)-1")) }, by: ada))
            let writes = Mutex(0)
            let key = SealKey(secret: [1])
            try await Sealer(database: BusyDatabase(base: node.database) { writes.withLock { $0 += 1 } }, key: key).seal()
            #expect(writes.withLock { $0 } == 1)
            let ends = try await node.database.read { try $0.query(Statement("SELECT position FROM apus_seal"), []) { $0.integer(0) } }
            #expect(ends.sorted() == [1024, 2048, 2503])
            let report = try await LogVerification(database: node.database, key: key).run()
            #expect(report.faults == [] && report.sealed == report.end)
            try await node.caughtUp()
        }
    }
}
