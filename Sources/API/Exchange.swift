internal import HTTPTypes
internal import HummingbirdCore
internal import NIOCore
internal import NIOHTTP1

/// The end of a connection's pipeline: what came of requests, for the task that answers them, and what it sends. A client that
/// sends more of a body than is read is asked for no more, and a task that sends more than is taken waits.
///
/// Everything here happens on the connection's event loop. What a silent connection is, and how one ends that is to, is decided
/// here too.
final class Exchange: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// How much of a body may wait here.
    private static let bodyBytesLimit = 256 << 10

    private let idleTime: TimeAmount
    private var context: ChannelHandlerContext?

    /// What has come and was not taken, and the bytes of bodies in it.
    private var parts = CircularBuffer<HTTPServerRequestPart>(initialCapacity: 4)
    private var bodyBytes = 0
    private var isReadHeldBack = false
    /// What ends the requests, told once, after all that came before it.
    private var fault: (any Error)?
    /// Nothing comes any more, or nobody takes it.
    private var isEnded = false
    /// Nothing can be sent any more.
    private var isClosed = false
    private var headWaiter: CheckedContinuation<Void, Never>?
    private var bodyWaiter: CheckedContinuation<ByteBuffer?, any Error>?
    private var writeWaiter: CheckedContinuation<Void, Never>?
    /// The request that is being answered, of all that came.
    private(set) var number = 0
    private var isBodyTaken = false
    /// What is still to be sent of a body whose length was announced.
    private var announcedBytes: Int?

    /// Requests that have begun to come and are not answered, and whether the last one is still coming.
    private var unanswered = 0
    private var isArriving = false
    private var lastActive = NIODeadline.now()
    private var isIdleWatched = false
    private var endsAfterAnswer = false

    init(idleTime: TimeAmount) { self.idleTime = idleTime }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        close()
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        watchIdle(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        close()
        context.fireChannelInactive()
    }

    private func close() {
        isClosed = true
        end(nil)
        wakeWriter()
    }

    /// Nobody waits for answers any more.
    func cancel() {
        close()
        context?.close(promise: nil)
    }
}

// What comes.
extension Exchange {
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        lastActive = context.eventLoop.now
        switch part {
        case .head:
            unanswered += 1
            isArriving = true
        case .body(let bytes): if !isEnded { bodyBytes += bytes.readableBytes }
        case .end: isArriving = false
        }
        guard !isEnded else { return }
        parts.append(part)
        wakeReader()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end(error) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent:
            if unanswered > 0 { endsAfterAnswer = true } else { context.close(promise: nil) }
        case let event as ChannelEvent where event == .inputClosed: end(nil)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { wakeWriter() }
        context.fireChannelWritabilityChanged()
    }

    func read(context: ChannelHandlerContext) {
        if bodyBytes < Self.bodyBytesLimit { context.read() } else { isReadHeldBack = true }
    }

    private func end(_ fault: (any Error)?) {
        guard !isEnded else { return }
        if let fault { self.fault = self.fault ?? fault } else { isEnded = true }
        wakeReader()
    }

    private func wakeReader() {
        if let waiter = bodyWaiter {
            bodyWaiter = nil
            giveBody(of: number, to: waiter)
        }
        headWaiter?.resume()
        headWaiter = nil
    }

    private func take() -> HTTPServerRequestPart? {
        guard let part = parts.popFirst() else { return nil }
        if case .body(let bytes) = part { bodyBytes -= bytes.readableBytes }
        if isReadHeldBack, bodyBytes < Self.bodyBytesLimit {
            isReadHeldBack = false
            context?.read()
        }
        return part
    }

    private func takeFault() -> (any Error)? {
        guard let fault else { return nil }
        self.fault = nil
        isEnded = true
        return fault
    }

    /// The head of the next request, or nil where none comes. What is left of the one before is forgotten.
    ///
    /// - Throws: what could not be read, once.
    func nextHead() async throws -> HTTPRequestHead? {
        while true {
            while let part = take() {
                guard case .head(let head) = part else { continue }
                number += 1
                isBodyTaken = false
                return head
            }
            if let fault = takeFault() { throw fault }
            if isEnded { return nil }
            await withCheckedContinuation { headWaiter = $0 }
        }
    }

    /// The body of the request whose head was taken last, where all of it is here in one piece.
    func takeBody() -> ByteBuffer? {
        var body = ByteBuffer()
        let length: Int
        switch parts.first {
        case .end: length = 1
        case .body(let bytes):
            guard parts.count > 1, case .end = parts[parts.index(after: parts.startIndex)] else { return nil }
            (body, length) = (bytes, 2)
        default: return nil
        }
        for _ in 0..<length { _ = take() }
        isBodyTaken = true
        return body
    }

    /// Resumes who asks for the next piece of the body of a request, when it is there, with nil at its end.
    func giveBody(of number: Int, to reader: CheckedContinuation<ByteBuffer?, any Error>) {
        guard number == self.number, !isBodyTaken else { return reader.resume(returning: nil) }
        switch parts.first {
        case .body(let bytes):
            _ = take()
            reader.resume(returning: bytes)
        case .end:
            _ = take()
            isBodyTaken = true
            reader.resume(returning: nil)
        case .head: reader.resume(returning: nil)
        case nil:
            if let fault = takeFault() { return reader.resume(throwing: fault) }
            if isEnded { return reader.resume(returning: nil) }
            bodyWaiter = reader
        }
    }
}

// What goes.
extension Exchange {
    /// Begins an answer.
    ///
    /// - Parameter bodyBytes: how long the body will be, where that is known; then the head goes out with the beginning of it.
    func begin(_ head: HTTPResponseHead, bodyBytes: Int?) throws {
        announcedBytes = bodyBytes
        let context = try open()
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if bodyBytes == nil { context.flush() }
    }

    /// Sends a piece of the body. The last one goes out with the end of the answer.
    ///
    /// - Returns: false where the client has to take first what was sent before.
    func send(_ bytes: ByteBuffer) throws -> Bool {
        let context = try open()
        guard context.channel.isWritable else { return false }
        context.write(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
        announcedBytes = announcedBytes.map { $0 - bytes.readableBytes }
        if announcedBytes != 0 { context.flush() }
        return true
    }

    /// Ends an answer.
    func endAnswer(_ trailers: HTTPFields?) throws {
        let context = try open()
        unanswered -= 1
        lastActive = context.eventLoop.now
        context.writeAndFlush(wrapOutboundOut(.end(trailers.map { HTTPHeaders($0) })), promise: nil)
        guard unanswered == 0 else { return }
        if endsAfterAnswer { context.close(promise: nil) } else { watchIdle(context) }
    }

    /// Resumes who waits for room.
    func giveRoom(to writer: CheckedContinuation<Void, Never>) {
        guard let context, !isClosed, !context.channel.isWritable else { return writer.resume() }
        writeWaiter = writer
    }

    private func wakeWriter() {
        writeWaiter?.resume()
        writeWaiter = nil
    }

    /// Answers what is no request.
    func refuse() {
        guard let context, !isClosed else { return }
        let head = HTTPResponseHead(version: .http1_1, status: .badRequest, headers: ["connection": "close", "content-length": "0"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        endOutput()
    }

    /// No answer follows.
    func endOutput() {
        end(nil)
        parts.removeAll()
        bodyBytes = 0
        context?.close(mode: .output, promise: nil)
    }

    /// What comes and goes is no HTTP any more.
    func leave() {
        if let context { context.pipeline.syncOperations.removeHandler(context: context, promise: nil) }
    }

    private func open() throws -> ChannelHandlerContext {
        guard let context, !isClosed else { throw ChannelError.ioOnClosedChannel }
        return context
    }

    /// Closes the connection when it has been silent for long.
    private func watchIdle(_ context: ChannelHandlerContext) {
        guard !isIdleWatched else { return }
        isIdleWatched = true
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(deadline: lastActive + idleTime) {
            let (exchange, context) = bound.value
            exchange.isIdleWatched = false
            // What is being answered is not silent; the end of the answer begins anew.
            guard !exchange.isClosed, exchange.isArriving || exchange.unanswered == 0 else { return }
            guard context.eventLoop.now >= exchange.lastActive + exchange.idleTime else { return exchange.watchIdle(context) }
            context.close(promise: nil)
        }
    }
}

/// The body of a request whose end has not come yet.
struct ComingBody: AsyncSequence, Sendable {
    private let exchange: NIOLoopBound<Exchange>
    private let number: Int

    init(_ exchange: NIOLoopBound<Exchange>) {
        self.exchange = exchange
        number = exchange.value.number
    }

    func makeAsyncIterator() -> Iterator { Iterator(exchange: exchange, number: number) }

    struct Iterator: AsyncIteratorProtocol {
        fileprivate let exchange: NIOLoopBound<Exchange>
        fileprivate let number: Int

        func next() async throws -> ByteBuffer? {
            try await withCheckedThrowingContinuation { reader in
                exchange.eventLoop.execute { exchange.value.giveBody(of: number, to: reader) }
            }
        }
    }
}

/// Sends the body of an answer, from wherever it is made.
struct AnswerBody: ResponseBodyWriter {
    private let exchange: NIOLoopBound<Exchange>

    init(_ exchange: NIOLoopBound<Exchange>) { self.exchange = exchange }

    mutating func write(_ buffer: ByteBuffer) async throws {
        let exchange = exchange
        while !(try await onLoop { try $0.send(buffer) }) {
            await withCheckedContinuation { writer in
                exchange.eventLoop.execute { exchange.value.giveRoom(to: writer) }
            }
        }
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws { try await onLoop { try $0.endAnswer(trailingHeaders) } }

    private func onLoop<T: Sendable>(_ body: @escaping @Sendable (Exchange) throws -> T) async throws -> T {
        try Task.checkCancellation()
        let exchange = exchange
        if exchange.eventLoop.inEventLoop { return try body(exchange.value) }
        return try await exchange.eventLoop.submit { try body(exchange.value) }.get()
    }
}
