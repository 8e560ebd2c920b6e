internal import Dispatch
internal import Foundation
internal import Synchronization

/// Threads for what would hold the threads of all other requests: parsing and answering requests with large bodies. There are
/// few, so as many such requests are worked on at a time; the others wait.
final class HeavyWork: TaskExecutor {
    /// A request with a longer body is heavy.
    static let bodyBytes = 64 << 10

    static let shared = HeavyWork(threads: max(1, ProcessInfo.processInfo.activeProcessorCount / 2))

    private let queues: [DispatchQueue]
    private let turns = Atomic(0)

    private init(threads: Int) {
        queues = (0..<threads).map { DispatchQueue(label: "apus.heavy.\($0)") }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let turn = turns.wrappingAdd(1, ordering: .relaxed).oldValue
        queues[turn.magnitude.quotientAndRemainder(dividingBy: queues.count.magnitude).remainder.asIndex].async {
            unsafe job.runSynchronously(on: self.asUnownedTaskExecutor())
        }
    }
}

extension UInt {
    fileprivate var asIndex: Int { Int(self) }
}
