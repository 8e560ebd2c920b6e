internal import NIOCore
internal import NIOPosix

/// What the server that listens on this machine says of itself.
package struct LocalAnswer: Sendable {
    package let status: Int
    /// The body, on one line.
    package let lines: String

    /// How long the answer may take.
    private static let patience = Duration.seconds(3)
    /// More than any answer of `/ready` has.
    private static let longestAnswerBytes = 64 << 10
    private static let request = "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    /// Asks whether it is ready.
    ///
    /// - Throws: ``OperatorFault`` where nobody answers.
    package static func ready(_ address: ListenAddress) async throws -> LocalAnswer {
        let answer = try await withThrowingTaskGroup(of: String.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await Self.answer(of: address) }
            group.addTask {
                try await Task.sleep(for: Self.patience)
                throw OperatorFault("\(address.text) does not answer")
            }
            return try await group.next() ?? ""
        }
        let status = answer.prefix { $0 != "\r\n" }.split(separator: " ").dropFirst().first
        let body = answer.firstRange(of: "\r\n\r\n").map { answer[$0.upperBound...] } ?? ""
        return LocalAnswer(
            status: status.flatMap { Int($0) } ?? 0, lines: body.split(whereSeparator: \.isNewline).joined(separator: "; "))
    }

    /// An address to connect to, where a server listens on any.
    private static func reachable(_ host: String) -> String {
        switch host {
        case "0.0.0.0": "127.0.0.1"
        case "::": "::1"
        default: host
        }
    }

    /// The whole of what the server sends.
    private static func answer(of address: ListenAddress) async throws -> String {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>
        do {
            channel =
                switch address {
                case .port(let host, let port): try await bootstrap.connect(host: reachable(host), port: port, channelInitializer: stream)
                case .socket(let path): try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: stream)
                }
        } catch { throw OperatorFault("nobody listens on \(address.text): \(error)") }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: request))
            var answer = ByteBuffer()
            for try await part in inbound where answer.readableBytes < longestAnswerBytes { answer.writeImmutableBuffer(part) }
            return String(buffer: answer)
        }
    }

    @Sendable private static func stream(_ channel: any Channel) -> EventLoopFuture<NIOAsyncChannel<ByteBuffer, ByteBuffer>> {
        channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel(wrappingChannelSynchronously: channel) }
    }
}
