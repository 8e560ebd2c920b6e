package import NIOCore
package import NIOHTTP1
internal import NIOWebSocket

/// Lets an ordinary route answer `101 Switching Protocols`: the connection becomes a ``Socket``, whose
/// handler was offered for it.
///
/// To stand right behind the decoder of requests. What stands behind it sees nothing of what comes after the upgrade.
package final class UpgradeHandler: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = HTTPServerRequestPart
    package typealias InboundOut = HTTPServerRequestPart
    package typealias OutboundIn = HTTPServerResponsePart
    package typealias OutboundOut = HTTPServerResponsePart

    /// The longest frame that is read. Control frames are shorter, and clients may send no others.
    private static let frameBytes = 1 << 10

    /// The request to upgrade. None comes after it.
    private var request: HTTPRequestHead?
    /// Answers that are owed to requests before that one. Its client may have sent it ahead of them, or with the last byte of an
    /// answer in its hands whose end is only told here afterwards.
    private var answersBefore = 0
    private var offered: SocketHandler?
    /// The answer is no. The decoder stands still after a request to upgrade, so the connection ends with the answer.
    private var isRefused = false

    package init() {}

    /// Has the connection handled by `socket` once the request that is being answered is answered with 101. Called on the event loop.
    func offer(_ socket: SocketHandler) { offered = socket }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = unwrapInboundIn(data) {
            if Self.isUpgrade(head) { request = head } else { answersBefore += 1 }
        }
        context.fireChannelRead(data)
    }

    package func handlerRemoved(context: ChannelHandlerContext) { offered = nil }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard answersBefore == 0, let request else {
            if case .end = unwrapOutboundIn(data) { answersBefore -= 1 }
            return context.write(data, promise: promise)
        }
        switch unwrapOutboundIn(data) {
        case .head(let head) where head.status == .switchingProtocols:
            upgrade(context, request, head, promise)
        // A `100 Continue` and the like.
        case .head(let head) where head.status.code < 200: context.write(data, promise: promise)
        case .head(var head):
            isRefused = true
            head.headers.replaceOrAdd(name: "connection", value: "close")
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end where isRefused:
            let done = promise ?? context.eventLoop.makePromise()
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            done.futureResult.whenComplete { _ in bound.value.close(promise: nil) }
            context.writeAndFlush(data, promise: done)
        case .body, .end: context.write(data, promise: promise)
        }
    }

    private func upgrade(
        _ context: ChannelHandlerContext, _ request: HTTPRequestHead, _ head: HTTPResponseHead, _ promise: EventLoopPromise<Void>?
    ) {
        do {
            guard let socket = offered else { throw NIOWebSocketUpgradeError.unsupportedWebSocketTarget }
            var head = head
            head.headers = try Self.handshake(request, context.channel, adding: head.headers)
            context.writeAndFlush(wrapOutboundOut(.head(head)), promise: promise)
            let pipeline = context.pipeline.syncOperations
            pipeline.removeHandler(
                context: try pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self), promise: nil)
            pipeline.removeHandler(context: try pipeline.context(handlerType: HTTPResponseEncoder.self), promise: nil)
            try pipeline.addHandler(WebSocketFrameEncoder(), position: .before(self))
            try pipeline.addHandler(
                ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: Self.frameBytes)), position: .before(self))
            try pipeline.addHandler(socket, position: .before(self))
            offered = nil
            pipeline.removeHandler(context: context, promise: nil)
        } catch {
            promise?.fail(error)
            context.close(promise: nil)
        }
    }

    /// The fields that answer the request (RFC 6455 §4.2.2), after those of `headers`.
    private static func handshake(
        _ request: HTTPRequestHead, _ channel: any Channel, adding headers: HTTPHeaders
    ) throws -> HTTPHeaders {
        let upgrader = NIOWebSocketServerUpgrader(
            shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture(headers) },
            upgradePipelineHandler: { channel, _ in channel.eventLoop.makeSucceededVoidFuture() })
        var result: Result<HTTPHeaders, any Error> = .failure(NIOWebSocketUpgradeError.invalidUpgradeHeader)
        upgrader.buildUpgradeResponse(channel: channel, upgradeRequest: request, initialResponseHeaders: [:])
            .assumeIsolated().whenComplete { result = $0 }
        return try result.get()
    }

    /// Whether the decoder takes the request for the last of its connection.
    private static func isUpgrade(_ head: HTTPRequestHead) -> Bool {
        head.headers.contains(name: "upgrade")
            && head.headers[canonicalForm: "connection"].contains { $0.lowercased() == "upgrade" }
    }
}
