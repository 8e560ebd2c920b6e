internal import NIOCore
internal import Telemetry

/// Lets a connection's requests be looked at one after the other, whatever came at once: the bytes of the next one go on when this
/// one is answered, and when the event loop has looked at its other connections (``Rounds``). Until then nothing more is read.
///
/// To stand before the decoder of requests.
final class ArrivingBytes: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private let handler: ConnectionHandler
    private let admission: Admission
    private var context: ChannelHandlerContext?
    /// What has come and is not looked at yet, and how much of the strangers' budget it has.
    private var held = ByteBuffer()
    private var accountedBytes = 0
    private var isFeeding = false
    private var isReadHeldBack = false
    private var isEndHeldBack = false

    init(_ handler: ConnectionHandler, _ admission: Admission) {
        self.handler = handler
        self.admission = admission
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        admission.strangers.give(accountedBytes)
        accountedBytes = 0
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if held.readableBytes == 0 { swap(&held, &bytes) } else { held.writeImmutableBuffer(bytes) }
        feed(context)
    }

    func read(context: ChannelHandlerContext) {
        guard held.readableBytes == 0 else {
            isReadHeldBack = true
            return
        }
        context.read()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if held.readableBytes > 0, let event = event as? ChannelEvent, event == .inputClosed {
            isEndHeldBack = true
            return
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// The request that was looked at last is answered, or there will be no more requests.
    func goOn() {
        guard let context, held.readableBytes > 0 else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        admission.rounds.next(on: context.eventLoop) {
            let (bytes, context) = bound.value
            guard bytes.context != nil else { return }
            bytes.feed(context)
            context.fireChannelReadComplete()
        }
    }

    private func feed(_ context: ChannelHandlerContext) {
        guard !isFeeding else { return }
        isFeeding = true
        defer { isFeeding = false }
        while held.readableBytes > 0, !handler.isBusy {
            let length = min(max(1, handler.nextPiece(of: held.readableBytesView)), held.readableBytes)
            guard let piece = held.readSlice(length: length), handler.bytesCame(length, at: context.eventLoop.now) else {
                return refuse(context)
            }
            context.fireChannelRead(wrapInboundOut(piece))
        }
        guard admission.strangers.take(held.readableBytes) else { return refuse(context) }
        admission.strangers.give(accountedBytes)
        accountedBytes = held.readableBytes
        guard held.readableBytes == 0 else { return }
        held = ByteBuffer()
        if isEndHeldBack {
            isEndHeldBack = false
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
        if isReadHeldBack {
            isReadHeldBack = false
            context.read()
        }
    }

    private func refuse(_ context: ChannelHandlerContext) {
        Telemetry.http.refusals[.memory].increment()
        held = ByteBuffer()
        context.close(promise: nil)
    }
}

/// Where the next head ends.
enum HeadEnd {
    /// How many bytes there are up to the end of the first head: the line without anything in it that follows others.
    ///
    /// - Returns: all of them where no head ends.
    static func count(in bytes: ByteBufferView) -> Int {
        var rest = bytes
        var isFirst = true
        // Looking for one byte is fast, however long a line is.
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let line = rest[rest.startIndex..<end]
            rest = rest[rest.index(after: end)...]
            let isBlank = line.isEmpty || (line.count == 1 && line.first == UInt8(ascii: "\r"))
            if isBlank, !isFirst { return bytes.count - rest.count }
            isFirst = false
        }
        return bytes.count
    }
}
