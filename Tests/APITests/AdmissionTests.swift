import Logging
import NIOCore
import NIOEmbedded
import Testing

@testable import API

@Suite("Admission") struct AdmissionTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private func after(_ seconds: Int64) -> NIODeadline { start + .seconds(seconds) }

    @Test("a head has ten seconds, from the first moment or its first byte on")
    func head() {
        var arrival = Arrival(at: start)
        #expect(arrival.verdict(at: after(9)) == .goesOn)
        #expect(arrival.verdict(at: after(10)) == .headIsSlow)
        arrival.headCame(at: after(5), bearsToken: false)
        arrival.ended()
        arrival.answered()
        #expect(arrival.verdict(at: after(1000)) == .goesOn)
        arrival.bytesCame(at: after(1000))
        #expect(arrival.verdict(at: after(1009)) == .goesOn)
        #expect(arrival.verdict(at: after(1010)) == .headIsSlow)
    }

    @Test("a body must come at a rate, after a grace, and what the server pauses is not the client's")
    func body() {
        var arrival = Arrival(at: start)
        arrival.headCame(at: start, bearsToken: true)
        #expect(arrival.verdict(at: after(149)) == .goesOn)
        #expect(arrival.verdict(at: after(150)) == .bodyIsSlow)
        arrival.headCame(at: start, bearsToken: false)
        #expect(arrival.verdict(at: after(19)) == .goesOn)
        #expect(arrival.verdict(at: after(20)) == .bodyIsSlow)
        arrival.bodyCame(10 * Arrival.bytesPerSecond)
        #expect(arrival.verdict(at: after(29)) == .goesOn)
        #expect(arrival.verdict(at: after(30)) == .bodyIsSlow)
        arrival.pauses(at: after(10))
        #expect(arrival.verdict(at: after(1000)) == .goesOn)
        arrival.reads(at: after(1000))
        #expect(arrival.verdict(at: after(1019)) == .goesOn)
        #expect(arrival.verdict(at: after(1020)) == .bodyIsSlow)
        arrival.ended()
        #expect(arrival.verdict(at: after(9999)) == .goesOn)
    }

    @Test("what comes of requests sent at once goes on as far as the end of a head")
    func heads() {
        func count(_ bytes: [UInt8]) -> Int { HeadEnd.count(in: ByteBuffer(bytes: bytes).readableBytesView) }
        let one = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        #expect(count(one + one) == one.count)
        #expect(count(one.dropLast()) == one.count - 1)
        let bare = Array("GET / HTTP/1.1\nHost: a\n\n".utf8)
        #expect(count(bare + bare) == bare.count)
        #expect(count(Array("\r\n".utf8) + one + one) == one.count + 2)
        #expect(count([]) == 0)
    }

    @Test("a budget gives what it has, and a share gives it back")
    func budget() throws {
        let budget = MemoryBudget(limitBytes: 100)
        var share: MemoryShare? = MemoryShare(of: budget)
        try share?.grow(by: 60)
        #expect(throws: APIError.self) { try share?.grow(by: 41) }
        try share?.grow(by: 40)
        #expect(!budget.take(1))
        share = nil
        #expect(budget.take(100))
    }

    @Test("strangers who ask for nothing make room for newcomers, and who is known stays")
    func room() async throws {
        let connections = Connections(.init(all: 8, isProxied: false), logger: Logger(label: "test"))
        #expect(connections.limits.strangers == 6)
        let known = try connection("10.0.0.1", connections)
        connections.recognize(known.connection)
        let strangers = try (0..<4).map { try connection("10.0.0.\($0)", connections) }
        // Of one address half of the strangers' places: the first that asks for nothing goes.
        strangers[1].connection.become(working: true)
        let crowd = try (0..<3).map { _ in try connection("10.0.0.1", connections) }
        #expect(connections.count == 7)
        #expect(known.channel.isActive)
        #expect(strangers[1].channel.isActive)
        #expect(!crowd[0].channel.isActive)
        #expect(crowd[2].channel.isActive)
        for place in [known] + strangers + crowd { _ = try? place.channel.finish() }
    }

    @Test("where all are busy newcomers are refused")
    func refused() throws {
        let connections = Connections(.init(all: 4, isProxied: true), logger: Logger(label: "test"))
        let places = try (0..<3).map { try connection("10.0.0.\($0)", connections) }
        for place in places { place.connection.become(working: true) }
        let late = EmbeddedChannel()
        #expect(!connections.admit(ClientConnection(late, address: "10.0.0.9")))
        places[0].connection.become(working: false)
        #expect(connections.admit(ClientConnection(late, address: "10.0.0.9")))
        #expect(!places[0].channel.isActive)
        for place in places { _ = try? place.channel.finish() }
        _ = try? late.finish()
    }

    @Test("who is known and idle keeps the place that a stranger could not take")
    func known() throws {
        let connections = Connections(.init(all: 4, isProxied: true), logger: Logger(label: "test"))
        let known = try connection("10.0.0.1", connections)
        connections.recognize(known.connection)
        let strangers = try (2..<5).map { try connection("10.0.0.\($0)", connections) }
        for stranger in strangers { stranger.connection.become(working: true) }
        let late = EmbeddedChannel()
        #expect(!connections.admit(ClientConnection(late, address: "10.0.0.9")))
        #expect(known.channel.isActive)
        // One who is let in is worth it, where it is the places of all that are taken.
        connections.recognize(strangers[0].connection)
        #expect(connections.admit(ClientConnection(late, address: "10.0.0.9")))
        #expect(!known.channel.isActive)
        for place in [known] + strangers { _ = try? place.channel.finish() }
        _ = try? late.finish()
    }

    private func connection(_ address: String, _ connections: Connections) throws -> (
        channel: EmbeddedChannel, connection: ClientConnection
    ) {
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: address, port: 1)).wait()
        let connection = ClientConnection(channel, address: address)
        #expect(connections.admit(connection))
        return (channel, connection)
    }
}
