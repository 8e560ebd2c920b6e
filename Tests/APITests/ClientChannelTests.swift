import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import Testing

@testable import API
@testable import Gateway

/// What a client sees of how its requests are taken and answered, over connections of the network.
@Suite("Requests on a connection", .timeLimit(.minutes(2))) struct ClientChannelTests {
    @Test("requests that are sent without waiting are answered in their order, however long each takes")
    func order() async throws {
        try await Site.run { _, request, _ in
            let path = request.uri.path
            let turns = path.hasSuffix("0") ? 50 : 0
            for _ in 0..<turns { await Task.yield() }
            return .text("\(path) \(String(buffer: try await request.body.collect(upTo: 100)))")
        } body: { site in
            try await site.connect { peer in
                // Nobody knows where the first one ends: what follows it comes with its last piece.
                let first = "POST /10 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
                try await peer.send(first + (11...40).map { Self.get("\($0)") }.joined())
                #expect(try await peer.answer() == "/10 ab")
                for number in 11...40 { #expect(try await peer.answer() == "/\(number) ") }
            }
        }
    }

    @Test("a body that comes byte by byte is read to its end, announced or not")
    func byteByByte() async throws {
        try await Site.run { _, request, _ in
            .text(String(buffer: try await request.body.collect(upTo: 100)))
        } body: { site in
            for (length, bytes) in [("content-length: 5", "hello"), ("transfer-encoding: chunked", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")] {
                try await site.connect { peer in
                    for byte in "POST / HTTP/1.1\r\nhost: a\r\n\(length)\r\n\r\n\(bytes)" { try await peer.send(String(byte)) }
                    #expect(try await peer.answer() == "hello")
                }
            }
        }
    }

    @Test("what is left of a body that was not read is no part of the next request")
    func unreadBody() async throws {
        try await Site.run { _, request, _ in
            .text(request.uri.path)
        } body: { site in
            try await site.connect { peer in
                try await peer.send("POST /one HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n01234")
                #expect(try await peer.answer() == "/one")
                try await peer.send("56789" + Self.get("two"))
                #expect(try await peer.answer() == "/two")
            }
        }
    }

    @Test("who expects the go-ahead gets it before the body is sent, and the answer after it")
    func goAhead() async throws {
        try await Site.run { _, request, _ in
            .text(String(buffer: try await request.body.collect(upTo: 100)))
        } body: { site in
            try await site.connect { peer in
                try await peer.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
                #expect(try await peer.head() == "HTTP/1.1 100 Continue\r\n\r\n")
                try await peer.send("ab")
                #expect(try await peer.answer() == "ab")
            }
        }
    }

    @Test("what is no request is answered with 400 after what came before it, and the connection ends")
    func rubbish() async throws {
        try await Site.run { _, request, _ in
            .text(request.uri.path)
        } body: { site in
            try await site.connect { peer in
                try await peer.send(Self.get("one") + "rubbish\r\n\r\n")
                #expect(try await peer.answer() == "/one")
                #expect(try await peer.head().hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
                #expect(try await peer.rest() == 0)
            }
        }
    }

    @Test("a request whose client goes away is cancelled, and takes its connection with it")
    func gone() async throws {
        let (begun, ended) = (Signal(), Signal())
        try await Site.run { admission, _, context in
            let connection = try #require(admission.connections.connection(of: context.channel))
            begun.give()
            do { try await connection.attend { try await Task.sleep(for: .seconds(3600)) } } catch is CancellationError { ended.give() }
            return .text("")
        } body: { site in
            try await site.connect { peer in
                try await peer.send(Self.get("one"))
                await begun.wait()
            }
            await ended.wait()
        }
    }

    @Test("a long answer is made as it is read: of one that nobody reads there is little, and who reads gets all of it")
    func slowReader() async throws {
        let (pieces, piece) = (128, ByteBuffer(repeating: UInt8(ascii: "a"), count: 1 << 20))
        let made = Mutex(0)
        try await Site.run { _, request, _ in
            guard request.uri.path == "/long" else { return .text("") }
            return Response(
                status: .ok,
                body: .init(contentLength: pieces << 20) { writer in
                    for _ in 0..<pieces {
                        try await writer.write(piece)
                        made.withLock { $0 += 1 }
                    }
                    try await writer.finish(nil)
                })
        } body: { site in
            try await site.connect { peer in
                try await peer.send(Self.get("long") + "GET /after HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                #expect(try await peer.head().hasPrefix("HTTP/1.1 200 OK\r\n"))
                try await site.goOn()
                #expect(made.withLock { $0 } < pieces / 2)
                #expect(try await peer.rest() > pieces << 20)
            }
        }
        #expect(made.withLock { $0 } == pieces)
    }

    @Test("a long body is taken as it is read: of one that nobody reads there is little, and who reads gets all of it")
    func slowHandler() async throws {
        let (pieces, piece) = (128, ByteBuffer(repeating: UInt8(ascii: "a"), count: 1 << 20))
        let sent = Mutex(0)
        let isRead = Signal()
        try await Site.run { admission, request, context in
            guard request.method == .post else { return .text("") }
            try #require(admission.connections.connection(of: context.channel)).acceptBody()
            await isRead.wait()
            var length = 0
            for try await part in request.body { length += part.readableBytes }
            return .text("\(length)")
        } body: { site in
            try await site.connect { peer in
                let sending = Task { @Sendable [channel = peer.channel] in
                    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: \(pieces << 20)\r\n\r\n"
                    try await channel.writeAndFlush(ByteBuffer(string: head))
                    for _ in 0..<pieces {
                        try await channel.writeAndFlush(piece)  // it is the operating system's
                        sent.withLock { $0 += 1 }
                    }
                }
                try await site.goOn()
                #expect(sent.withLock { $0 } < pieces / 2)
                isRead.give()
                try await sending.value
                #expect(try await peer.answer() == "\(pieces << 20)")
            }
        }
    }

    @Test("a server that ends closes what is silent, and lets requests that have begun be answered")
    func draining() async throws {
        let (begun, isEnding) = (Signal(), Signal())
        try await Site.run { _, request, _ in
            if request.uri.path == "/slow" {
                begun.give()
                await isEnding.wait()
            }
            return .text(request.uri.path)
        } body: { site in
            try await site.connect { silent in
                try await silent.send(Self.get("one"))
                #expect(try await silent.answer() == "/one")
                try await site.connect { busy in
                    try await busy.send(Self.get("slow"))
                    await begun.wait()
                    await site.group.triggerGracefulShutdown()
                    #expect(try await silent.rest() == 0)
                    isEnding.give()
                    #expect(try await busy.answer() == "/slow")
                    #expect(try await busy.rest() == 0)
                }
            }
        }
    }

    @Test("a silent connection is closed, one whose request is being answered is not")
    func silence() async throws {
        let isAnswered = Signal()
        // Long enough to send a request, however busy the machine is.
        try await Site.run(idleTime: .seconds(10)) { _, request, _ in
            if request.uri.path == "/slow" { await isAnswered.wait() }
            return .text(request.uri.path)
        } body: { site in
            try await site.connect { busy in
                try await busy.send(Self.get("slow"))
                try await site.connect { silent in
                    try await silent.send(Self.get("one"))
                    #expect(try await silent.answer() == "/one")
                    #expect(try await silent.rest() == 0)
                }
                isAnswered.give()
                #expect(try await busy.answer() == "/slow")
                #expect(try await busy.rest() == 0)
            }
        }
    }

    @Test("a connection that becomes a socket outlives the request that opened it, and its task")
    func socket() async throws {
        try await Site.run(upgrades: true) { _, request, context in
            guard request.uri.path == "/socket" else { return .text("") }
            try await context.channel.eventLoop.submit {
                try context.channel.pipeline.syncOperations.handler(type: UpgradeHandler.self).offer(
                    SocketHandler(pingInterval: .seconds(3600)) { _ in })
            }.get()
            return Answer.upgrade
        } body: { site in
            try await site.connect { peer in
                try await peer.send(
                    "GET /socket HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                        + "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
                #expect(try await peer.head().hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
                await site.isHandled.wait()
                try await peer.send([0x89, 0x80, 0, 0, 0, 0])
                #expect(try await peer.come(2) == String(decoding: [0x8a, 0], as: UTF8.self), "the answer to a ping")
            }
        }
    }

    private static func get(_ name: String) -> String { "GET /\(name) HTTP/1.1\r\nhost: a\r\n\r\n" }
}

extension Response {
    fileprivate static func text(_ text: String) -> Response { Response(status: .ok, body: .init(byteBuffer: ByteBuffer(string: text))) }
}

/// Something that happens once, and may be waited for.
private final class Signal: Sendable {
    private let (stream, source) = AsyncStream<Void>.makeStream()

    func give() { source.finish() }
    func wait() async { for await _ in stream {} }
}

/// A server whose requests a test answers.
private struct Site {
    typealias Answering = @Sendable (Admission, Request, ConnectionContext) async throws -> Response

    let port: Int
    let group: ServiceGroup
    /// The task of a connection has ended.
    let isHandled: Signal

    static func run(
        upgrades: Bool = false, idleTime: TimeAmount = .seconds(120), _ respond: @escaping Answering, body: (Site) async throws -> Void
    ) async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let admission = Admission(connections: .init(all: 64, isProxied: true), memoryBytes: 1 << 20, logger: logger)
        let clients = ClientChannel(admission, upgrades: upgrades, isCounted: false, idleTime: idleTime) {
            try await respond(admission, $0, $1)
        }
        let channel = WatchedChannel(channel: clients, isHandled: Signal())
        let (ports, source) = AsyncStream<Int>.makeStream()
        let server = channel.server(
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { channel in
                source.yield(channel.localAddress?.port ?? 0)
                source.finish()
            },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
        let group = ServiceGroup(configuration: .init(services: [server], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            var iterator = ports.makeAsyncIterator()
            try await body(Site(port: try #require(await iterator.next()), group: group, isHandled: channel.isHandled))
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    func connect(_ body: (inout Peer) async throws -> Void) async throws {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: "127.0.0.1", port: port) {
            channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                    wrappingChannelSynchronously: channel,
                    configuration: .init(backPressureStrategy: .init(lowWatermark: 1, highWatermark: 1)))
            }
        }
        try await channel.executeThenClose { inbound, outbound in
            var peer = Peer(channel: channel.channel, inbound: inbound.makeAsyncIterator(), outbound: outbound)
            try await body(&peer)
        }
    }

    /// Lets much happen on every event loop of the server.
    func goOn() async throws {
        for _ in 0..<20 {
            try await connect { peer in
                for _ in 0..<20 {
                    try await peer.send("GET /other HTTP/1.1\r\nhost: a\r\n\r\n")
                    _ = try await peer.answer()
                }
            }
        }
    }
}

/// A channel that tells when the task of a connection has ended.
private struct WatchedChannel: ServerChildChannel {
    let channel: ClientChannel
    let isHandled: Signal

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<ClientChannel.Value> {
        self.channel.setup(channel: channel, logger: logger)
    }

    func handle(value: ClientChannel.Value, logger: Logger) async {
        await channel.handle(value: value, logger: logger)
        isHandled.give()
    }
}

/// A client on a connection.
private struct Peer {
    let channel: any Channel
    var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var come = ""

    init(
        channel: any Channel, inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        self.channel = channel
        self.inbound = inbound
        self.outbound = outbound
    }

    func send(_ text: String) async throws { try await outbound.write(ByteBuffer(string: text)) }
    func send(_ bytes: [UInt8]) async throws { try await outbound.write(ByteBuffer(bytes: bytes)) }

    /// The next characters that come.
    mutating func come(_ count: Int) async throws -> String {
        while come.unicodeScalars.count < count { try await receive() }
        defer { come = "" }
        return come
    }

    private mutating func receive() async throws {
        let part = try await inbound.next(isolation: #isolation)
        come += String(buffer: try #require(part, "the connection ended before an answer did"))
    }

    /// What has come up to the end of a head.
    mutating func head() async throws -> String {
        while true {
            if let end = come.firstRange(of: "\r\n\r\n")?.upperBound {
                defer { come = String(come[end...]) }
                return String(come[..<end])
            }
            try await receive()
        }
    }

    /// The body of an answer that is good.
    mutating func answer() async throws -> String {
        let head = try await head()
        let fields = try #require(head.firstMatch(of: /^HTTP\/1.1 200 OK\r\n(?s:.*)[Cc]ontent-[Ll]ength: (\d+)\r\n/), "\(head)")
        let length = try #require(Int(fields.output.1))
        while come.utf8.count < length { try await receive() }
        defer { come = String(come.dropFirst(length)) }
        return String(come.prefix(length))
    }

    /// How many bytes come until the connection ends.
    mutating func rest() async throws -> Int {
        var count = come.utf8.count
        while let part = try await inbound.next(isolation: #isolation) { count += part.readableBytes }
        return count
    }
}
