internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// The rounds of event loops. A loop looks at its sockets only when it has no task left that is due: connections that have their
/// next requests at hand already, and get each of them served by tasks, would keep it from all others. What waits for the next
/// round is done when the loop has looked at all its sockets once more.
///
/// Pattern: each loop has a socket of its own, into which a byte is written; it is read with all that has come to the others.
/// Its two descriptors stay open as long as the loop's process.
final class Rounds: Sendable {
    private let bells = Mutex<[ObjectIdentifier: NIOLoopBound<Bell>]>([:])

    /// Does something in the next round of a loop, which is the caller's.
    func next(on loop: any EventLoop, _ body: @escaping () -> Void) {
        loop.preconditionInEventLoop()
        let known = bells.withLock { $0[ObjectIdentifier(loop)] }
        if let bell = known ?? begin(on: loop) {
            bell.value.ring(body)
        } else {
            // Where no descriptor is left, or in a test.
            let bound = NIOLoopBound(body, eventLoop: loop)
            loop.execute { bound.value() }
        }
    }

    private func begin(on loop: any EventLoop) -> NIOLoopBound<Bell>? {
        guard let bootstrap = ClientBootstrap(validatingGroup: loop) else { return nil }
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        guard unsafe socketpair(AF_UNIX, type, 0, &ends) == 0 else { return nil }
        let bell = NIOLoopBound(Bell(ends[1]), eventLoop: loop)
        bells.withLock { $0[ObjectIdentifier(loop)] = bell }
        // What was written before is read as soon as the socket is the loop's.
        _ = bootstrap.channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(bell.value) }
        }.withConnectedSocket(ends[0])
        return bell
    }
}

/// What is done in the next round of one loop.
private final class Bell: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let rope: Int32
    private var waiting: [() -> Void] = []

    init(_ rope: Int32) { self.rope = rope }

    func ring(_ body: @escaping () -> Void) {
        waiting.append(body)
        guard waiting.count == 1 else { return }
        var byte: UInt8 = 1
        _ = unsafe write(rope, &byte, 1)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func channelReadComplete(context: ChannelHandlerContext) {
        let due = waiting
        waiting = []
        for body in due { body() }
    }
}
