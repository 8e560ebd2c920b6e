internal import ArgumentParser
internal import NIOCore
internal import NIOPosix
internal import Server

/// `apus ready`: what a container's health check runs, where there is no other program to ask with.
struct ReadyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ready",
        abstract: "Asks the server on this machine whether it is ready.",
        discussion: "The exit code is 0 when it is.")

    /// How long the answer may take.
    private static let patience = Duration.seconds(3)
    /// More than any answer of `/ready` has.
    private static let longestAnswerBytes = 64 << 10
    private static let request = "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    @OptionGroup var dataOptions: DataOptions

    @Option(help: Settings.listen.help)
    var listen: String?

    func run() async throws {
        let said = listen.map { [Settings.listen.name: $0] } ?? [:]
        let address = try dataOptions.quietEnvironment(said).value(Settings.listen)
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
        guard status == "200" else { throw OperatorFault("the server is not ready: \(status ?? "no answer") \(body)") }
        print("ready")
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
