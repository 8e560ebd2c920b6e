import Domain
import ReadModel
import TestSupport
import Testing

@Suite("What lets somebody into the pages") struct PageKeyTests {
    private func after(_ seconds: Int64) -> Timestamp { Timestamp(rawValue: noon.rawValue + seconds * 1_000_000) }

    @Test("is good once and for a while as a link, and ends in its time as a visit", arguments: Engine.all)
    func ends(engine: Engine) async throws {
        try await engine.node { node in
            let keys = PageKeys(node.database)
            let link = try #require(try await keys.makeLink(to: .admin, goodFor: .seconds(60), at: noon))
            #expect(try await keys.isGood(link: link, to: .admin, at: after(59)))
            #expect(try await !keys.isGood(link: link, to: .admin, at: after(60)))
            #expect(try await keys.redeem(link: link, to: .admin, goodFor: .seconds(60), at: after(60)) == nil)
            #expect(try await keys.redeem(link: link, to: .account, goodFor: .seconds(60), at: noon) == nil)
            let visit = try #require(try await keys.redeem(link: link, to: .admin, goodFor: .seconds(3600), at: after(59)))
            #expect(try await keys.redeem(link: link, to: .admin, goodFor: .seconds(3600), at: after(59)) == nil)
            #expect(try await keys.session(secret: visit, in: .admin, at: after(59 + 3599))?.user == nil)
            #expect(try await keys.session(secret: visit, in: .admin, at: after(59 + 3599)) != nil)
            #expect(try await keys.session(secret: visit, in: .account, at: after(60)) == nil)
            #expect(try await keys.session(secret: link, in: .admin, at: after(60)) == nil)
            #expect(try await keys.session(secret: visit, in: .admin, at: after(59 + 3600)) == nil)
            let other = try await keys.logIn(UserID(rawValue: 7), goodFor: .seconds(60), at: noon)
            #expect(try await keys.session(secret: other, in: .admin, at: after(59))?.user == UserID(rawValue: 7))
            #expect(try await keys.endAll(of: .account) == 0)
            #expect(try await keys.endAll(of: .admin) > 0)
            for secret in [visit, other] { #expect(try await keys.session(secret: secret, in: .admin, at: noon) == nil) }
        }
    }
}
