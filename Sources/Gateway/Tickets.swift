package import Domain
import Sodium
internal import Synchronization

/// What a ticket stands for: a user in a session who may listen to a collection.
package struct Grant: Hashable, Sendable, Unprinted {
    package let collection: CollectionUID
    package let user: UserID
    /// The short id of the session.
    package let session: String
    /// The token of the session: when it goes, the grant is good for what was there up to `position`, and no more.
    package let token: String
    /// Where the log ended when the grant was given.
    package let position: Position

    package init(collection: CollectionUID, user: UserID, session: String, token: String, position: Position) {
        self.collection = collection
        self.user = user
        self.session = session
        self.token = token
        self.position = position
    }
}

/// Where tickets are kept cannot be reached, or has no room.
package struct TicketsUnavailable: Error, Sendable, CustomStringConvertible {
    /// Why, for the log.
    package let description: String

    package init(_ reason: String) { description = reason }
}

/// Keeps tickets for the short time between asking for one and opening a socket with it. A ticket is good for
/// ``TicketRule/lifetime`` and once.
package protocol Tickets: Sendable {
    /// Makes a ticket.
    func issue(_ grant: Grant) async throws(TicketsUnavailable) -> String

    /// What the ticket stands for; nil when it is unknown, too old, or was redeemed before. Of any number that redeem one
    /// at the same time, one gets the grant.
    func redeem(_ ticket: String) async throws(TicketsUnavailable) -> Grant?
}

/// What is true of tickets wherever they are kept.
package enum TicketRule {
    /// How long a ticket is good.
    package static let lifetime = Duration.seconds(10)

    /// A new ticket: 43 random characters (256 bits) and the `=` that the original's end with.
    package static func make() -> String { Sodium.randomAlphanumerics(43) + "=" }
}

/// Tells tickets that were issued from those that were made up, without looking them up: the end of each follows from the rest
/// and the server's secret.
struct TicketMark: Sendable {
    private static let randomCharacters = 32
    private static let markCharacters = 11
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)

    private let key: [UInt8]

    init(secret: [UInt8]) { key = Sodium.blake2b(secret, personalization: "apus-ticketmark") }

    /// A new ticket in the form of all others.
    func make() -> String {
        let random = Sodium.randomAlphanumerics(Self.randomCharacters)
        return random + mark(of: Array(random.utf8)) + "="
    }

    func isOn(_ ticket: String) -> Bool {
        let bytes = Array(ticket.utf8)
        guard bytes.count == Self.randomCharacters + Self.markCharacters + 1, bytes.last == UInt8(ascii: "=") else { return false }
        let expected = Array(mark(of: Array(bytes.prefix(Self.randomCharacters))).utf8)
        return zip(bytes.dropFirst(Self.randomCharacters), expected).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private func mark(of random: [UInt8]) -> String {
        let hash = Sodium.blake2b(key + random, personalization: "apus-ticketmark").prefix(Self.markCharacters)
        return String(decoding: hash.map { Self.alphabet[Int($0) % Self.alphabet.count] }, as: UTF8.self)
    }
}

/// Tickets inside of one process.
package final class LocalTickets: Tickets {
    /// How many may be good at the same time.
    private static let limit = 100_000

    private struct Entry {
        let grant: Grant
        let expiry: ContinuousClock.Instant
    }

    private struct State: Unprinted {
        var entries: [ExactText: Entry] = [:]
        /// In the order in which they were made, which is that in which they expire.
        var order: [(ticket: ExactText, expiry: ContinuousClock.Instant)] = []

        mutating func forget(before now: ContinuousClock.Instant) {
            let expired = order.prefix { $0.expiry <= now }
            for (ticket, _) in expired { entries[ticket] = nil }
            order.removeFirst(expired.count)
        }
    }

    private let state = Mutex(State())
    private let now: @Sendable () -> ContinuousClock.Instant

    /// - Parameter now: the present moment.
    package init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.now = now
    }

    package func issue(_ grant: Grant) async throws(TicketsUnavailable) -> String {
        let (ticket, now) = (TicketRule.make(), now())
        let isIssued = state.withLock { state in
            state.forget(before: now)
            guard state.order.count < Self.limit else { return false }
            let expiry = now + TicketRule.lifetime
            state.entries[ExactText(ticket)] = Entry(grant: grant, expiry: expiry)
            state.order.append((ExactText(ticket), expiry))
            return true
        }
        guard isIssued else { throw TicketsUnavailable("too many are good at this time") }
        return ticket
    }

    package func redeem(_ ticket: String) async throws(TicketsUnavailable) -> Grant? {
        let now = now()
        let entry = state.withLock { $0.entries.removeValue(forKey: ExactText(ticket)) }
        guard let entry, entry.expiry > now else { return nil }
        return entry.grant
    }
}
