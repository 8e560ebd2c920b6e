import CThreads
import Foundation
import Synchronization
import Testing

/// That ThreadSanitizer tells of races made on purpose, and of nothing where there is none: a process that it told of something ends
/// with a code of its own.
@Suite("ThreadSanitizer") struct ThreadTests {
    @Test("tells of what two threads change at once")
    func threads() async {
        await #expect(processExitsWith: .exitCode(66)) {
            let shared = Unguarded()
            atOnce { shared.count += 1 }
        }
    }

    @Test("tells of what two threads change at once in C")
    func threadsInC() async {
        await #expect(processExitsWith: .exitCode(66)) {
            atOnce { _ = c_threads_count() }
        }
    }

    @Test("tells of what each thread guards by another Mutex")
    func otherMutexes() async {
        await #expect(processExitsWith: .exitCode(66)) {
            let shared = Unguarded()
            let guards = [Guarded(), Guarded()]
            let next = Count()
            atOnce {
                let mine = guards[next.value.wrappingAdd(1, ordering: .relaxed).oldValue % 2]
                mine.count.withLock { _ in shared.count += 1 }
            }
        }
    }

    @Test("tells of what two tasks change at once")
    func tasks() async {
        await #expect(processExitsWith: .exitCode(66)) {
            let shared = Unguarded()
            await withTaskGroup { group in
                for _ in 0..<8 {
                    group.addTask {
                        for _ in 0..<300 {
                            shared.count += 1
                            usleep(100)  // so that others get threads of their own
                        }
                    }
                }
            }
        }
    }

    @Test("tells nothing of what one Mutex guards, waited for or not")
    func mutex() async {
        await #expect(processExitsWith: .success) {
            let guarded = Guarded()
            let shared = Unguarded()
            let tried = Count()
            atOnce {
                guarded.count.withLock { count in
                    count += 1
                    shared.count += 1
                    usleep(20)  // so that the other one has to wait
                }
                let isGot: Void? = guarded.count.withLockIfAvailable { _ in shared.count += 1 }
                if isGot != nil { tried.value.wrappingAdd(1, ordering: .relaxed) }
            }
            precondition(guarded.count.withLock { $0 } == 2 * rounds)
            precondition(shared.count == 2 * rounds + tried.value.load(ordering: .relaxed))
        }
    }

    @Test("tells nothing of what an actor guards")
    func actors() async {
        await #expect(processExitsWith: .success) {
            let counter = Counter()
            await withTaskGroup { group in
                for _ in 0..<8 { group.addTask { for _ in 0..<500 { await counter.add() } } }
            }
            let count = await counter.count
            precondition(count == 4000)
        }
    }
}

private let rounds = 5000

/// Changed by whoever likes: what guards it, or that nothing does, is what tests are about.
private final class Unguarded: @unchecked Sendable { var count = 0 }

private final class Guarded: Sendable { let count = Mutex(0) }

private actor Counter {
    private(set) var count = 0

    func add() { count += 1 }
}

/// Runs it often on two threads that begin together, and returns when both have ended.
private func atOnce(_ body: @escaping @Sendable () -> Void) {
    let (begun, ended) = (Count(), DispatchSemaphore(value: 0))
    for _ in 0..<2 {
        Thread.detachNewThread {
            // This order is none that ThreadSanitizer takes for a guard.
            begun.value.wrappingAdd(1, ordering: .relaxed)
            while begun.value.load(ordering: .relaxed) < 2 { sched_yield() }
            for _ in 0..<rounds { body() }
            ended.signal()
        }
    }
    for _ in 0..<2 { ended.wait() }
}

private final class Count: Sendable { let value = Atomic(0) }
