public import NIOCore
internal import Telemetry

/// Counts connections and their bytes, of whatever is spoken on them.
///
/// To be added anywhere; it puts itself before all others.
public final class TrafficHandler: ChannelDuplexHandler, RemovableChannelHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = ByteBuffer
    public typealias OutboundIn = IOData
    public typealias OutboundOut = IOData

    private let isInPlace: Bool

    public convenience init() { self.init(isInPlace: false) }

    private init(isInPlace: Bool) { self.isInPlace = isInPlace }

    public func handlerAdded(context: ChannelHandlerContext) {
        guard !isInPlace else {
            Telemetry.http.accepted.increment()
            return Telemetry.http.connections.increment()
        }
        let pipeline = context.pipeline.syncOperations
        do { try pipeline.addHandler(TrafficHandler(isInPlace: true), position: .first) } catch { return context.close(promise: nil) }
        pipeline.removeHandler(context: context, promise: nil)
    }

    /// Every connection comes to here, however it ends.
    public func handlerRemoved(context: ChannelHandlerContext) {
        if isInPlace { Telemetry.http.connections.decrement() }
    }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        Telemetry.http.received.add(unwrapInboundIn(data).readableBytes)
        context.fireChannelRead(data)
    }

    public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        Telemetry.http.sent.add(unwrapOutboundIn(data).readableBytes)
        context.write(data, promise: promise)
    }
}
