import Glibc
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

    @Test("strangers who ask for nothing make room for newcomers, the first who began to, and who is known stays")
    func room() async throws {
        let connections = Connections(.init(all: 8, isProxied: false), logger: Logger(label: "test"))
        #expect(connections.limits.strangers == 6)
        let known = try connection("10.0.0.1", connections)
        connections.recognize(known.connection)
        let strangers = try (0..<4).map { try connection("10.0.0.\($0)", connections) }
        // Of one address half of the strangers' places.
        connections.set(strangers[1].connection, working: true)
        let crowd = try (0..<2).map { _ in try connection("10.0.0.1", connections) }
        connections.set(crowd[0].connection, working: true)
        connections.set(crowd[0].connection, working: false)
        let last = try connection("10.0.0.1", connections)
        #expect(connections.count == 7)
        #expect(try goesOn(known, strangers[1], crowd[0], last))
        #expect(try !goesOn(crowd[1]))
        // Of all addresses the one from which most have come.
        let other = try connection("10.0.0.9", connections)
        #expect(try !goesOn(crowd[0]))
        #expect(try goesOn(known, strangers[0], strangers[1], strangers[2], strangers[3], last, other))
        for place in [known, last, other] + strangers + crowd { _ = try? place.channel.finish() }
    }

    @Test("where all are busy those on their way are let in, and beyond all limits refused")
    func refused() throws {
        let connections = Connections(.init(all: 4, isProxied: true), logger: Logger(label: "test"))
        let places = try (0..<4).map { number in
            let place = try connection("10.0.0.\(number)", connections)
            connections.set(place.connection, working: true)
            return place
        }
        let late = EmbeddedChannel()
        #expect(!connections.admit(ClientConnection(late, address: "10.0.0.9")))
        connections.set(places[0].connection, working: false)
        #expect(connections.admit(ClientConnection(late, address: "10.0.0.9")))
        #expect(try !goesOn(places[0]))
        for place in places { _ = try? place.channel.finish() }
        _ = try? late.finish()
    }

    @Test("who is known and idle keeps the place that a stranger could not take")
    func known() throws {
        let connections = Connections(.init(all: 4, isProxied: true), logger: Logger(label: "test"))
        let known = try connection("10.0.0.1", connections)
        connections.recognize(known.connection)
        let strangers = try (2..<5).map { try connection("10.0.0.\($0)", connections) }
        for stranger in strangers { connections.set(stranger.connection, working: true) }
        let late = EmbeddedChannel()
        #expect(!connections.admit(ClientConnection(late, address: "10.0.0.9")))
        #expect(try goesOn(known))
        // One who is let in is worth it, where it is the places of all that are taken.
        connections.recognize(strangers[0].connection)
        #expect(connections.admit(ClientConnection(late, address: "10.0.0.9")))
        #expect(try !goesOn(known))
        for place in [known] + strangers { _ = try? place.channel.finish() }
        _ = try? late.finish()
    }

    @Test("who has sent something that was not read yet makes no room")
    func unread() throws {
        let connections = Connections(.init(all: 4, isProxied: true), logger: Logger(label: "test"))
        let wires = try (0..<3).map { _ in try Wire() }
        wires[0].send()
        let places = try wires.map { try connection("10.0.0.1", connections, descriptor: $0.here) }
        wires[1].send()
        // The first had sent something before it came, the second afterwards.
        let late = try (0..<2).map { _ in try connection("10.0.0.1", connections) }
        #expect(try goesOn(places[0], places[1], late[1]))
        #expect(try !goesOn(places[2]))
        #expect(try !goesOn(late[0]))
        // What was read was no request.
        wires[0].receive()
        connections.hasRead(places[0].connection)
        let later = try connection("10.0.0.1", connections)
        #expect(try !goesOn(late[1]))
        let last = try connection("10.0.0.1", connections)
        #expect(try !goesOn(places[0]))
        // What comes after the end of all requests keeps nobody.
        places[1].connection.endInput()
        connections.hasRead(places[1].connection)
        connections.set(later.connection, working: true)
        connections.set(last.connection, working: true)
        let end = try connection("10.0.0.1", connections)
        #expect(try !goesOn(places[1]))
        for place in places + late + [later, last, end] { _ = try? place.channel.finish() }
    }

    @Test("who begins to ask for something when it is to make room stays")
    func kept() throws {
        let connections = Connections(.init(all: 8, isProxied: true), logger: Logger(label: "test"))
        let wire = try Wire()
        let places = try (0..<6).map { try connection("10.0.0.1", connections, descriptor: $0 == 1 ? wire.here : nil) }
        let late = try (0..<3).map { _ in try connection("10.0.0.1", connections) }
        connections.set(places[0].connection, working: true)
        wire.send()
        #expect(connections.connection(of: places[0].channel) != nil)
        #expect(try goesOn(places[0], places[1]))
        #expect(try !goesOn(places[2]))
        #expect(connections.count == 8)
        // It is one of the strangers again.
        connections.set(places[0].connection, working: false)
        let last = try (0..<7).map { _ in try connection("10.0.0.1", connections) }
        #expect(try goesOn(places[1], last[0]))
        #expect(try !goesOn(places[0]))
        for place in places + late + last { _ = try? place.channel.finish() }
    }

    @Test("newcomers wait while as many strangers are at work as have room, and are called when there is time, whatever has made it")
    func waiting() throws {
        let connections = Connections(.init(all: 8, isProxied: false), logger: Logger(label: "test"))
        let (listener, calls) = (EmbeddedChannel(), Calls())
        try listener.pipeline.syncOperations.addHandler(calls)
        connections.come(from: listener)
        calls.count = 0
        let taken = AcceptedConnections(connections)
        // All that one address may have keep nobody else waiting.
        let places = try (0..<3).map { _ in try connection("10.0.0.1", connections) }
        for place in places { connections.set(place.connection, working: true) }
        #expect(taken.isAcceptingNewConnections())
        let others = try (2..<4).map { try connection("10.0.0.\($0)", connections) }
        for place in others { connections.set(place.connection, working: true) }
        #expect(taken.isAcceptingNewConnections())
        let makesTime: [(ClientConnection) -> Void] = [
            { connections.hasRead($0) }, { connections.recognize($0) }, { connections.leave($0) },
            {
                connections.set($0, working: true)
                connections.hasRead($0)
                #expect(!taken.isAcceptingNewConnections())
                connections.set($0, working: false)
            },
        ]
        for (number, makesTime) in makesTime.enumerated() {
            let wire = try Wire()
            wire.send()
            let last = try connection("10.0.1.\(number)", connections, descriptor: wire.here)
            #expect(!taken.isAcceptingNewConnections())
            #expect(calls.count == number)
            makesTime(last.connection)
            #expect(calls.count == number + 1)
            // Nobody waits any more, and nobody is called.
            connections.hasRead(last.connection)
            #expect(calls.count == number + 1)
            #expect(taken.isAcceptingNewConnections())
            if number != 2 { connections.leave(last.connection) }
            _ = try? last.channel.finish()
        }
        // Those who were taken in and wait for their event loop are at work too, until they are seen, as five were, or gone.
        for _ in 0..<6 { taken.connectionOpened() }
        #expect(!taken.isAcceptingNewConnections())
        taken.connectionClosed()
        #expect(taken.isAcceptingNewConnections())
        for place in places + others { _ = try? place.channel.finish() }
        _ = try? listener.finish()
    }

    private typealias Place = (channel: EmbeddedChannel, connection: ClientConnection)

    private func connection(_ address: String, _ connections: Connections, descriptor: CInt? = nil) throws -> Place {
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: address, port: 1)).wait()
        let connection = ClientConnection(channel, address: address, descriptor: descriptor)
        #expect(connections.admit(connection))
        return (channel, connection)
    }

    /// Whether all of these stay when their event loops have done what they were told.
    private func goesOn(_ places: Place...) throws -> Bool {
        for place in places { place.channel.embeddedEventLoop.run() }
        return places.allSatisfy { $0.channel.isActive }
    }
}

/// Two ends of a connection.
private final class Wire {
    let here: CInt
    private let there: CInt

    init() throws {
        var ends: [CInt] = [-1, -1]
        guard unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
            throw IOError(errnoCode: errno, reason: "socketpair")
        }
        (here, there) = (ends[0], ends[1])
    }

    deinit { for end in [here, there] { close(end) } }

    func send() { #expect(unsafe write(there, "a", 1) == 1) }

    func receive() {
        var byte: UInt8 = 0
        #expect(unsafe read(here, &byte, 1) == 1)
    }
}

/// Counts how often a listener's newcomers are called.
private final class Calls: ChannelOutboundHandler {
    typealias OutboundIn = Never
    var count = 0

    func read(context: ChannelHandlerContext) {
        count += 1
        context.read()
    }
}
