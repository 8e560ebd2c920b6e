internal import Database
package import HummingbirdCore
package import Logging
package import NIOCore
internal import NIOPosix

/// Works on a connection's requests on the connection's own event loop, from the first byte to the last: a request that waits for
/// nothing wakes no thread.
package struct LoopChannel<Base: ServerChildChannel>: ServerChildChannel {
    package typealias Value = Base.Value

    private let base: Base
    private let loops = EventLoops()

    /// - Parameter base: what is done with a connection.
    package init(_ base: Base) { self.base = base }

    package func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> { base.setup(channel: channel, logger: logger) }

    package func handle(value: Value, logger: Logger) async {
        guard let loop = loops.executor(of: value.channel.eventLoop) else { return await base.handle(value: value, logger: logger) }
        await ReadingPlace.$current.withValue(loop.place) {
            await withTaskExecutorPreference(loop) { await base.handle(value: value, logger: logger) }
        }
    }
}

/// The event loops of the process as executors of tasks.
private struct EventLoops: Sendable {
    private let executors: [ObjectIdentifier: EventLoopExecutor]

    init() {
        let loops = MultiThreadedEventLoopGroup.singleton.makeIterator()
        executors = Dictionary(uniqueKeysWithValues: loops.map { (ObjectIdentifier($0), EventLoopExecutor($0)) })
    }

    func executor(of loop: any EventLoop) -> EventLoopExecutor? { executors[ObjectIdentifier(loop)] }
}

private final class EventLoopExecutor: TaskExecutor {
    private let loop: any EventLoop
    let place: ReadingPlace

    init(_ loop: any EventLoop) {
        self.loop = loop
        place = ReadingPlace { loop.inEventLoop }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
