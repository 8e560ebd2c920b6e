import Database
import Domain
import Foundation
import Testing

@testable import EventLog
@testable import Moving
@testable import Projections
@testable import Replay

@Suite("The server's secret") struct SecretTests {
    private static let right = Array("the secret of the tests".utf8)
    private static let wrong: [UInt8] = Array("another".utf8)

    private func require(_ secret: [UInt8], _ node: Node) async throws {
        try await node.database.write { try SecretMark.require(secret, $0) }
    }

    private func isOf(_ secret: [UInt8], _ node: Node) async throws -> Bool? {
        try await node.database.read { try SecretMark.isOf(secret, $0) }
    }

    private func verify(_ node: Node, with secret: [UInt8]) async throws -> [String] {
        try await LogVerification(database: node.database, key: SealKey(secret: secret)).run().faults
    }

    @Test("is the database's from the first time on, and another one is refused", arguments: Engine.all)
    func marked(engine: Engine) async throws {
        try await engine.node { node in
            #expect(try await isOf(Self.right, node) == nil)
            for _ in 0..<2 { try await require(Self.right, node) }
            #expect(try await isOf(Self.right, node) == true)
            let fault = await #expect(throws: SecretFault.self) { try await require(Self.wrong, node) }
            #expect(fault.map { "\($0)".contains("APUS_SECRET") } == true)
            let mark = try #require(
                try await node.database.read { try $0.first(Statement("SELECT mark FROM apus_secret"), []) { $0.blob(0) } })
            #expect(mark.count == 32 && mark != Self.right)
        }
    }

    @Test("of a database without a mark is known by the first thing that was made with it", arguments: Engine.all, [false, true])
    func evidence(engine: Engine, isSealed: Bool) async throws {
        try await engine.node { node in
            try await node.create(notes, by: try await node.user("ada"))
            try await node.caughtUp()
            if isSealed { try await Sealer(database: node.database, key: SealKey(secret: Self.right)).seal() }
            #expect(try await isOf(Self.right, node) == true)
            #expect(try await isOf(Self.wrong, node) == false)
            await #expect(throws: SecretFault.self) { try await require(Self.wrong, node) }
            try await require(Self.right, node)
        }
    }

    @Test("is renewed: seals, redactions and stokens are made anew, over a log that is sound", arguments: Engine.all)
    func renewed(engine: Engine) async throws {
        try await engine.node { node in
            // Its redactions are signed with a key of their own.
            try await node.wholeHistory()
            try await node.caughtUp()
            try await Sealer(database: node.database, key: SealKey(secret: Self.wrong)).seal()
            try await require(Self.wrong, node)
            let renewal = SecretRenewal(of: node.database, to: Self.right)
            let found = try await renewal.check()
            #expect(found.seals == 1 && found.redactions == 3 && found.stokens == 0)
            #expect(try await verify(node, with: Self.right) != [])

            #expect(try await renewal.renew().redactions == 3)
            #expect(try await renewal.check().isClean)
            #expect(try await verify(node, with: Self.right) == [])
            await #expect(throws: SecretFault.self) { try await require(Self.wrong, node) }
            let tables = try await withScratch {
                try await Verification(database: node.database, scratch: $0, stokens: node.stokens, chunks: node.chunks).run()
            }
            #expect(tables.faults == [])

            let other = SecretRenewal(of: node.database, to: Self.wrong)
            #expect(try await other.renew().stokens > 5)
            #expect(try await other.check().isClean)
            #expect(try await renewal.check().stokens > 5)
        }
    }

    @Test("is not renewed where the log is not what its seals say", arguments: Engine.all)
    func unsound(engine: Engine) async throws {
        try await engine.node { node in
            try await node.create(notes, by: try await node.user("ada"))
            try await node.caughtUp()
            try await Sealer(database: node.database, key: SealKey(secret: Self.wrong)).seal()
            try await require(Self.wrong, node)
            try await node.meddle("UPDATE apus_event SET occurred_at = occurred_at + 1 WHERE position = 2")
            let fault = await #expect(throws: SecretFault.self) { _ = try await SecretRenewal(of: node.database, to: Self.right).renew() }
            #expect(fault.map { "\($0)".contains("position 2 was changed") } == true)
            try await require(Self.wrong, node)
        }
    }
}

@Suite("What holds a secret") struct UnprintedTests {
    private func texts(_ value: Any) -> String {
        var dumped = ""
        dump(value, to: &dumped)
        return String(describing: value) + String(reflecting: value) + dumped + "\(Mirror(reflecting: value).children.map { $0 })"
    }

    @Test("prints nothing of it, in whatever holds it")
    func nothing() throws {
        let secret = Array("secret".utf8)
        let url = "postgres://apus:hushhush@db/apus"
        let holders: [Any] = [
            SealKey(secret: secret), [StokenSealer(secret: secret)], ["sealer": DjangoProjection(stokens: StokenSealer(secret: secret))],
            PostgresDatabase(url: url), SecretRenewal(of: PostgresDatabase(url: url), to: secret),
            LogView.Stream(head: .none, key: secret),
        ]
        for holder in holders {
            let texts = texts(holder)
            #expect(!texts.contains("hushhush") && !texts.contains("115, 101, 99"), "\(texts)")
            // Keys are arrays of 32 numbers or more, whatever they are.
            #expect(texts.firstMatch(of: /(\d+, ){15}/) == nil, "\(texts)")
        }
    }
}
