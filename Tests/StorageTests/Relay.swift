import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Testing

/// The way to the server of `APUS_TEST_POSTGRES_URL`, which can be cut, mended, and can lose what goes over it.
final class Relay: Sendable {
    /// What is lost with the connection.
    enum Loss {
        /// The server does what it is asked; the answer does not come.
        case answer
        case question
        /// The question is on its way for as long as the relay lasts, and so is the session on the server.
        case time
    }

    private struct State {
        var listener: (any Channel)?
        var port = 0
        var channels: [any Channel] = []
        var loss: (loss: Loss, word: [UInt8])?
    }

    private let server: URLComponents
    private let state = Mutex(State())

    private init() throws {
        let url = try #require(Engine.postgresURL, Engine.withoutPostgres)
        server = try #require(URLComponents(string: url))
    }

    /// Runs `body` with a relay that is open.
    static func with<T>(_ body: (Relay) async throws -> T) async throws -> T {
        let relay = try Relay()
        try await relay.mend()
        let result: Result<T, any Error>
        do { result = .success(try await body(relay)) } catch { result = .failure(error) }
        try await relay.cut()
        return try result.get()
    }

    /// The server's address over the relay.
    var url: String {
        var url = server
        (url.host, url.port) = ("127.0.0.1", state.withLock { $0.port })
        return url.string ?? ""
    }

    /// Lets nobody through, and ends all that are.
    func cut() async throws {
        let (listener, channels) = state.withLock { state in
            defer { (state.listener, state.channels) = (nil, []) }
            return (state.listener, state.channels)
        }
        try await listener?.close()
        for channel in channels { channel.close(promise: nil) }
    }

    /// Lets everybody through.
    func mend() async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [self] client in join(client) }
            .bind(host: "127.0.0.1", port: state.withLock { $0.port }).get()
        state.withLock { ($0.listener, $0.port) = (listener, listener.localAddress?.port ?? 0) }
    }

    /// Loses the connection, and something with it, over which a word comes next from a client.
    func lose(_ loss: Loss, with word: String) { state.withLock { $0.loss = (loss, Array(word.utf8)) } }

    /// Whether that has happened.
    var hasLost: Bool { state.withLock { $0.loss == nil } }

    private func join(_ client: any Channel) -> EventLoopFuture<Void> {
        let pair = Pair()
        return ClientBootstrap(group: client.eventLoop)
            .channelInitializer { [self] server in
                server.eventLoop.makeCompletedFuture {
                    try server.pipeline.syncOperations.addHandler(End(of: pair, other: client, isServer: true, relay: self))
                }
            }
            .connect(host: server.host ?? "", port: server.port ?? 5432)
            .flatMap { [self] server in
                state.withLock { $0.channels += [client, server] }
                return client.eventLoop.makeCompletedFuture {
                    try client.pipeline.syncOperations.addHandler(End(of: pair, other: server, isServer: false, relay: self))
                }
            }
    }

    /// What is lost with this, which comes from a client.
    fileprivate func loss(with bytes: ByteBuffer) -> Loss? {
        state.withLock { state in
            guard let (loss, word) = state.loss, Data(bytes.readableBytesView).firstRange(of: word) != nil else { return nil }
            state.loss = nil
            return loss
        }
    }
}

/// What both ends of a connection over a relay know.
private final class Pair: Sendable {
    private let stored = Mutex<Relay.Loss?>(nil)
    var loss: Relay.Loss? {
        get { stored.withLock { $0 } }
        set { stored.withLock { $0 = newValue } }
    }
}

/// One of them.
private final class End: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let pair: Pair
    private let other: any Channel
    private let isServer: Bool
    private let relay: Relay

    init(of pair: Pair, other: any Channel, isServer: Bool, relay: Relay) {
        (self.pair, self.other, self.isServer, self.relay) = (pair, other, isServer, relay)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if !isServer, pair.loss == nil { pair.loss = relay.loss(with: bytes) }
        switch pair.loss {
        case .answer where isServer, .question, .time: (isServer ? other : context.channel).close(promise: nil)
        case .answer, nil: other.writeAndFlush(bytes, promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if pair.loss != .time { other.close(promise: nil) }
    }
}
