import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing

@testable import API
@testable import Gateway

/// What happens on a connection that is used again, as proxies do it: what belongs to which request must not depend on whether the
/// end of an answer or the next request comes first.
@Suite("Connections that are used again") struct ConnectionTests {
    private static let request = "GET /one HTTP/1.1\r\nhost: a\r\n\r\n"
    private static let upgrade =
        "GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n"
        + "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    private static let answer = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "1"])
    private static let ping: [UInt8] = [0x89, 0x80, 0, 0, 0, 0]

    @Test("a request to upgrade that is sent ahead leaves the answers before it as they are, and is answered after them", arguments: 1...3)
    func upgradeAhead(requests: Int) throws {
        let peer = try Peer()
        try peer.send(String(repeating: Self.request, count: requests) + Self.upgrade)
        for _ in 0..<requests {
            try peer.write(.head(Self.answer), .body(.byteBuffer(ByteBuffer(string: "x"))), .end(nil))
            #expect(try peer.told() == "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
        }
        try peer.becomesSocket()
    }

    @Test("a socket lives whose handshake came before the end of the answer before it was told")
    func upgradeBeforeEnd() throws {
        let peer = try Peer()
        try peer.send(Self.request)
        try peer.write(.head(Self.answer), .body(.byteBuffer(ByteBuffer(string: "x"))))
        #expect(try peer.told().hasSuffix("x"))
        try peer.send(Self.upgrade)
        try peer.write(.end(nil))
        try peer.becomesSocket()
        // No head of a request is awaited, however long ago the first frame came.
        for _ in 0..<5 {
            peer.channel.embeddedEventLoop.advanceTime(by: Arrival.headTime)
            try peer.send(Self.ping)
            #expect(try peer.toldBytes().starts(with: [0x8a, 0]))
        }
    }

    @Test("an answer to what is no request has an id too, and another one each time")
    func idOfNoRequest() throws {
        let ids = try (1...2).map { _ in
            let peer = try Peer()
            try peer.send(Self.request)
            try peer.write(.head(.init(version: .http1_1, status: .badRequest, headers: ["content-length": "0"])), .end(nil))
            let told = try peer.told()
            #expect(told.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
            return try #require(told.wholeMatch(of: /(?s).*\r\nX-Request-Id: ([0-9a-f]{17,32})\r\n.*/)?.output.1)
        }
        #expect(ids[0] != ids[1])
    }

    @Test("a request that came before the end of the answer before it may take its time")
    func slowAnswer() throws {
        let peer = try Peer()
        try peer.send(Self.request)
        try peer.write(.head(Self.answer), .body(.byteBuffer(ByteBuffer(string: "x"))))
        try peer.send(Self.request)
        try peer.write(.end(nil))
        // The beginning of a third: it is awaited once the second is answered.
        try peer.send("GET")
        peer.channel.embeddedEventLoop.advanceTime(by: Arrival.headTime * 2)
        #expect(peer.channel.isActive)
    }

    @Test("a refused upgrade ends the connection with its own answer")
    func refusedUpgrade() throws {
        let peer = try Peer()
        try peer.send(Self.request + Self.upgrade)
        try peer.write(.head(Self.answer), .body(.byteBuffer(ByteBuffer(string: "x"))), .end(nil))
        #expect(peer.channel.isActive)
        let refusal: HTTPHeaders = ["content-length": "0", "x-request-id": "its-own"]
        try peer.write(.head(.init(version: .http1_1, status: .forbidden, headers: refusal)), .end(nil))
        let told = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nx-request-id: its-own\r\nconnection: close\r\n\r\n"
        #expect(try peer.told().hasSuffix(told))
        #expect(!peer.channel.isActive)
    }

    @Test("an answer says nothing of the long body of the request after it")
    func longBodyAhead() throws {
        let peer = try Peer()
        try peer.send(Self.request + "POST /two HTTP/1.1\r\nhost: a\r\ncontent-length: 70000000\r\n\r\n")
        try peer.write(.head(Self.answer), .body(.byteBuffer(ByteBuffer(string: "x"))), .end(nil))
        #expect(try peer.told() == "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
    }

    @Test("a body of unknown length that was accepted while it was short is not held back when it becomes long")
    func acceptedEarly() throws {
        let peer = try Peer()
        try peer.send("POST /one HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        try peer.channel.pipeline.syncOperations.handler(type: ConnectionHandler.self).acceptBody()
        let reads = peer.reads.count
        let long = String(repeating: "x", count: Admission.strangersBodyBytes)
        try peer.send(String(long.utf8.count, radix: 16) + "\r\n" + long + "\r\n")
        peer.channel.read()
        #expect(peer.reads.count > reads)
    }
}

/// A client, and the server's connection with what stands on it.
private final class Peer {
    let channel = EmbeddedChannel()
    let reads = Reads()

    init() throws {
        let admission = Admission(connections: .init(all: 8, isProxied: true), memoryBytes: 1 << 20, logger: Logger(label: "test"))
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(reads)
        try pipeline.configureHTTPServerPipeline(
            withPipeliningAssistance: false, withErrorHandling: false, withOutboundHeaderValidation: false)
        try pipeline.addHandler(ConnectionHandler(admission, upgrades: true))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }
    func send(_ bytes: [UInt8]) throws { try channel.writeInbound(ByteBuffer(bytes: bytes)) }

    /// What the server answers.
    func write(_ parts: HTTPServerResponsePart...) throws {
        for part in parts { try channel.writeOutbound(part) }
        channel.embeddedEventLoop.run()  // what waited for the answer goes on at the event loop's next turn
    }

    /// What has come since the last time.
    func toldBytes() throws -> [UInt8] {
        var told: [UInt8] = []
        while let part = try channel.readOutbound(as: ByteBuffer.self) { told += part.readableBytesView }
        return told
    }

    func told() throws -> String { String(decoding: try toldBytes(), as: UTF8.self) }

    /// The server agrees to the upgrade, and the socket answers a ping.
    func becomesSocket() throws {
        let isOpened = Mutex(false)
        let socket = SocketHandler(pingInterval: .seconds(3600)) { _ in isOpened.withLock { $0 = true } }
        try channel.pipeline.syncOperations.handler(type: UpgradeHandler.self).offer(socket)
        try write(.head(.init(version: .http1_1, status: .switchingProtocols)))
        try #require(try told().hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
        try #require(isOpened.withLock { $0 })
        channel.embeddedEventLoop.run()  // what decodes requests goes at the event loop's next turn
        try send([0x89, 0x80, 0, 0, 0, 0])
        #expect(try toldBytes() == [0x8a, 0])
    }
}

/// Counts what is asked of the operating system.
private final class Reads: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private(set) var count = 0

    func read(context: ChannelHandlerContext) {
        count += 1
        context.read()
    }
}
