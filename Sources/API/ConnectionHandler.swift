package import NIOCore
package import NIOHTTP1
internal import Gateway
internal import Hummingbird
internal import Telemetry

/// What HTTP/1 asks of a connection beyond requests and answers (``Exchange``): a place among the others'
/// (``Connections``), requests that arrive in time (``Arrival``), bodies that come only when they are wanted, `100 Continue`, a
/// `Connection: close` in any spelling, HTTP/1.0, and no close before what was written has gone out and been read.
///
/// To be added behind the decoder of requests; it puts itself right behind it, with those that belong to it.
package final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = HTTPServerRequestPart
    package typealias InboundOut = HTTPServerRequestPart
    package typealias OutboundIn = HTTPServerResponsePart
    package typealias OutboundOut = HTTPServerResponsePart

    /// How long a peer may take none of the bytes that wait for it before the connection is closed all the same.
    private static let stalled = TimeAmount.seconds(30)
    /// How often it is looked whether what is awaited comes.
    private static let look = TimeAmount.seconds(5)
    /// How long a client that has ended its side is still thought to wait for the answer.
    private static let farewell = TimeAmount.seconds(1)
    /// How long after an answer before its end the rest of a body is read and forgotten, lest the client does not get to read
    /// the answer.
    private static let lingering = TimeAmount.seconds(30)
    /// The longest value of a field that may have other characters than ASCII.
    private static let foreignBytes = 512
    /// From what size on pieces of a body go on at once.
    private static let pieceBytes = 32 << 10
    /// How much of a body whose end nobody knows goes on at once, perhaps with what comes after it.
    private static let endlessPieceBytes = 1 << 10
    /// How many requests may be sent ahead of their answers, and what each is thought to take.
    private static let aheadLimit = 100
    private static let aheadBytes = 2 << 10

    private let admission: Admission
    private let upgrades: Bool
    private var isInPlace = false
    private var context: ChannelHandlerContext?
    private var connection: ClientConnection?
    private var arrival = Arrival(at: .now())
    private var isLookingOut = false
    private weak var arriving: ArrivingBytes?
    /// What comes and goes is no HTTP any more.
    private var isUpgraded = false
    /// What is held of the strangers' budget: of a head that is coming, and of requests that were sent ahead.
    private var headBytes = 0
    private var aheadBytes = 0
    /// Requests that have come and were not answered.
    private var unanswered = 0
    private var body = AwaitedBody()
    /// Of the body, what came since the last read.
    private var pieces = ByteBuffer()
    /// The reads that were asked for while the body was held back.
    private var isReadHeldBack = false
    private var closesAfterAnswer = false
    private var isLingering = false
    /// Writes whose bytes have not gone out yet.
    private var pendingWrites = 0
    private var deferredClose: EventLoopPromise<Void>?

    /// The body of the request that came last.
    private struct AwaitedBody {
        var isThere = true
        var isLong = false
        /// Nobody knows where it ends.
        var isEndless = false
        var isHeldBack = false
        var expectsGoAhead = false
        /// As it was announced.
        var length = 0
        var bytes = 0
    }

    /// - Parameter upgrades: whether the connection may become a WebSocket.
    package init(_ admission: Admission, upgrades: Bool) {
        self.admission = admission
        self.upgrades = upgrades
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        guard !isInPlace else {
            self.context = context
            return
        }
        isInPlace = true
        let pipeline = context.pipeline.syncOperations
        do {
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            let handler = ConnectionHandler(admission, upgrades: upgrades)
            handler.isInPlace = true
            try pipeline.addHandler(handler, position: .after(decoder))
            // Before this handler, which is left out of what follows an upgrade.
            if upgrades { try pipeline.addHandler(UpgradeHandler(), position: .after(decoder)) }
            let arriving = ArrivingBytes(handler, admission)
            handler.arriving = arriving
            try pipeline.addHandler(arriving, position: .before(decoder))
            pipeline.removeHandler(context: context, promise: nil)
        } catch { context.close(promise: nil) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    package func channelActive(context: ChannelHandlerContext) {
        let connection = ClientConnection(context.channel, self)
        guard admission.connections.admit(connection) else {
            Telemetry.http.refusals[.connections].increment()
            return context.close(promise: nil)
        }
        self.connection = connection
        arrival = Arrival(at: context.eventLoop.now)
        lookOut(context)
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        if let connection {
            connection.abandon()
            connection.detach()
        }
        admission.connections.leave(connection)
        connection = nil
        admission.strangers.give(headBytes + aheadBytes)
        (headBytes, aheadBytes) = (0, 0)
        deferredClose?.succeed()
        deferredClose = nil
        context.fireChannelInactive()
    }

    /// Bytes have come, of which nothing is known yet.
    ///
    /// - Returns: false where there is no room for them.
    func bytesCame(_ count: Int, at now: NIODeadline) -> Bool {
        guard let connection, arrival.isInHead else { return true }
        arrival.bytesCame(at: now)
        guard !connection.isKnown else { return true }
        guard admission.strangers.take(count) else { return false }
        headBytes += count
        return true
    }

    /// Whether a request is being answered, so that the next one waits.
    var isBusy: Bool { unanswered > 0 && body.isThere && !isUpgraded }

    /// How many of these bytes may go on before it is looked again whether a request is there: they have no more than its end.
    func nextPiece(of bytes: ByteBufferView) -> Int {
        if isUpgraded || isLingering { return bytes.count }
        if arrival.isInHead { return HeadEnd.count(in: bytes) }
        return body.isEndless ? Self.endlessPieceBytes : body.length - body.bytes
    }
}

// What comes.
extension ConnectionHandler {
    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isLingering else { return }
        switch unwrapInboundIn(data) {
        case .head(let sent):
            let head = Self.readable(sent)
            guard headCame(head, context) else { return context.close(promise: nil) }
            context.fireChannelRead(wrapInboundOut(.head(head)))
        case .body(let bytes):
            arrival.bodyCame(bytes.readableBytes)
            body.bytes += bytes.readableBytes
            if body.bytes > Admission.strangersBodyBytes, !body.isLong { (body.isLong, body.isHeldBack) = (true, true) }
            pieces.writeImmutableBuffer(bytes)
            if pieces.readableBytes >= Self.pieceBytes { passPieces(context) }
        case .end:
            passPieces(context)
            arrival.ended()
            body.isThere = true
            connection.map { admission.connections.set($0, working: true) }
            context.fireChannelRead(data)
        }
    }

    /// What came in small pieces goes on as one: each costs as much as a large one.
    private func passPieces(_ context: ChannelHandlerContext) {
        guard pieces.readableBytes > 0 else { return }
        let bytes = pieces
        pieces = ByteBuffer()
        context.fireChannelRead(wrapInboundOut(.body(bytes)))
    }

    /// - Returns: false where too much was sent ahead.
    private func headCame(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) -> Bool {
        arrival.headCame(at: context.eventLoop.now, bearsToken: head.headers.contains(name: "authorization"))
        admission.strangers.give(headBytes)
        headBytes = 0
        unanswered += 1
        connection?.become(ahead: unanswered > 1)
        if unanswered > 1 {
            guard unanswered <= Self.aheadLimit, admission.strangers.take(Self.aheadBytes) else { return false }
            aheadBytes += Self.aheadBytes
        }
        let length = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
        body = AwaitedBody(isThere: false, isLong: length > Admission.strangersBodyBytes)
        body.length = length
        body.isEndless = head.headers.contains(name: "transfer-encoding")
        body.isHeldBack = body.isLong
        body.expectsGoAhead = head.headers[canonicalForm: "expect"].contains { $0.lowercased() == "100-continue" }
        if !body.isHeldBack { goAhead(context) }
        return true
    }

    /// The head as the rest of the program wants it.
    private static func readable(_ head: HTTPRequestHead) -> HTTPRequestHead {
        var head = head
        // Nothing that is read here is so long and not ASCII, and to compare it could take for ever.
        for (name, value) in head.headers where value.utf8.count > foreignBytes && value.utf8.contains(where: { $0 >= 0x80 }) {
            head.headers.remove(name: name)
        }
        if !head.isKeepAlive { head.headers.replaceOrAdd(name: "connection", value: "close") }
        // As any field that stands twice; no host has a comma, so none is served.
        let hosts = head.headers["host"]
        if hosts.count > 1 { head.headers.replaceOrAdd(name: "host", value: hosts.joined(separator: ", ")) }
        return head
    }

    /// Lets the rest of the body come.
    func acceptBody() {
        guard let context, !body.isThere else { return }
        // It is accepted once: one whose length nobody knows is not held back later either, when it has become long.
        body.isLong = true
        guard body.isHeldBack else { return }
        body.isHeldBack = false
        goAhead(context)
        guard isReadHeldBack else { return }
        isReadHeldBack = false
        read(context: context)
    }

    private func goAhead(_ context: ChannelHandlerContext) {
        guard body.expectsGoAhead, !body.isThere else { return }
        body.expectsGoAhead = false
        context.writeAndFlush(wrapOutboundOut(.head(.init(version: .http1_1, status: .continue))), promise: nil)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        passPieces(context)
        connection.map { admission.connections.hasRead($0) }
        arrival.pauses(at: context.eventLoop.now)
        if arrival.isAwaited { lookOut(context) }
        context.fireChannelReadComplete()
        if isLingering { context.read() }
    }

    package func read(context: ChannelHandlerContext) {
        guard !body.isHeldBack || body.isThere || isLingering else {
            isReadHeldBack = true
            return
        }
        arrival.reads(at: context.eventLoop.now)
        context.read()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            if isLingering { return context.close(promise: nil) }
            let connection = connection
            context.eventLoop.scheduleTask(in: Self.farewell) { connection?.abandon() }
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Looks again after a while whether what is awaited comes.
    private func lookOut(_ context: ChannelHandlerContext) {
        guard !isLookingOut else { return }
        isLookingOut = true
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.look) {
            let (handler, context) = bound.value
            handler.isLookingOut = false
            guard handler.connection != nil, !handler.isLingering else { return }
            switch handler.arrival.verdict(at: context.eventLoop.now) {
            case .goesOn: if handler.arrival.isAwaited { handler.lookOut(context) }
            case .headIsSlow:
                Telemetry.http.refusals[.head].increment()
                context.close(promise: nil)
            case .bodyIsSlow: context.fireErrorCaught(SlowBody())
            }
        }
    }
}

// What goes.
extension ConnectionHandler {
    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let written = promise ?? context.eventLoop.makePromise()
        pendingWrites += 1
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        switch unwrapOutboundIn(data) {
        case .head(var head) where head.status.code >= 200:
            // Nobody reads the rest of a long body, and what may come after it. The body is that of the request that came last.
            let isUnread = unanswered == 1 && !body.isThere && (body.isLong || body.isEndless)
            if isUnread { head.headers.replaceOrAdd(name: "connection", value: "close") }
            // What cannot be read as a request is answered by who reads it, and is found in a proxy's log all the same.
            let id = RequestLog.header.rawName
            if head.status.code >= 400, !head.headers.contains(name: id) { head.headers.add(name: id, value: "\(RequestID())") }
            closesAfterAnswer = head.headers[canonicalForm: "connection"].contains { $0.lowercased() == "close" }
            context.write(wrapOutboundOut(.head(head)), promise: written)
        case .end:
            answered()
            context.write(data, promise: written)
        case .head(let head) where head.status == .switchingProtocols:
            context.write(data, promise: written)
            isUpgraded = true
            arriving?.goOn()
        case .head, .body: context.write(data, promise: written)
        }
        let isLast = if case .end = unwrapOutboundIn(data) { closesAfterAnswer } else { false }
        written.futureResult.whenComplete { _ in
            let (handler, context) = bound.value
            handler.pendingWrites -= 1
            if isLast, !handler.body.isThere { handler.linger(context) }
            handler.closeIfDone(context)
        }
    }

    private func answered() {
        unanswered -= 1
        connection?.become(ahead: unanswered > 1)
        let ahead = min(aheadBytes, Self.aheadBytes)
        admission.strangers.give(ahead)
        aheadBytes -= ahead
        // A client may have the whole answer, and send the next request, before the end of the answer is told here.
        if unanswered == 0 { arrival.answered() }
        connection.map { admission.connections.set($0, working: unanswered > 0) }
        if !isBusy { arriving?.goOn() }
    }

    /// Ends our side, and reads what the client goes on sending, for a while: a connection that is closed on it would take
    /// the answer away from it too (RFC 9112 §9.6).
    private func linger(_ context: ChannelHandlerContext) {
        guard !isLingering, context.channel.isActive else { return }
        isLingering = true
        connection?.endInput()
        context.close(mode: .output, promise: nil)
        context.read()
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.lingering) { bound.value.close(promise: nil) }
    }

    /// A close of the whole connection waits for what is being written.
    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all, pendingWrites > 0, context.channel.isActive else { return context.close(mode: mode, promise: promise) }
        guard let deferredClose else {
            deferredClose = promise ?? context.eventLoop.makePromise()
            context.flush()
            return watch(context, waiting: waitingBytes(context))
        }
        promise.map { deferredClose.futureResult.cascade(to: $0) }
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

/// A body came slower than it may.
struct SlowBody: Error {}
