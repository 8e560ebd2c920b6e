import NIOCore
import NIOWebSocket

@testable import Gateway

/// What goes out to one who listens: frames come in order, and some time later, or never.
///
/// Safe: as the scheduler is.
final class SimulatedSocket: Outlet, @unchecked Sendable {
    private let process: Process
    private let client: Process
    private var scheduler: Scheduler { process.scheduler }
    private(set) var isClosed = false
    /// The client has left by itself, for there is nothing more to come.
    private(set) var isOver = false
    private var end: (@Sendable () -> Void)?
    private var frames: AsyncStream<ByteBuffer>.Continuation
    /// What the client gets.
    let received: AsyncStream<ByteBuffer>
    /// The stoken of the last frame that the client has got.
    var stoken: String?
    /// When the last frame comes out at the other end.
    private var lastArrival: Int64 = 0

    init(from process: Process, to client: Process) {
        (self.process, self.client) = (process, client)
        (received, frames) = AsyncStream.makeStream()
        process.atEnd { [weak self] in self?.shut() }
    }

    func send(_ message: ByteBuffer, _ delivery: @escaping Delivery) {
        guard !isClosed, !process.isDead else { return later { delivery(false) } }
        let delay = scheduler.happens(oneIn: 10) ? scheduler.micros(1_000...300_000) : scheduler.micros(50...2_000)
        let arrival = max(
            scheduler.time + delay.components.attoseconds / 1_000_000_000 + delay.components.seconds * 1_000_000_000, lastArrival)
        lastArrival = arrival
        scheduler.after(.nanoseconds(arrival - scheduler.time)) { [self] in
            let isSent = !isClosed
            if isSent { frames.yield(message) }
            later { delivery(isSent) }
        }
    }

    /// On the process's own place, as an event loop does.
    private func later(_ body: @escaping @Sendable () -> Void) { process.place.start { body() } }

    func close(_ code: WebSocketErrorCode, in delay: TimeAmount) {
        scheduler.after(.nanoseconds(delay.nanoseconds)) { [self] in
            // What was sent before comes out before.
            scheduler.after(.nanoseconds(max(0, lastArrival - scheduler.time) + 100_000)) { self.shut() }
        }
    }

    func cutIfStuck(for time: TimeAmount) {}

    /// The client leaves.
    func leave() {
        guard !isClosed else { return }
        isOver = true
        shut()
    }

    /// The connection is gone.
    func shut() {
        guard !isClosed else { return }
        isClosed = true
        frames.finish()
        end.map(later)
        end = nil
    }

    func whenClosed(_ end: @escaping @Sendable () -> Void) {
        if isClosed { later(end) } else { self.end = end }
    }
}
