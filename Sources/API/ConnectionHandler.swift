public import NIOCore
public import NIOHTTP1
internal import Gateway

/// What HTTP/1 asks of a connection beyond requests and answers, and Hummingbird leaves out: `100 Continue`, a `Connection:
/// close` in any spelling, HTTP/1.0, and no close before what was written has gone out.
///
/// To be added behind Hummingbird's codec; it puts itself before that, where the version of a request can be seen.
public final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    public typealias InboundIn = HTTPServerRequestPart
    public typealias InboundOut = HTTPServerRequestPart
    public typealias OutboundIn = HTTPServerResponsePart
    public typealias OutboundOut = HTTPServerResponsePart

    /// How long a peer may take none of the bytes that wait for it before the connection is closed all the same.
    private static let stalled = TimeAmount.seconds(30)

    private let bodyLimitBytes: Int
    private let upgrades: Bool
    private var isInPlace = false
    /// Writes whose bytes have not gone out yet.
    private var pendingWrites = 0
    private var deferredClose: EventLoopPromise<Void>?

    /// - Parameters:
    ///   - bodyLimitBytes: a client that announces a longer body is not asked for it.
    ///   - upgrades: whether the connection may become a WebSocket.
    public init(bodyLimitBytes: Int, upgrades: Bool) {
        self.bodyLimitBytes = bodyLimitBytes
        self.upgrades = upgrades
    }

    public func handlerAdded(context: ChannelHandlerContext) {
        guard !isInPlace else { return }
        isInPlace = true
        let pipeline = context.pipeline.syncOperations
        do {
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            let handler = ConnectionHandler(bodyLimitBytes: bodyLimitBytes, upgrades: upgrades)
            handler.isInPlace = true
            try pipeline.addHandler(handler, position: .after(decoder))
            // Before this handler, which is left out of what follows an upgrade.
            if upgrades { try pipeline.addHandler(UpgradeHandler(), position: .after(decoder)) }
            pipeline.removeHandler(context: context, promise: nil)
        } catch { context.close(promise: nil) }
    }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = unwrapInboundIn(data) else { return context.fireChannelRead(data) }
        let expectsGoAhead = head.headers[canonicalForm: "expect"].contains { $0.lowercased() == "100-continue" }
        let length = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
        if expectsGoAhead, length <= bodyLimitBytes {
            context.writeAndFlush(wrapOutboundOut(.head(.init(version: .http1_1, status: .continue))), promise: nil)
        }
        if !head.isKeepAlive { head.headers.replaceOrAdd(name: "connection", value: "close") }
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let written = promise ?? context.eventLoop.makePromise()
        pendingWrites += 1
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        written.futureResult.whenComplete { _ in
            let (handler, context) = bound.value
            handler.pendingWrites -= 1
            handler.closeIfDone(context)
        }
        context.write(data, promise: written)
    }

    /// A close of the whole connection waits for what is being written.
    public func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all, pendingWrites > 0, context.channel.isActive else { return context.close(mode: mode, promise: promise) }
        guard let deferredClose else {
            deferredClose = promise ?? context.eventLoop.makePromise()
            context.flush()
            return watch(context, waiting: waitingBytes(context))
        }
        promise.map { deferredClose.futureResult.cascade(to: $0) }
    }

    public func channelInactive(context: ChannelHandlerContext) {
        deferredClose?.succeed()
        deferredClose = nil
        context.fireChannelInactive()
    }

    private func closeIfDone(_ context: ChannelHandlerContext) {
        guard pendingWrites == 0, let promise = deferredClose else { return }
        deferredClose = nil
        context.close(promise: promise)
    }

    /// Closes when the peer has taken nothing for a while.
    private func watch(_ context: ChannelHandlerContext, waiting: Int) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.stalled) {
            let (handler, context) = bound.value
            guard let promise = handler.deferredClose else { return }
            let stillWaiting = handler.waitingBytes(context)
            if stillWaiting < waiting { return handler.watch(context, waiting: stillWaiting) }
            handler.deferredClose = nil
            context.close(promise: promise)
        }
    }

    private func waitingBytes(_ context: ChannelHandlerContext) -> Int {
        do { return try context.channel.syncOptions?.getOption(.bufferedWritableBytes) ?? 0 } catch { return 0 }
    }
}
