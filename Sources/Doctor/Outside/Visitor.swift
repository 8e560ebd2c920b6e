internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// Makes requests to a site, each on a connection of its own, as a client with HTTP/1.1 does.
struct Visitor: Sendable {
    /// What is asked of a site's certificates.
    enum Trust: Sendable {
        /// Nothing: it is looked at in checks of its own.
        case anything
        /// That an authority that is trusted has signed them, and that they are good now.
        case chain
    }

    /// What a request came to.
    struct Answer: Sendable {
        let status: Int
        let fields: [(name: String, value: String)]
        let body: ByteBuffer
        /// Whether nothing of it is missing.
        let isWhole: Bool
        /// When the first bytes of the body came, and the last, since the request.
        let firstAfter: Duration
        let lastAfter: Duration

        func values(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }
        func value(_ name: String) -> String? { values(name).first }
        var isRedirect: Bool { (300..<400).contains(status) && value("location") != nil }
    }

    struct Late: Error, CustomStringConvertible { let description = "nothing has come in time" }
    struct Ended: Error, CustomStringConvertible { let description = "the connection was closed without an answer" }

    /// A slice that is written at a time.
    private static let sliceBytes = 1 << 20
    private static let connectLimit = TimeAmount.seconds(10)

    let site: Site

    typealias Stream = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    /// Opens a connection.
    ///
    /// - Parameter seen: is given the certificates that the site shows, its own first.
    func connect(_ trust: Trust = .anything, seen: (@Sendable ([NIOSSLCertificate]) -> Void)? = nil) async throws -> Stream {
        let tls = site.isEncrypted ? try context(trust) : nil
        let name = site.isAddress ? nil : site.host
        return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connectTimeout(Self.connectLimit)
            .connect(host: site.place?.host ?? site.host, port: site.place?.port ?? site.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let handler =
                            switch trust {
                            case .chain: try NIOSSLClientHandler(context: tls, serverHostname: name)
                            case .anything:
                                try NIOSSLClientHandler(
                                    context: tls, serverHostname: name,
                                    customVerificationCallback: { certificates, promise in
                                        seen?(certificates)
                                        promise.succeed(.certificateVerified)
                                    })
                            }
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    return try Stream(wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: false))
                }
            }
    }

    private func context(_ trust: Trust) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        if let authorities = site.authorities { configuration.trustRoots = .file(authorities) }
        // The name is looked at in a check of its own.
        configuration.certificateVerification = .noHostnameVerification
        return try NIOSSLContext(configuration: configuration)
    }

    /// The head of a request, in bytes.
    func head(_ method: String, _ path: String, _ fields: [(String, String)], bodyBytes: Int?) -> ByteBuffer {
        var lines = [
            "\(method) \(site.path)\(path) HTTP/1.1", "Host: \(site.authority)", "User-Agent: apus-doctor", "Accept: application/msgpack",
        ]
        lines += fields.map { "\($0.0): \($0.1)" }
        if let bodyBytes { lines.append("Content-Length: \(bodyBytes)") }
        return ByteBuffer(string: lines.joined(separator: "\r\n") + "\r\n\r\n")
    }

    /// Makes a request.
    ///
    /// - Throws: where there is no answer; one that is cut is an answer.
    func ask(
        _ method: String, _ path: String, _ fields: [(String, String)] = [], body: ByteBuffer? = nil, trust: Trust = .anything,
        within limit: Duration = .seconds(15)
    ) async throws -> Answer {
        let request = head(method, path, fields + [("Connection", "close")], bodyBytes: body?.readableBytes)
        return try await Self.within(limit) {
            let start = ContinuousClock.now
            return try await connect(trust).executeThenClose { inbound, outbound in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await Self.write(request, body, to: outbound) }
                    defer { group.cancelAll() }
                    return try await Self.answer(from: inbound, since: start)
                }
            }
        }
    }

    private static func write(_ head: ByteBuffer, _ body: ByteBuffer?, to outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) async throws
    {
        try await outbound.write(head)
        guard var body else { return }
        while let slice = body.readSlice(length: min(sliceBytes, body.readableBytes)), slice.readableBytes > 0 {
            // Whoever wants no more of it says why, and closes.
            do { try await outbound.write(slice) } catch { return }
        }
    }

    private static func answer(from inbound: NIOAsyncChannelInboundStream<ByteBuffer>, since start: ContinuousClock.Instant) async throws
        -> Answer
    {
        var parser = AnswerParser()
        var first: Duration?
        do {
            for try await part in inbound {
                try parser.take(part)
                if first == nil, parser.body.readableBytes > 0 { first = .now - start }
                if parser.isWhole { break }
            }
            parser.end()
        } catch {
            // What came before the connection broke says more.
            guard parser.status != nil else { throw error }
        }
        guard let status = parser.status else { throw Ended() }
        let last = ContinuousClock.now - start
        return Answer(
            status: status, fields: parser.fields, body: parser.body, isWhole: parser.isWhole, firstAfter: first ?? last, lastAfter: last)
    }

    /// - Throws: ``Late``, or what `body` throws.
    static func within<T: Sendable>(_ limit: Duration, _ body: @escaping @Sendable () async throws -> T) async throws -> T {
        try await withThrowingTaskGroup(of: T.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await body() }
            group.addTask {
                try await Task.sleep(for: limit)
                throw Late()
            }
            guard let first = try await group.next() else { throw Late() }
            return first
        }
    }
}
