internal import NIOCore
internal import NIOWebSocket
internal import Telemetry

/// What goes out to one who listens.
protocol Outlet: AnyObject, Sendable {
    /// Told when a message is in the operating system's hands, or never will be.
    typealias Delivery = @Sendable (_ isSent: Bool) -> Void

    /// Sends a binary message.
    func send(_ message: ByteBuffer, _ delivery: @escaping Delivery)

    /// Says why, and closes, after a while.
    func close(_ code: WebSocketErrorCode, in delay: TimeAmount)

    /// Ends the connection when the peer has taken nothing of a message for so long.
    func cutIfStuck(for time: TimeAmount)

    /// Has `end` called once when the connection is gone, or at once where it is. To be called once.
    func whenClosed(_ end: @escaping @Sendable () -> Void)
}

extension Outlet {
    /// Sends a binary message, and tells whether it has gone out.
    func send(_ message: ByteBuffer) async -> Bool {
        await withCheckedContinuation { continuation in send(message) { continuation.resume(returning: $0) } }
    }
}

/// The server's end of a WebSocket, which only the server speaks on.
///
/// It holds no queue: whoever sends waits for ``Delivery`` before sending again. Nor does it wait for anything: it is a handler of
/// its connection, which calls whom it concerns, and there is no task for it.
final class Socket: Outlet {
    /// Called on the event loop once messages can be sent. Where they never can it is let go, with what it holds.
    typealias Begin = @Sendable (Socket) -> Void

    private let eventLoop: any EventLoop
    private let handler: NIOLoopBoundBox<SocketHandler?>

    /// - Parameter handler: of the connection, in its pipeline. Called on the event loop.
    fileprivate init(_ handler: SocketHandler, on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.handler = NIOLoopBoundBox(handler, eventLoop: eventLoop)
    }

    /// Sends a binary message.
    func send(_ message: ByteBuffer, _ delivery: @escaping Delivery) {
        eventLoop.execute { [self] in
            guard let handler = handler.value else { return delivery(false) }
            handler.send(message, delivery)
        }
    }

    func whenClosed(_ end: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { return whenClosedOnLoop(end) }
        eventLoop.execute { [self] in whenClosedOnLoop(end) }
    }

    private func whenClosedOnLoop(_ end: @escaping @Sendable () -> Void) {
        guard let handler = handler.value else { return end() }
        handler.end = end
    }

    /// Ends the connection when the peer has taken nothing of a message for so long.
    func cutIfStuck(for time: TimeAmount) { eventLoop.execute { [self] in handler.value?.cutIfStuck(for: time) } }

    /// Says why, and closes, after a while.
    func close(_ code: WebSocketErrorCode, in delay: TimeAmount = .zero) {
        eventLoop.scheduleTask(in: delay) { [self] in handler.value?.close(code) }
    }

    /// The connection is gone. Called on the event loop.
    fileprivate func detach() { handler.value = nil }
}

/// Turns messages into frames, answers control frames, and finds out whether the peer is still there.
final class SocketHandler: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundIn = Any
    typealias OutboundOut = WebSocketFrame

    /// How long the peer may take to answer a close before the connection is cut.
    private static let closing = TimeAmount.seconds(5)

    private let interval: TimeAmount
    private var begin: Socket.Begin?
    /// Whom to tell that the connection is gone.
    fileprivate var end: (@Sendable () -> Void)?
    private var socket: Socket?
    private var context: ChannelHandlerContext?
    private var pings: RepeatedTask?
    private var isClosing = false
    private var heardAt = NIODeadline.now()
    /// When the peer had taken all, or something, of what waited for it.
    private var takenAt = NIODeadline.now()
    /// How many bytes waited for the peer when it was looked at last.
    private var waitingBytes = 0
    /// What is on the way that answers a ping, and what answers the last one that has come meanwhile: the others are not
    /// answered (RFC 6455 §5.5.3), so one at most waits, however many are sent by a peer that reads none.
    private var isPongOnTheWay = false
    private var nextPong: ByteBuffer?

    /// - Parameters:
    ///   - pingInterval: how often the peer is asked for a sign of life. A connection without one for twice as long is closed.
    ///   - begin: told of the socket once this has its place in the pipeline.
    init(pingInterval: Duration, _ begin: @escaping Socket.Begin) {
        interval = TimeAmount(pingInterval)
        self.begin = begin
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        // Sockets that were opened together, as after a restart, are not asked together.
        let first = TimeAmount.nanoseconds(.random(in: interval.nanoseconds / 2...interval.nanoseconds))
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        pings = context.eventLoop.scheduleRepeatedTask(initialDelay: first, delay: interval) { _ in bound.value.ping() }
        let socket = Socket(self, on: context.eventLoop)
        self.socket = socket
        begin?(socket)
        begin = nil
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        pings?.cancel()
        socket?.detach()
        socket = nil
        end?()
        end = nil
    }

    func send(_ message: ByteBuffer, _ delivery: @escaping Socket.Delivery) {
        guard let context, !isClosing else { return delivery(false) }
        let promise = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        promise.futureResult.whenComplete { result in
            (bound.value.heardAt, bound.value.takenAt) = (.now(), .now())
            if case .success = result { delivery(true) } else { delivery(false) }
        }
        Telemetry.gateway.frames.increment()
        Telemetry.gateway.sent.add(message.readableBytes)
        // There was nothing to take before.
        if waitingBytes == 0 { takenAt = .now() }
        write(.binary, message, promise)
    }

    func cutIfStuck(for time: TimeAmount) {
        guard let context else { return }
        look(context)
        if waitingBytes > 0, .now() - takenAt >= time { context.close(promise: nil) }
    }

    func close(_ code: WebSocketErrorCode) {
        guard let context, !isClosing else { return }
        isClosing = true
        var reason = ByteBuffer()
        reason.write(webSocketErrorCode: code)
        write(.connectionClose, reason, nil)
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.closing) { bound.value.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        heardAt = .now()
        switch frame.opcode {
        case _ where frame.maskKey == nil || frame.rsv1 || frame.rsv2 || frame.rsv3: close(.protocolError)
        case .ping: pong(frame.unmaskedData)
        case .pong: break
        case .connectionClose: answerClose(context)
        case .text, .binary, .continuation: close(.policyViolation)
        default: close(.protocolError)
        }
    }

    private func pong(_ data: ByteBuffer) {
        guard let context, !isClosing else { return }
        guard !isPongOnTheWay else {
            nextPong = data
            return
        }
        isPongOnTheWay = true
        let sent = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        sent.futureResult.whenSuccess {
            let handler = bound.value
            handler.isPongOnTheWay = false
            guard let next = handler.nextPong else { return }
            handler.nextPong = nil
            handler.pong(next)
        }
        write(.pong, data, sent)
    }

    private func answerClose(_ context: ChannelHandlerContext) {
        if isClosing { return context.close(promise: nil) }
        isClosing = true
        let done = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        done.futureResult.whenComplete { _ in bound.value.close(promise: nil) }
        var reason = ByteBuffer()
        reason.write(webSocketErrorCode: .normalClosure)
        write(.connectionClose, reason, done)
    }

    /// The HTTP server above has nothing to say any more.
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) { promise?.succeed() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // More than any control frame may hold, so it is data, which clients must not send.
        case NIOWebSocketError.invalidFrameLength: close(.policyViolation)
        case is NIOWebSocketError: close(.protocolError)
        default: context.close(promise: nil)
        }
    }

    private func ping() {
        guard let context else { return }
        look(context)
        // One that only speaks is as good as gone.
        let silence = NIODeadline.now() - min(heardAt, takenAt)
        if silence > interval * 2 { return context.close(promise: nil) }
        if !isClosing, waitingBytes == 0 { write(.ping, ByteBuffer(), nil) }
    }

    /// Looks how much the peer has taken of what waits for it.
    private func look(_ context: ChannelHandlerContext) {
        let waiting: Int
        do { waiting = try context.channel.syncOptions?.getOption(.bufferedWritableBytes) ?? 0 } catch { return }
        // A peer that takes its bytes is there, however slow it is; the answer to a ping would only come after them.
        if waiting < waitingBytes { heardAt = .now() }
        if waiting == 0 || waiting < waitingBytes { takenAt = .now() }
        waitingBytes = waiting
    }

    private func write(_ opcode: WebSocketOpcode, _ data: ByteBuffer, _ promise: EventLoopPromise<Void>?) {
        context?.writeAndFlush(wrapOutboundOut(WebSocketFrame(fin: true, opcode: opcode, data: data)), promise: promise)
    }
}
