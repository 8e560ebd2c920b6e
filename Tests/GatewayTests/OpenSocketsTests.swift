import NIOCore
import NIOEmbedded
import NIOWebSocket
import Testing

@testable import Gateway

/// What befalls sockets when the program shuts down.
@Suite("Open sockets", .timeLimit(.minutes(1))) struct OpenSocketsTests {
    private static let drain = Duration.seconds(8)
    /// How long a peer may take to answer a close.
    private static let closing = TimeAmount.seconds(5)

    private let loop = NIOAsyncTestingEventLoop()
    private let sockets = OpenSockets(drain: drain)

    @Test("all are told that the program shuts down, each at a moment of its own, within the time for that")
    func goodbye() async throws {
        var peers: [Peer] = []
        for _ in 0..<40 { peers.append(try await Peer(loop, sockets)) }
        await loop.advanceTime(by: .seconds(20))
        #expect(try await told(peers) == 0)
        sockets.sayGoodbye()
        await loop.advanceTime(by: .seconds(4))
        let early = try await told(peers)
        #expect(1..<40 ~= early)
        await loop.advanceTime(by: .seconds(4))
        #expect(try await told(peers) == 40 - early)
        await loop.shutdownGracefully()
    }

    @Test("one that is opened after the others were told is told too")
    func openedLate() async throws {
        sockets.sayGoodbye()
        let late = try await Peer(loop, sockets)
        await loop.advanceTime(by: TimeAmount(Self.drain))
        #expect(try await told([late]) == 1)
        await loop.shutdownGracefully()
    }

    @Test("the last is waited for, and no longer than its peer may take to answer")
    func waiting() async throws {
        // All are told at the same time.
        let sockets = OpenSockets(drain: .zero)
        let (quick, mute) = (try await Peer(loop, sockets), try await Peer(loop, sockets))
        sockets.sayGoodbye()
        await loop.advanceTime(by: .zero)
        try await quick.answerClose()
        #expect(sockets.count == 1)
        async let left: Int = {
            await sockets.waitUntilEnded()
            return sockets.count
        }()
        for _ in 0..<100 { await Task.yield() }
        #expect(mute.channel.isActive)
        await loop.advanceTime(by: Self.closing)
        #expect(!mute.channel.isActive)
        #expect(await left == 0)
        await loop.shutdownGracefully()
    }

    @Test("where all have left nobody is waited for")
    func none() async throws {
        let peer = try await Peer(loop, sockets)
        try await peer.channel.close()
        sockets.sayGoodbye()
        await sockets.waitUntilEnded()
        #expect(sockets.count == 0)
        await loop.shutdownGracefully()
    }

    @Test("whoever is cancelled waits for nobody, and all are told at once")
    func cancelled() async throws {
        let peer = try await Peer(loop, sockets)
        let wait = Task { [sockets] in await sockets.waitUntilEnded() }
        wait.cancel()
        await wait.value
        await loop.advanceTime(by: .zero)
        #expect(try await told([peer]) == 1)
        await loop.shutdownGracefully()
    }

    /// How many have been told since the last time, with the code for a server that comes back.
    private func told(_ peers: [Peer]) async throws -> Int {
        var count = 0
        for peer in peers {
            while let frame = try await peer.channel.readOutbound(as: WebSocketFrame.self) {
                guard frame.opcode == .connectionClose else { continue }
                #expect(frame.data.getInteger(at: 0, as: UInt16.self) == 1012)
                count += 1
            }
        }
        return count
    }
}

/// A client, and the server's end of its socket.
private struct Peer {
    let channel: NIOAsyncTestingChannel

    init(_ loop: NIOAsyncTestingEventLoop, _ sockets: OpenSockets) async throws {
        channel = NIOAsyncTestingChannel(loop: loop)
        try await loop.executeInContext { [channel] in
            try channel.pipeline.syncOperations.addHandler(
                SocketHandler(pingInterval: .seconds(3600)) { socket in sockets.add(socket) {} })
        }
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
    }

    func answerClose() async throws {
        try await channel.writeInbound(
            WebSocketFrame(fin: true, opcode: .connectionClose, maskKey: [0, 0, 0, 0], data: ByteBuffer(bytes: [0x03, 0xe8])))
        await channel.testingEventLoop.run()
    }
}
