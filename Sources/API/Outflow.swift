internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NIOHTTP1
internal import ReadModel

/// Sends an answer as the client takes it: what goes out next is read when what was before it is in the operating system's hands,
/// and who takes nothing for a while is dropped. What writes bodies (``AnswerBody``) waits only for the room to write more.
///
/// So of each answer one piece is in memory. What it may take is reserved of the budget of all bodies and answers before
/// anything is sent; when there is none left the client is told to come again.
struct Outflow: Sendable {
    /// What goes out at a time. A content may be cut anywhere.
    private static let pieceBytes = 1 << 20
    /// While a piece is read it is there several times: as the database's library has it, and as it goes out.
    private static let pieceCopies = 3
    /// Answers that are no longer than this are not counted: of each connection there is one.
    private static let smallBytes = 64 << 10

    let channel: any Channel
    let readModel: ReadModel
    let memory: MemoryBudget

    /// The answer of these parts. Where that is one piece, it is made before anything is sent.
    ///
    /// - Throws: ``APIError/unavailable`` when too many bytes are in flight; `DatabaseFault` when a content cannot be read.
    func response(_ parts: [AnswerPart], type: String = MediaType.messagePack) async throws -> Response {
        if let buffer = parts.buffer { return try metered(Answer.data(buffer, type: type)) }
        let share = MemoryShare(of: memory)
        if let length = parts.length, length <= Self.pieceBytes {
            try share.grow(by: Self.pieceCopies * length)
            defer { share.giveBack() }
            return try metered(Answer.data(try await joined(parts, length), type: type))
        }
        try share.grow(by: Self.pieceCopies * Self.pieceBytes)
        // What is at hand already, beside the piece that is on its way.
        for case .bytes(let buffer) in parts { try share.grow(by: buffer.readableBytes) }
        return Response(
            status: .ok, headers: [.contentType: type],
            body: ResponseBody(contentLength: parts.length) { writer in
                defer { share.giveBack() }
                var pieces = Pieces()
                for part in parts { try await send(part, &pieces, &writer) }
                try await flush(&pieces, &writer)
                try await writer.finish(nil)
            })
    }

    /// The answer, which is at hand, counted for as long as it waits for the client where it is long.
    func metered(_ response: Response) throws(APIError) -> Response {
        guard let bytes = response.body.contentLength, bytes > Self.smallBytes else { return response }
        let share = MemoryShare(of: memory)
        try share.grow(by: bytes)
        var response = response
        let body = response.body
        response.body = ResponseBody(contentLength: bytes) { writer in
            defer { share.giveBack() }
            try await body.write(writer)
            try await taken()
        }
        return response
    }

    /// What is to go out together.
    private struct Pieces {
        var parts: [AnswerPart] = []
        var bytes = 0
    }

    @concurrent
    private func send(_ part: AnswerPart, _ pieces: inout Pieces, _ writer: inout any ResponseBodyWriter) async throws {
        switch part {
        case .bytes(let buffer):
            pieces.parts.append(part)
            pieces.bytes += buffer.readableBytes
        case .stored(let stored) where stored.count <= Self.pieceBytes:
            if pieces.bytes + stored.count > Self.pieceBytes { try await flush(&pieces, &writer) }
            pieces.parts.append(part)
            pieces.bytes += stored.count
        case .stored(let stored):
            try await flush(&pieces, &writer)
            var reading = readModel.reading(stored, pieceBytes: Self.pieceBytes)
            while let piece = try await reading.next() { try await send(ByteBuffer(bytes: piece), &writer) }
        case .mentions(let revision, let prefetch): try await send(mentionsOf: revision, prefetch, &pieces, &writer)
        }
        if pieces.bytes >= Self.pieceBytes { try await flush(&pieces, &writer) }
    }

    @concurrent
    private func send(
        mentionsOf revision: RevisionContent, _ prefetch: Prefetch, _ pieces: inout Pieces, _ writer: inout any ResponseBodyWriter
    ) async throws {
        var (left, last, bytes) = (revision.unlistedChunks, Int64(0), 0)
        while left > 0 {
            let (chunks, end) = try await readModel.mentions(of: revision, after: last, bytes < Self.pieceBytes ? prefetch : .medium)
            guard !chunks.isEmpty else { throw ContentGone() }
            var part = AnswerWriter(capacity: chunks.count * 64)
            for var chunk in chunks.prefix(left) {
                // Names come cheap; of a revision with so many of them clients fetch the contents that they need.
                bytes += chunk.content?.count ?? 0
                if bytes > Self.pieceBytes { chunk = ChunkContent(named: chunk.uid) }
                part.chunk(chunk)
            }
            (left, last) = (left - min(left, chunks.count), end)
            for part in part.finish() { try await send(part, &pieces, &writer) }
        }
    }

    @concurrent
    private func flush(_ pieces: inout Pieces, _ writer: inout any ResponseBodyWriter) async throws {
        guard !pieces.parts.isEmpty else { return }
        let buffer = try await joined(pieces.parts, pieces.bytes)
        pieces = Pieces()
        try await send(buffer, &writer)
    }

    /// The parts in one, with what was left where it lies.
    @concurrent
    private func joined(_ parts: [AnswerPart], _ length: Int) async throws -> ByteBuffer {
        let stored = parts.compactMap { part in if case .stored(let stored) = part { stored } else { nil } }
        let contents = stored.isEmpty ? [:] : try await readModel.read(stored)
        var buffer = ByteBuffer()
        buffer.reserveCapacity(length)
        for part in parts {
            switch part {
            case .bytes(let bytes): buffer.writeImmutableBuffer(bytes)
            case .stored(let stored): buffer.writeBytes(contents[stored] ?? [])
            case .mentions: preconditionFailure("mentions are sent part by part")
            }
        }
        return buffer
    }

    @concurrent
    private func send(_ buffer: ByteBuffer, _ writer: inout any ResponseBodyWriter) async throws {
        try await writer.write(buffer)
        try await taken()
    }

    /// Waits until all that was written is in the operating system's hands.
    @concurrent
    private func taken() async throws { try await TakenBytes.wait(on: channel) }
}

/// A revision has lost what it named while it was sent: the connection ends, and the client asks again.
private struct ContentGone: Error {}

/// Waits for a peer to take what was written, and drops one that does not.
enum TakenBytes {
    /// How long a peer may take none of the bytes that wait for it.
    private static let patience = TimeAmount.seconds(30)
    private static let interval = TimeAmount.seconds(5)

    static func wait(on channel: any Channel) async throws {
        try await channel.eventLoop.submit { () -> EventLoopFuture<Void> in
            let context = try channel.pipeline.syncOperations.context(handlerType: ConnectionHandler.self)
            // An empty part goes out when all before it has, and is nothing on the wire.
            let done = channel.eventLoop.makePromise(of: Void.self)
            context.writeAndFlush(NIOAny(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer()))), promise: done)
            let watch = Watch(context: context, done: done.futureResult, waiting: .max, since: .now())
            watch.look()
            return done.futureResult
        }.flatMap { $0 }.get()
    }

    /// On the event loop of its connection alone.
    private struct Watch {
        let context: ChannelHandlerContext
        let done: EventLoopFuture<Void>
        /// How much waited for the peer when that was last seen to become less, and when that was.
        let waiting: Int
        let since: NIODeadline

        func look() {
            let bytes: Int
            do { bytes = try context.channel.syncOptions?.getOption(.bufferedWritableBytes) ?? 0 } catch { return }
            let next = Watch(context: context, done: done, waiting: min(bytes, waiting), since: bytes < waiting ? .now() : since)
            guard bytes == 0 || NIODeadline.now() - next.since < TakenBytes.patience else { return context.close(promise: nil) }
            let bound = NIOLoopBound(next, eventLoop: context.eventLoop)
            let task = context.eventLoop.scheduleTask(in: TakenBytes.interval) { bound.value.look() }
            done.whenComplete { _ in task.cancel() }
        }
    }
}

extension API {
    /// The budget of all bodies and answers in flight.
    var memory: MemoryBudget { admission.memory }

    /// An answer whose parts are sent as the client takes them.
    ///
    /// - Throws: ``APIError/unavailable`` when too many bytes are in flight.
    func answer(_ parts: [AnswerPart], to call: Call, type: String = MediaType.messagePack) async throws -> Response {
        try await Outflow(channel: call.channel, readModel: readModel, memory: memory).response(parts, type: type)
    }
}
