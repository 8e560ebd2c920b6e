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
        let socket = Socket(channel: channel, pings: .init(interval: .seconds(30)))
        try channel.pipeline.syncOperations.addHandlers([unwritten, SocketHandler(socket)])
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

    @Test("whoever waits for the handshake is told when the connection ends before it, or has ended already", arguments: [true, false])
    func endsBeforeHandshake(hasEnded: Bool) throws {
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        if hasEnded { try end(channel) }
        let socket = Socket(channel: channel, pings: .init(interval: .seconds(30)))
        let opened = Mutex<[Bool]>([])
        socket.opened.futureResult.whenComplete { result in opened.withLock { $0.append((try? result.get()) != nil) } }
        #expect(opened.withLock { $0 } == (hasEnded ? [false] : []))
        if !hasEnded { try end(channel) }
        #expect(opened.withLock { $0 } == [false])
    }

    @Test("a handshake that was answered stays so, whenever the connection ends")
    func endsAfterHandshake() throws {
        let channel = EmbeddedChannel()
        let socket = Socket(channel: channel, pings: .init(interval: .seconds(30)))
        let opened = Mutex<[Bool]>([])
        socket.opened.futureResult.whenComplete { result in opened.withLock { $0.append((try? result.get()) != nil) } }
        try channel.pipeline.syncOperations.addHandler(SocketHandler(socket))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        #expect(opened.withLock { $0 } == [true])
        try end(channel)
        #expect(opened.withLock { $0 } == [true])
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
