import Database
import Domain
import ReadModel
import TestSupport
import Testing

@Suite("Links to sign up with") struct SignupLinkTests {
    private static let now = Timestamp(rawValue: 1_000_000)
    private static let later = Timestamp(rawValue: 2_000_000)

    private static func use(_ made: (link: SignupLink, secret: String), _ name: String) -> SignupUse {
        SignupUse(of: made.link, secret: made.secret, for: CanonicalName(name))
    }

    @Test("are taken by no more at once than they have uses", arguments: Engine.all)
    func atOnce(engine: Engine) async throws {
        try await engine.place { place in
            let links = SignupLinks(try await place.node().database)
            for uses in [1, 3] {
                let made = try #require(try await links.make(for: nil, uses: uses, until: nil, at: Self.now))
                let taken = try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<24 {
                        group.addTask { try await links.claim(Self.use(made, "user\(number)"), at: Self.now) == .first }
                    }
                    return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                #expect(taken == uses)
                let link = try #require(try await links.link(secret: made.secret, at: Self.now))
                #expect(link.isUsedUp && link.used == uses)
            }
        }
    }

    @Test("count once what is asked for again, and know what came of it", arguments: Engine.all)
    func again(engine: Engine) async throws {
        try await engine.place { place in
            let links = SignupLinks(try await place.node().database)
            let made = try #require(try await links.make(for: nil, uses: 2, until: nil, at: Self.now))
            let ada = Self.use(made, "ada")
            #expect(try await !links.has(ada))
            #expect(try await links.claim(ada, at: Self.now) == .first)
            #expect(try await links.giveBack(ada))
            #expect(try await links.claim(ada, at: Self.now) == .first)
            #expect(try await links.claim(ada, at: Self.now) == .again)
            // Either may have made it.
            #expect(try await !links.giveBack(ada))
            #expect(try await links.link(secret: made.secret, at: Self.now)?.used == 1)
            try await links.settle(ada)
            #expect(try await links.claim(ada, at: Self.now) == .made)
            #expect(try await links.claim(Self.use(made, "bob"), at: Self.now) == .first)
            #expect(try await links.claim(Self.use(made, "eve"), at: Self.now) == nil)
            #expect(try await !links.has(Self.use(made, "eve")))
            #expect(try await links.pending(at: Self.now).isEmpty)
        }
    }

    @Test("are good until they expire or are withdrawn, and there is one for a name", arguments: Engine.all)
    func ends(engine: Engine) async throws {
        try await engine.place { place in
            let links = SignupLinks(try await place.node().database)
            let made = try #require(try await links.make(for: CanonicalName("Ada"), uses: 1, until: Self.later, at: Self.now))
            #expect(made.link.username == "ada")
            #expect(try await links.make(for: CanonicalName("ada"), uses: 1, until: nil, at: Self.now) == nil)
            #expect(try await links.pending(at: Self.now).map(\.id) == [made.link.id])
            #expect(try await links.link(secret: made.secret, at: Self.later) == nil)
            #expect(try await links.claim(Self.use(made, "ada"), at: Self.later) == nil)
            let other = try #require(try await links.make(for: CanonicalName("ada"), uses: 1, until: nil, at: Self.later))
            #expect(try await links.pending(at: Self.later).map(\.id) == [other.link.id])
            #expect(try await links.withdraw(other.link.id))
            #expect(try await !links.withdraw(other.link.id))
            #expect(try await links.link(secret: other.secret, at: Self.later) == nil)
            #expect(try await links.claim(Self.use(other, "ada"), at: Self.later) == nil)
        }
    }

    @Test("are secrets of 256 bits that the database does not have", arguments: Engine.all)
    func secrets(engine: Engine) async throws {
        try await engine.place { place in
            let node = try await place.node()
            let links = SignupLinks(node.database)
            let made = try #require(try await links.make(for: nil, uses: 1, until: nil, at: Self.now))
            _ = try await links.claim(Self.use(made, "adalovelace"), at: Self.now)
            #expect(made.secret.count == 43)
            #expect(made.secret.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) })
            let rows = try await node.tables().filter { $0.key.hasPrefix("apus_signup") }.flatMap(\.value)
            #expect(rows.count == 2)
            #expect(rows.allSatisfy { !$0.contains(made.secret) && !$0.contains("adalovelace") })
            #expect(try await links.link(secret: made.secret + "x", at: Self.now) == nil)
            #expect(try await links.link(secret: String(made.secret.reversed()), at: Self.now) == nil)
        }
    }
}
