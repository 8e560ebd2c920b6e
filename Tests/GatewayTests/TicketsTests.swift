import Domain
import Synchronization
import TestSupport
import Testing

@testable import Gateway

@Suite("Tickets") struct TicketsTests {
    private let alice = Grant(collection: "notes", user: UserID(rawValue: 1), session: "s", token: "t", position: .none)

    /// A clock that stands still until it is moved.
    private final class Clock: Sendable {
        private let time = Mutex(ContinuousClock.now)
        var now: ContinuousClock.Instant { time.withLock { $0 } }
        func advance(by duration: Duration) { time.withLock { $0 += duration } }
    }

    @Test("a ticket is good once, and for ten seconds")
    func tickets() async throws {
        let clock = Clock()
        let tickets = LocalTickets { clock.now }
        let (once, late) = (try await tickets.issue(alice), try await tickets.issue(alice))
        #expect(try await tickets.redeem(once) == alice)
        #expect(try await tickets.redeem(once) == nil)
        clock.advance(by: TicketRule.lifetime)
        #expect(try await tickets.redeem(late) == nil)
    }
}
