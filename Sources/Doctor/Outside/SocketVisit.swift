internal import NIOCore

/// A WebSocket that is opened and listened to (RFC 6455), no more than the doctor needs.
struct SocketVisit: Sendable {
    /// What it came to.
    enum Outcome: Sendable {
        /// The answer is no upgrade.
        case refused(status: Int)
        /// Nothing came through it.
        case silent
        /// It was closed, so long after it was opened.
        case closed(after: Duration)
        case kept
    }

    private static let key = "YXB1cyBkb2N0b3IgMTIzNA=="
    private static let pong = ByteBuffer(bytes: [0x8A, 0x80, 0, 0, 0, 0])
    /// How long the first message may take.
    private static let patience = Duration.seconds(10)

    let visitor: Visitor
    let path: String

    /// Opens it, waits for the first message, and keeps it for a while.
    ///
    /// - Throws: where there is no answer.
    func outcome(keepFor time: Duration) async throws -> Outcome {
        let fields = [
            ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", Self.key),
            ("Origin", "https://app.example.com"),
        ]
        let request = visitor.head("GET", path, fields, bodyBytes: nil)
        let stream = try await visitor.connect()
        return try await stream.executeThenClose { inbound, outbound in
            try await outbound.write(request)
            let state = State()
            let reading = Self.reading(inbound, outbound, state)
            return try await withThrowingTaskGroup(of: Outcome?.self) { group in
                defer { group.cancelAll() }
                group.addTask { try await reading() }
                group.addTask {
                    try await Task.sleep(for: Self.patience)
                    return await state.hasHeard ? nil : .silent
                }
                group.addTask {
                    try await Task.sleep(for: max(time, .milliseconds(10)))
                    // One that is only tried is kept no longer than until it has said something.
                    while !(await state.hasHeard) { try await Task.sleep(for: .milliseconds(20)) }
                    return .kept
                }
                while let outcome = try await group.next() { if let outcome { return outcome } }
                return .silent
            }
        }
    }

    private actor State {
        private(set) var hasHeard = false
        func hear() { hasHeard = true }
    }

    private static func reading(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>, _ state: State
    ) -> @Sendable () async throws -> Outcome {
        {
            var parser = AnswerParser()
            var frames = Frames()
            var openedAt: ContinuousClock.Instant?
            do {
                for try await part in inbound {
                    try parser.take(part)
                    guard let status = parser.status else { continue }
                    guard status == 101 else { return .refused(status: status) }
                    openedAt = openedAt ?? .now
                    frames.take(parser.takeBody())
                    while let opcode = frames.next() {
                        switch opcode {
                        case .message: await state.hear()
                        case .ping: try await outbound.write(pong)
                        case .close: return .closed(after: .now - (openedAt ?? .now))
                        case .other: continue
                        }
                    }
                }
            } catch { guard openedAt != nil else { throw error } }
            guard let openedAt else { throw Visitor.Ended() }
            return .closed(after: .now - openedAt)
        }
    }
}

/// The frames that a server sends, of which only their kinds count.
private struct Frames {
    enum Kind {
        case message
        case ping
        case close
        case other
    }

    private var bytes = ByteBuffer()

    mutating func take(_ more: ByteBuffer) { bytes.writeImmutableBuffer(more) }

    /// Nil until a whole one is there.
    mutating func next() -> Kind? {
        let start = bytes.readerIndex
        guard let head = bytes.getInteger(at: start, as: UInt8.self), let short = bytes.getInteger(at: start + 1, as: UInt8.self) else {
            return nil
        }
        let (headBytes, length): (Int, Int?) =
            switch short & 0x7F {
            case 126: (4, bytes.getInteger(at: start + 2, as: UInt16.self).map(Int.init))
            case 127: (10, bytes.getInteger(at: start + 2, as: UInt64.self).map { Int(clamping: $0) })
            case let length: (2, Int(length))
            }
        guard let length, length <= 1 << 20, bytes.readableBytes >= headBytes + length else { return nil }
        bytes.moveReaderIndex(forwardBy: headBytes + length)
        return switch head & 0x0F {
        case 1, 2: .message
        case 8: .close
        case 9: .ping
        default: .other
        }
    }
}
