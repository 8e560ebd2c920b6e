internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// Opens connections to one Redis.
struct Dialer: Sendable {
    let url: RedisURL
    let timeLimit: Duration
    private let tls: NIOSSLContext?

    /// - Throws: ``RedisURL/Mistake`` when the file of authorities cannot be used.
    init(_ url: RedisURL, timeLimit: Duration) throws(RedisURL.Mistake) {
        self.url = url
        self.timeLimit = timeLimit
        guard url.isEncrypted else {
            tls = nil
            return
        }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        if let path = url.authoritiesPath { configuration.trustRoots = .file(path) }
        do { tls = try NIOSSLContext(configuration: configuration) } catch {
            throw RedisURL.Mistake("the file of certificates that the address of Redis names cannot be used")
        }
    }

    /// Opens a connection that has been let in, in the right database.
    ///
    /// - Parameter messages: what is published on the channels that the connection is subscribed to; nil for one that asks only.
    func open(messages: (@Sendable (_ channel: String, _ payload: [UInt8]) -> Void)? = nil) async throws(RedisFault) -> RedisConnection {
        let connection: RedisConnection
        do { connection = try await connect(messages) } catch { throw .unavailable("no connection (\(error))") }
        do throws(RedisFault) {
            try await enter(connection)
            return connection
        } catch {
            connection.close("not let in")
            throw error
        }
    }

    private func connect(_ messages: (@Sendable (String, [UInt8]) -> Void)?) async throws -> RedisConnection {
        let timeLimit = TimeAmount(timeLimit)
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connectTimeout(timeLimit)
        let initialize: @Sendable (any Channel) -> EventLoopFuture<RedisConnection> = { channel in
            channel.eventLoop.makeCompletedFuture {
                let ended = channel.eventLoop.makePromise(of: String.self)
                // What a listener is asked is as much as there are subscriptions.
                let load = Load(isBounded: messages == nil)
                let conversation = Conversation(timeLimit: timeLimit, load: load, ended: ended, messages: messages)
                if let tls {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: serverName))
                }
                try channel.pipeline.syncOperations.addHandler(conversation)
                return RedisConnection(
                    eventLoop: channel.eventLoop, conversation: NIOLoopBound(conversation, eventLoop: channel.eventLoop), load: load,
                    ended: ended.futureResult)
            }
        }
        switch url.address {
        case .host(let host, let port):
            return try await bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: host, port: port, channelInitializer: initialize)
        case .socket(let path): return try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: initialize)
        }
    }

    /// The name that the server's certificate must have. Nil where it must have the address itself: an IP address is no name.
    private var serverName: String? {
        guard case .host(let host, _) = url.address else { return nil }
        do {
            _ = try SocketAddress(ipAddress: host, port: 0)
            return nil
        } catch { return host }
    }

    private func enter(_ connection: RedisConnection) async throws(RedisFault) {
        if let password = url.password {
            do throws(RedisFault) {
                _ = try await connection.ask(["AUTH"] + (url.user.map { [.text($0)] } ?? []) + [.text(password)])
            } catch {
                // Some servers repeat what they do not understand: here that would be the password.
                guard case .refused(let text) = error else { throw error }
                throw .refused("\(text.prefix { $0.isLetter }), to the user and password of its address")
            }
        }
        if url.database != 0 { _ = try await connection.ask(["SELECT", .number(url.database)]) }
        // Says so where a password is wanted and none was given.
        _ = try await connection.ask(["PING"])
    }
}

/// What waits for answers on a connection.
final class Load: Sendable {
    private static let limitCommands = 4096
    private static let limitBytes = 64 << 20

    private let isBounded: Bool
    private let waiting = Mutex((commands: 0, bytes: 0))

    init(isBounded: Bool) { self.isBounded = isBounded }

    /// Whether a command of so many bytes may be sent too.
    func add(bytes: Int) -> Bool {
        waiting.withLock { waiting in
            guard !isBounded || (waiting.commands < Self.limitCommands && waiting.bytes < Self.limitBytes) else { return false }
            waiting.commands += 1
            waiting.bytes += bytes
            return true
        }
    }

    func remove(bytes: Int) {
        waiting.withLock { waiting in
            waiting.commands -= 1
            waiting.bytes -= bytes
        }
    }
}

/// A connection. Commands are sent as they come, without waiting for the answers to those before them.
final class RedisConnection: Sendable {
    private let eventLoop: any EventLoop
    private let conversation: NIOLoopBound<Conversation>
    private let load: Load
    private let ended: EventLoopFuture<String>

    init(eventLoop: any EventLoop, conversation: NIOLoopBound<Conversation>, load: Load, ended: EventLoopFuture<String>) {
        self.eventLoop = eventLoop
        self.conversation = conversation
        self.load = load
        self.ended = ended
    }

    /// Sends a command and waits for its answer, no longer than the time limit.
    func ask(_ words: [RedisArgument]) async throws(RedisFault) -> RedisValue {
        do { return try await send(words).get() } catch let fault as RedisFault { throw fault } catch {
            throw .unavailable("\(error)")
        }
    }

    /// Sends a command. The future fails with a ``RedisFault``.
    func send(_ words: [RedisArgument]) -> EventLoopFuture<RedisValue> {
        let bytes = RedisProtocol.format(words)
        guard load.add(bytes: bytes.readableBytes) else {
            return eventLoop.makeFailedFuture(RedisFault.unavailable("too many commands wait for their answers"))
        }
        let answer = eventLoop.makePromise(of: RedisValue.self)
        eventLoop.execute { [conversation] in conversation.value.send(bytes, answer) }
        return answer.futureResult
    }

    /// Ends the connection; `reason` is what those who wait are told.
    func close(_ reason: String) {
        eventLoop.execute { [conversation] in conversation.value.close(reason) }
    }

    /// Waits for the end of the connection, and answers with its reason.
    func end() async -> String {
        do { return try await ended.get() } catch { return "\(error)" }
    }
}

/// The handler at the end of a connection's pipeline: answers come in the order of the commands. Lives on the event loop.
final class Conversation: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private struct Question {
        let bytes: Int
        let deadline: NIODeadline
        let answer: EventLoopPromise<RedisValue>
    }

    private let timeLimit: TimeAmount
    private let load: Load
    private let ended: EventLoopPromise<String>
    private let messages: (@Sendable (String, [UInt8]) -> Void)?
    private let reader = ReplyReader()
    private var questions = CircularBuffer<Question>()
    private var context: ChannelHandlerContext?
    private var reason: String?
    private var isWatching = false
    private var isFlushing = false

    init(
        timeLimit: TimeAmount, load: Load, ended: EventLoopPromise<String>, messages: (@Sendable (String, [UInt8]) -> Void)?
    ) {
        self.timeLimit = timeLimit
        self.load = load
        self.ended = ended
        self.messages = messages
    }

    func send(_ bytes: ByteBuffer, _ answer: EventLoopPromise<RedisValue>) {
        guard let context, reason == nil else {
            load.remove(bytes: bytes.readableBytes)
            return answer.fail(RedisFault.unavailable(reason ?? "closed"))
        }
        questions.append(Question(bytes: bytes.readableBytes, deadline: .now() + timeLimit, answer: answer))
        context.write(wrapOutboundOut(bytes), promise: nil)
        flushSoon(context)
        watch(context)
    }

    func close(_ reason: String) {
        guard self.reason == nil else { return }
        self.reason = reason
        context?.close(promise: nil)
    }

    /// One flush for all that comes in one turn of the loop.
    private func flushSoon(_ context: ChannelHandlerContext) {
        guard !isFlushing else { return }
        isFlushing = true
        context.eventLoop.assumeIsolated().execute {
            self.isFlushing = false
            self.context?.flush()
        }
    }

    /// Ends the connection when the oldest question is over its time: no later answer can come before that one.
    private func watch(_ context: ChannelHandlerContext) {
        guard !isWatching, let first = questions.first else { return }
        isWatching = true
        context.eventLoop.assumeIsolated().scheduleTask(deadline: first.deadline) {
            self.isWatching = false
            guard let context = self.context, let first = self.questions.first else { return }
            if first.deadline <= .now() { self.close("no answer in time") } else { self.watch(context) }
        }
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard reason == nil else { return }
        do throws(ReplyReader.Malformed) {
            try reader.feed(unwrapInboundIn(data))
            while reason == nil, let value = try reader.next() { received(value) }
        } catch { close("what came is no answer of Redis") }
    }

    private func received(_ value: RedisValue) {
        if let messages, case .array(let parts) = value, parts.count == 3, parts[0] == .bytes(Array("message".utf8)),
            let channel = parts[1].bytes, let payload = parts[2].bytes
        {
            return messages(String(decoding: channel, as: UTF8.self), payload)
        }
        let text: String? = if case .error(let text) = value { Self.withoutArguments(text) } else { nil }
        guard let question = questions.popFirst() else { return close(text ?? "an answer to nothing") }
        load.remove(bytes: question.bytes)
        if let text { question.answer.fail(RedisFault.refused(text)) } else { question.answer.succeed(value) }
    }

    /// Redis repeats the words of a command that it does not know.
    private static func withoutArguments(_ text: String) -> String {
        text.firstRange(of: ", with args").map { String(text[..<$0.lowerBound]) } ?? text
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close("\(error)") }

    func channelInactive(context: ChannelHandlerContext) { finish() }

    func handlerRemoved(context: ChannelHandlerContext) { finish() }

    private func finish() {
        guard context != nil else { return }
        context = nil
        let reason = reason ?? "the connection has ended"
        self.reason = reason
        while let question = questions.popFirst() {
            load.remove(bytes: question.bytes)
            question.answer.fail(RedisFault.unavailable(reason))
        }
        ended.succeed(reason)
    }
}
