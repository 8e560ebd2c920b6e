import NIOCore
import NIOEmbedded
import NIOWebSocket
import Synchronization
import Testing

@testable import Gateway

@Suite("Sockets") struct SocketTests {
    @Test("of the answers to pings one is on its way and one waits, however many pings come")
    func pongs() throws {
        let channel = EmbeddedChannel()
        let unwritten = Unwritten()
        try channel.pipeline.syncOperations.addHandlers([unwritten, SocketHandler(pingInterval: .seconds(30)) { _ in }])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        for number in 0..<1000 {
            let frame = WebSocketFrame(fin: true, opcode: .ping, maskKey: [0, 0, 0, 0], data: ByteBuffer(integer: UInt32(number)))
            channel.pipeline.fireChannelRead(frame)
        }
        #expect(unwritten.frames.map { $0.data.getInteger(at: 0, as: UInt32.self) } == [0])
        unwritten.succeed()
        #expect(unwritten.frames.map { $0.data.getInteger(at: 0, as: UInt32.self) } == [999])
        unwritten.succeed()
        #expect(unwritten.frames.isEmpty)
        _ = try? channel.finish()
    }

    /// Keeps frames as a peer makes them be kept that takes none.
    private final class Unwritten: ChannelOutboundHandler {
        typealias OutboundIn = WebSocketFrame

        private var writes: [(frame: WebSocketFrame, promise: EventLoopPromise<Void>?)] = []
        var frames: [WebSocketFrame] { writes.map(\.frame) }

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            writes.append((unwrapOutboundIn(data), promise))
        }

        func succeed() {
            let done = writes
            writes = []
            for write in done { write.promise?.succeed() }
        }
    }

    @Test("a socket begins when the handshake is answered, and ends once, when its connection does")
    func beginAndEnd() throws {
        let (channel, told) = (EmbeddedChannel(), Told())
        let handler = SocketHandler(pingInterval: .seconds(30)) { socket in
            told.tell("begins")
            socket.whenClosed { told.tell("ends") }
        }
        #expect(told.all == [])
        try channel.pipeline.syncOperations.addHandler(handler)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        #expect(told.all == ["begins"])
        try end(channel)
        #expect(told.all == ["begins", "ends"])
    }

    @Test("who asks for the end of a socket after it is told at once")
    func askedLate() throws {
        let (channel, told) = (EmbeddedChannel(), Told())
        let sockets = Mutex<[Socket]>([])
        try channel.pipeline.syncOperations.addHandler(
            SocketHandler(pingInterval: .seconds(30)) { socket in sockets.withLock { $0.append(socket) } })
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try end(channel)
        try #require(sockets.withLock { $0.first }).whenClosed { told.tell("ends") }
        #expect(told.all == ["ends"])
    }

    @Test("what is held for a socket is let go when the handshake never comes")
    func endsBeforeHandshake() throws {
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let upgrade = UpgradeHandler()
        try channel.pipeline.syncOperations.addHandler(upgrade)
        weak let held: Held?
        do {
            let strong = Held()
            held = strong
            upgrade.offer(SocketHandler(pingInterval: .seconds(30)) { _ in withExtendedLifetime(strong) {} })
        }
        #expect(held != nil)
        try end(channel)
        #expect(held == nil)
    }

    private final class Held: Sendable {}

    /// What is told, in its order.
    private final class Told: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }

        func tell(_ line: String) { lines.withLock { $0.append(line) } }
    }

    /// Ends a connection, and lets everybody be told: whom it concerns is told a turn of the loop later.
    private func end(_ channel: EmbeddedChannel) throws {
        try channel.close().wait()
        channel.embeddedEventLoop.run()
    }

    @Test("tickets that were made up are told from issued ones")
    func marks() {
        let (mark, other) = (TicketMark(secret: [1, 2, 3]), TicketMark(secret: [1, 2, 4]))
        let ticket = mark.make()
        #expect(ticket.utf8.count == TicketRule.make().utf8.count)
        #expect(mark.isOn(ticket))
        #expect(!other.isOn(ticket))
        #expect(!mark.isOn(TicketRule.make()))
        #expect(!mark.isOn(String(ticket.dropLast())))
        #expect(!mark.isOn(""))
    }
}
