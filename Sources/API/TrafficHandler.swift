package import NIOCore
internal import Telemetry

/// Counts connections and their bytes, of whatever is spoken on them.
///
/// To be added anywhere; it puts itself before all others.
package final class TrafficHandler: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = IOData
    package typealias OutboundOut = IOData

    private let isInPlace: Bool

    package convenience init() { self.init(isInPlace: false) }

    private init(isInPlace: Bool) { self.isInPlace = isInPlace }

    package func handlerAdded(context: ChannelHandlerContext) {
        guard !isInPlace else {
            Telemetry.http.accepted.increment()
            return Telemetry.http.connections.increment()
        }
        let pipeline = context.pipeline.syncOperations
        do { try pipeline.addHandler(TrafficHandler(isInPlace: true), position: .first) } catch { return context.close(promise: nil) }
        pipeline.removeHandler(context: context, promise: nil)
    }

    /// Every connection comes to here, however it ends.
    package func handlerRemoved(context: ChannelHandlerContext) {
        if isInPlace { Telemetry.http.connections.decrement() }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        Telemetry.http.received.add(unwrapInboundIn(data).readableBytes)
        context.fireChannelRead(data)
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        Telemetry.http.sent.add(unwrapOutboundIn(data).readableBytes)
        context.write(data, promise: promise)
    }
}
