internal import Database
internal import HTTPTypes
internal import Hummingbird
package import HummingbirdCore
package import Logging
package import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// A connection of a client from its bytes to its answers. Its requests are worked on one after the other, in one task, on the
/// connection's own event loop from the first byte to the last: a request that waits for nothing wakes no thread, and what stands
/// between the decoder and the handler is one mailbox (``Exchange``). A connection that becomes a WebSocket outlives that task.
///
/// It gives Hummingbird's server what its own channel does, without an asynchronous channel in between.
package struct ClientChannel: ServerChildChannel {
    package typealias Answering = @Sendable (Request, ConnectionContext) async throws -> Response

    package struct Value: ServerChildChannelValue {
        package let channel: any Channel
        fileprivate let exchange: NIOLoopBound<Exchange>
    }

    /// The longest head, and the most fields in it.
    private static let (headBytes, fieldsLimit) = (80 << 10, 1000)

    private let admission: Admission
    private let upgrades: Bool
    private let isCounted: Bool
    private let idleTime: TimeAmount
    private let respond: Answering
    private let loops = EventLoops()

    /// - Parameters:
    ///   - upgrades: whether a connection may become a WebSocket.
    ///   - isCounted: whether connections and their bytes are counted as those of clients.
    ///   - idleTime: how long a connection may be silent before it is closed.
    ///   - respond: answers a request.
    package init(_ admission: Admission, upgrades: Bool, isCounted: Bool, idleTime: TimeAmount, _ respond: @escaping Answering) {
        self.admission = admission
        self.upgrades = upgrades
        self.isCounted = isCounted
        self.idleTime = idleTime
        self.respond = respond
    }

    package func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            var limits = NIOHTTPDecoderLimitConfiguration()
            limits.maxHeaderFieldSize = Self.headBytes
            limits.maxHeaderListSize = Self.headBytes
            limits.maxHeaderFieldCount = Self.fieldsLimit
            let pipeline = channel.pipeline.syncOperations
            // What is written was looked at when it became a field.
            try pipeline.configureHTTPServerPipeline(
                withPipeliningAssistance: false, withErrorHandling: false, withOutboundHeaderValidation: false,
                withEncoderConfiguration: .init(), withDecoderLimitConfiguration: limits)
            if isCounted { try pipeline.addHandler(TrafficHandler()) }
            try pipeline.addHandler(ConnectionHandler(admission, upgrades: upgrades))
            let exchange = Exchange(idleTime: idleTime)
            try pipeline.addHandler(exchange)
            return Value(channel: channel, exchange: NIOLoopBound(exchange, eventLoop: channel.eventLoop))
        }
    }

    package func handle(value: Value, logger: Logger) async {
        let loop = loops.executor(of: value.channel.eventLoop)
        await ReadingPlace.$current.withValue(loop.place) {
            await withTaskExecutorPreference(loop) { await serve(value, logger) }
        }
    }

    /// Answers all requests of a connection, and waits for its end; one that has become a WebSocket ends by itself.
    @concurrent
    private func serve(_ value: Value, _ logger: Logger) async {
        let (channel, exchange) = (value.channel, value.exchange)
        let isUpgraded = await withTaskCancellationHandler {
            do {
                while let head = try await exchange.value.nextHead() {
                    if try await answer(head, channel, exchange, logger) == .switchingProtocols {
                        exchange.value.leave()
                        return true
                    }
                    try Task.checkCancellation()
                    if !head.isKeepAlive { break }
                }
                exchange.value.endOutput()
            } catch is HTTPParserError {
                exchange.value.refuse()
            } catch { channel.close(promise: nil) }
            return false
        } onCancel: {
            channel.eventLoop.execute { exchange.value.cancel() }
        }
        guard !isUpgraded else { return }
        do { try await channel.closeFuture.get() } catch { logger.debug("a connection broke", metadata: ["fault": "\(error)"]) }
    }

    /// - Returns: the status of the answer.
    private func answer(
        _ head: HTTPRequestHead, _ channel: any Channel, _ exchange: NIOLoopBound<Exchange>, _ logger: Logger
    ) async throws -> HTTPResponse.Status {
        let body = exchange.value.takeBody().map { RequestBody(buffer: $0) } ?? RequestBody(asyncSequence: ComingBody(exchange))
        guard let request = Request(head, body) else { throw Unanswerable() }
        let context = ConnectionContext(source: ApplicationRequestContextSource(channel: channel, logger: logger))
        do {
            let response = try await respond(request, context)
            let length = response.body.contentLength
            try exchange.value.begin(HTTPResponseHead(response.status, response.headers), bodyBytes: length)
            // What follows that head is no answer.
            if response.status != .switchingProtocols { try await response.body.write(AnswerBody(exchange)) }
            return response.status
        } catch {
            // Part of the answer is out, or nobody waits for it.
            throw Unanswerable()
        }
    }
}

/// A request whose connection has to end with it.
private struct Unanswerable: Error {}

/// The event loops of the process as executors of tasks.
private struct EventLoops: Sendable {
    private let executors: [ObjectIdentifier: EventLoopExecutor]

    init() {
        let loops = MultiThreadedEventLoopGroup.singleton.makeIterator()
        executors = Dictionary(uniqueKeysWithValues: loops.map { (ObjectIdentifier($0), EventLoopExecutor($0)) })
    }

    /// A loop of another group gets one of its own each time.
    func executor(of loop: any EventLoop) -> EventLoopExecutor { executors[ObjectIdentifier(loop)] ?? EventLoopExecutor(loop) }
}

private final class EventLoopExecutor: TaskExecutor {
    private let loop: any EventLoop
    let place: ReadingPlace

    init(_ loop: any EventLoop) {
        self.loop = loop
        place = ReadingPlace { loop.inEventLoop }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
