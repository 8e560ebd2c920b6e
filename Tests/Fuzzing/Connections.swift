import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOWebSocket

@testable import API
@testable import Gateway
@testable import Doctor
@testable import Redis

extension Subject {
    /// What comes over connections. The first byte says in pieces of which size it comes the second time.
    static let connections = [
        Subject("http") { bytes in try isSameInPieces(bytes) { try Peer.requests(in: $0) } },
        Subject("sockets") { bytes in try isSameInPieces(bytes) { try Peer.answers(toSocket: $0) } },
        // What a server at a public address answers to the doctor.
        Subject("answers") { bytes in
            try isSameInPieces(bytes) { pieces in
                var parser = AnswerParser()
                do {
                    for piece in pieces { try parser.take(piece) }
                    parser.end()
                } catch is AnswerParser.Broken { return ["broken"] }
                let fields = parser.fields.map { "\($0.name): \($0.value)" }
                return ["\(parser.status ?? 0) \(parser.isWhole)"] + fields + ["\(Array(parser.body.readableBytesView))"]
            }
        },
        Subject("redis") { bytes in
            try isSameInPieces(bytes) { pieces in
                let reader = ReplyReader()
                var told: [String] = []
                do throws(ReplyReader.Malformed) {
                    for piece in pieces {
                        try reader.feed(piece)
                        while let value = try reader.next() { told.append("\(value)") }
                    }
                } catch { told.append("malformed") }
                return told
            }
        },
    ]

    private static func isSameInPieces(_ bytes: [UInt8], _ told: ([ByteBuffer]) throws -> [String]) throws {
        guard let first = bytes.first else { return }
        let content = Array(bytes.dropFirst())
        let size = Int(first) % 32 + 1
        let pieces = stride(from: 0, to: content.count, by: size).map { ByteBuffer(bytes: content[$0..<min($0 + size, content.count)]) }
        let (whole, cut) = (try told([ByteBuffer(bytes: content)]), try told(pieces))
        try require(whole == cut, "bytes mean the same in pieces of \(size):\n\(whole)\n\(cut)")
    }
}

/// A client, and the server's connection with what stands on it.
private final class Peer {
    private let channel = EmbeddedChannel()
    private let admission = Admission(
        connections: .init(all: 8, isProxied: true), memoryBytes: 1 << 20, logger: Logger(label: "fuzzing"))

    private init() throws {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.configureHTTPServerPipeline(
            withPipeliningAssistance: false, withErrorHandling: false, withOutboundHeaderValidation: false)
        try pipeline.addHandler(ConnectionHandler(admission, upgrades: true))
    }

    private func connect() throws { try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait() }

    /// The requests that are found in bytes, each answered when it is there.
    static func requests(in pieces: [ByteBuffer]) throws -> [String] {
        let peer = try Peer()
        let server = Server()
        try peer.channel.pipeline.syncOperations.addHandler(server)
        try peer.connect()
        peer.send(pieces)
        _ = try? peer.channel.finish(acceptAlreadyClosed: true)
        // Of a body that has not ended the last bytes may have stayed with the decoder.
        let strangers = peer.admission.strangers
        try Subject.require(strangers.take(strangers.limitBytes), "what was held for a connection is given back")
        return server.told
    }

    /// The frames that answer bytes which come on a socket.
    static func answers(toSocket pieces: [ByteBuffer]) throws -> [String] {
        let peer = try Peer()
        try peer.connect()
        try peer.channel.writeInbound(ByteBuffer(string: upgrade))
        let socket = SocketHandler(pingInterval: .seconds(3600)) { _ in }
        try peer.channel.pipeline.syncOperations.handler(type: UpgradeHandler.self).offer(socket)
        try peer.channel.writeOutbound(HTTPServerResponsePart.head(.init(version: .http1_1, status: .switchingProtocols)))
        peer.channel.embeddedEventLoop.run()
        while try peer.channel.readOutbound(as: ByteBuffer.self) != nil {}
        peer.send(pieces)
        var told = ByteBuffer()
        while let bytes = try peer.channel.readOutbound(as: ByteBuffer.self) { told.writeImmutableBuffer(bytes) }
        _ = try? peer.channel.finish(acceptAlreadyClosed: true)
        return try frames(told)
    }

    /// The server's frames, as they are.
    private static func frames(_ bytes: ByteBuffer) throws -> [String] {
        var (bytes, frames) = (bytes, [String]())
        while let head = bytes.readInteger(as: UInt8.self) {
            try Subject.require([0x88, 0x8a].contains(head), "a socket answers with pongs and a close")
            guard let length = bytes.readInteger(as: UInt8.self), length <= 125, let data = bytes.readBytes(length: Int(length)) else {
                throw Subject.Broken(description: "a control frame is whole, short and without a mask")
            }
            try Subject.require(frames.last?.hasPrefix("88") != true, "after a close nothing is sent")
            frames.append(String(head, radix: 16) + " \(data)")
        }
        return frames
    }

    /// Sends bytes, until the server closes.
    private func send(_ pieces: [ByteBuffer]) {
        for piece in pieces where channel.isActive {
            // An error that nobody has caught has closed the connection.
            do { try channel.writeInbound(piece) } catch { channel.close(promise: nil) }
            channel.embeddedEventLoop.run()
        }
    }

    private static let upgrade =
        "GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n"
        + "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

/// Notes what is asked, and answers it.
private final class Server: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private static let noRequest = "no request"

    private(set) var told: [String] = []
    private var body: [UInt8] = []

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            told.append("\(head.method) \(head.uri) \(head.version) \(head.headers.map { "\($0.name): \($0.value)" })")
            do { try context.pipeline.syncOperations.handler(type: ConnectionHandler.self).acceptBody() } catch {}
        case .body(let bytes): body += bytes.readableBytesView
        case .end(let trailers):
            told.append("\(body) \(trailers?.map { "\($0.name): \($0.value)" } ?? [])")
            body = []
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            context.eventLoop.execute {
                let (server, context) = bound.value
                let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "0"])
                context.write(server.wrapOutboundOut(.head(head)), promise: nil)
                context.writeAndFlush(server.wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The decoder says so of all that comes afterwards, too.
        if told.last != Self.noRequest { told.append(Self.noRequest) }
        context.close(promise: nil)
    }
}
