internal import Domain
package import Redis
internal import Sodium

/// Where sealed tickets are kept that any gateway redeems: keys with bytes, which it forgets after a while.
protocol TicketShelf: Sendable {
    /// Keeps bytes for so many seconds.
    func put(_ bytes: [UInt8], at key: String, seconds: Int) async throws

    /// Takes bytes away: of any number who take them at the same time, one gets them. Nil where there are none.
    func take(_ key: String) async throws -> [UInt8]?
}

/// Tickets in Redis, which any gateway redeems. Whoever can look into Redis finds neither tickets nor tokens there: the key
/// of an entry is a hash of the ticket, and what the ticket stands for is sealed.
package struct RedisTickets: Tickets {
    private let shelf: any TicketShelf
    private let prefix: String
    private let box: SecretBox
    private let mark: TicketMark

    /// - Parameters:
    ///   - prefix: what keys begin with; the same in all processes on one log.
    ///   - secret: the server's secret.
    package init(_ redis: Redis, prefix: String, secret: [UInt8]) {
        self.init(RedisShelf(redis: redis), prefix: prefix, secret: secret)
    }

    init(_ shelf: any TicketShelf, prefix: String, secret: [UInt8]) {
        self.shelf = shelf
        self.prefix = prefix
        box = SecretBox(key: Sodium.blake2b(secret, personalization: "apus-tickets"))
        mark = TicketMark(secret: secret)
    }

    package func issue(_ grant: Grant) async throws(TicketsUnavailable) -> String {
        let ticket = mark.make()
        let fields = [
            "\(grant.user.rawValue)", grant.session, grant.token, "\(grant.position.rawValue)", grant.collection.rawValue,
        ]
        let sealed = box.seal(Array(fields.joined(separator: " ").utf8))
        do {
            try await shelf.put(sealed, at: key(of: ticket), seconds: Int(TicketRule.lifetime.components.seconds))
        } catch { throw TicketsUnavailable("\(error)") }
        return ticket
    }

    package func redeem(_ ticket: String) async throws(TicketsUnavailable) -> Grant? {
        // What anybody has made up costs Redis nothing.
        guard mark.isOn(ticket) else { return nil }
        let taken: [UInt8]?
        do { taken = try await shelf.take(key(of: ticket)) } catch { throw TicketsUnavailable("\(error)") }
        guard let sealed = taken, let fields = box.open(sealed) else { return nil }
        let words = String(decoding: fields, as: UTF8.self).parts(separatedBy: " ", limit: 5)
        guard words.count == 5, let user = Int64(words[0]), let position = Int64(words[3]) else { return nil }
        return Grant(
            collection: CollectionUID(words[4]), user: UserID(rawValue: user), session: words[1], token: words[2],
            position: Position(rawValue: position))
    }

    private func key(of ticket: String) -> String {
        prefix + Sodium.blake2b(Array(ticket.utf8), personalization: "apus-ticket-key").hexadecimal
    }
}

private struct RedisShelf: TicketShelf {
    let redis: Redis

    func put(_ bytes: [UInt8], at key: String, seconds: Int) async throws {
        _ = try await redis.patiently(["SET", .text(key), .bytes(bytes), "EX", .number(seconds)], isRepeatable: true)
    }

    func take(_ key: String) async throws -> [UInt8]? {
        // What was taken without an answer is gone: that it could not be told is the truth, and that there was none is not.
        try await redis.patiently(["EVAL", .text(Self.take), 1, .text(key)], isRepeatable: false).bytes
    }

    /// Looking and forgetting in one step, as GETDEL does in servers from 6.2 on.
    private static let take = "local found = redis.call('GET', KEYS[1]) if found then redis.call('DEL', KEYS[1]) end return found"
}
