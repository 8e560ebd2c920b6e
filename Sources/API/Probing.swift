internal import Domain
internal import Gateway
internal import HTTPTypes
internal import Hummingbird
internal import MessagePack
internal import NIOCore
internal import ReadModel
internal import Sodium

/// What `apus doctor` asks through the public address, to see what arrives and what comes back. For everybody else there is nothing here.
extension API {
    /// How long it may be waited for an answer, in seconds: below the time that a silent connection has.
    private static let longestWait = 110
    /// A long answer: parts that come one after the other, and then much at once.
    private static let (slowParts, slowPartBytes, pause): (Int, Int, Duration) = (8, 1 << 10, .milliseconds(250))
    private static let (fastParts, fastPartBytes): (Int, Int) = (64, 256 << 10)

    /// - Throws: ``APIError`` 404 for whoever is no doctor.
    func requireProbe(_ call: Call) async throws {
        guard try await readModel.isProbe(call.parameter("probe"), at: call.now) else { throw APIError.notFound }
    }

    /// `GET doctor/PROBE/WHAT/`, and with other methods.
    func answerProbe(_ call: Call) async throws -> Response {
        try await requireProbe(call)
        switch call.parameter("what") {
        case "request": return arrived(call)
        case "answer" where call.method == .get: return longAnswer()
        case "wait" where call.method == .get:
            try await Task.sleep(for: .seconds(min(Self.longestWait, call.query["seconds"].flatMap { Int($0) } ?? 0)))
            return Answer.text(.ok, "ok\n")
        default: throw APIError.notFound
        }
    }

    /// `POST doctor/PROBE/body/`
    func answerProbe(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        try await requireProbe(call)
        let hash = Sodium.blake2b(Array(body.readableBytesView))
        return Answer.messagePack { writer in
            writer.map(count: 2)
            writer.key("count")
            writer.int(body.readableBytes)
            writer.key("hash")
            writer.bytes(hash)
        }
    }

    /// What has arrived of a request.
    private func arrived(_ call: Call) -> Response {
        let forwarded = call.headers[values: Call.forwardedFor]
        return Answer.messagePack { writer in
            writer.map(count: 4)
            writer.pair("host", call.authority)
            writer.pair("authorization", call.headers[.authorization])
            writer.pair("address", call.channel.remoteAddress?.ipAddress)
            writer.key("forwarded_for")
            writer.array(count: forwarded.count)
            for value in forwarded { writer.string(value) }
        }
    }

    private func longAnswer() -> Response {
        Response(
            status: .ok, headers: [.contentType: MediaType.binary],
            body: .init { writer in
                for _ in 0..<Self.slowParts {
                    try await writer.write(ByteBuffer(repeating: UInt8(ascii: "a"), count: Self.slowPartBytes))
                    try await Task.sleep(for: Self.pause)
                }
                let part = ByteBuffer(repeating: UInt8(ascii: "b"), count: Self.fastPartBytes)
                for _ in 0..<Self.fastParts { try await writer.write(part) }
                try await writer.finish(nil)
            })
    }

    /// How long the whole of the long answer is.
    package static let longAnswerBytes = slowParts * slowPartBytes + fastParts * fastPartBytes

    /// A socket for a doctor, where the ticket is one's.
    func probeSocket(_ call: Call, _ gateway: Gateway) async throws -> Response? {
        let ticket = call.parameter("ticket")
        guard let token = ticket.after(Probes.ticketPrefix) else { return nil }
        guard try await readModel.isProbe(token, at: call.now) else { return nil }
        try await gateway.offerProbe(on: call.channel)
        return Answer.upgrade
    }
}
