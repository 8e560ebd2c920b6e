#if canImport(Glibc)
    internal import Glibc
#endif
internal import Synchronization

/// Numbers that any thread adds to: each lies several times, a thread adds to one of its copies, and whoever reads adds them up.
/// So the cores do not take a line of memory from each other with every request.
///
/// Safe: the memory is made and freed here, lives as long as the object, and is only touched atomically.
@safe private final class Cells: @unchecked Sendable {
    private static let copies = 4
    /// How many numbers fit into a line of memory, and how long that is.
    private static let line = 8
    private static let lineBytes = line * MemoryLayout<Int>.stride

    private let cells: UnsafeMutablePointer<Atomic<Int>>
    /// From one copy to the next.
    private let stride: Int

    init(count: Int) {
        stride = (count + Self.line - 1) / Self.line * Self.line
        let total = stride * Self.copies
        let memory = UnsafeMutableRawPointer.allocate(byteCount: total * MemoryLayout<Int>.stride, alignment: Self.lineBytes)
        unsafe cells = memory.bindMemory(to: Atomic<Int>.self, capacity: total)
        for index in 0..<total { unsafe (cells + index).initialize(to: Atomic(0)) }
    }

    deinit { unsafe cells.deallocate() }

    /// Which copy is this thread's.
    private static var copy: Int {
        #if canImport(Glibc)
            // Threads' descriptors lie a power of two apart, so the upper bits of a product tell them from each other.
            return Int(truncatingIfNeeded: (UInt64(pthread_self()) &* 0x9E37_79B9_7F4A_7C15) >> 62)
        #else
            return 0
        #endif
    }

    func add(_ amount: Int, to first: Int, and one: Int, at second: Int) {
        let start = Self.copy * stride
        unsafe cells[start + first].wrappingAdd(amount, ordering: .relaxed)
        unsafe cells[start + second].wrappingAdd(one, ordering: .relaxed)
    }

    func add(_ amount: Int, to index: Int) {
        unsafe cells[Self.copy * stride + index].wrappingAdd(amount, ordering: .relaxed)
    }

    func sum(at index: Int) -> Int {
        (0..<Self.copies).reduce(0) { sum, copy in sum &+ (unsafe cells[copy * stride + index].load(ordering: .relaxed)) }
    }
}

/// What is counted: a counter, or how many there are of something that comes and goes.
package final class Tally: Sendable {
    private let cells = Cells(count: 1)

    init() {}

    /// Adds to it; never waits.
    package func add(_ amount: Int) { cells.add(amount, to: 0) }
    /// One more.
    package func increment() { add(1) }
    /// One less, of what comes and goes.
    package func decrement() { add(-1) }

    /// What it is now.
    package var value: Int { cells.sum(at: 0) }
}

/// What was measured last.
package final class Level: Sendable {
    private let bits = Atomic<UInt64>(Double.zero.bitPattern)

    init() {}

    /// Sets it; never waits.
    package func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    /// 1 for what is so, 0 for what is not.
    package func set(_ isSo: Bool) { set(isSo ? 1.0 : 0.0) }

    func add(_ amount: Double) {
        var known = bits.load(ordering: .relaxed)
        while true {
            let wanted = (Double(bitPattern: known) + amount).bitPattern
            let (isDone, found) = bits.weakCompareExchange(expected: known, desired: wanted, ordering: .relaxed)
            if isDone { return }
            known = found
        }
    }

    var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// The buckets of a histogram.
package struct Buckets: Hashable, Sendable {
    /// The upper ends of all but the last, growing, in what is recorded.
    let bounds: [Int]
    /// How much of what is recorded makes one of the unit that is shown.
    let scale: Int

    /// - Parameter bounds: in seconds; nanoseconds are recorded.
    static func seconds(_ bounds: [Double]) -> Buckets {
        Buckets(bounds: bounds.map { Int(($0 * 1e9).rounded()) }, scale: 1_000_000_000)
    }

    static func counts(_ bounds: [Int]) -> Buckets { Buckets(bounds: bounds, scale: 1) }
}

/// How often something was how large.
package final class Histogram: Sendable {
    let buckets: Buckets
    /// One for each bound, one for what is above all of them, and the sum.
    private let cells: Cells

    init(_ buckets: Buckets) {
        self.buckets = buckets
        cells = Cells(count: buckets.bounds.count + 2)
    }

    /// Records a value, in the unit of the buckets; never waits.
    package func record(_ value: Int) {
        let bounds = buckets.bounds
        var index = 0
        while index < bounds.count, value > bounds[index] { index += 1 }
        cells.add(1, to: index, and: value, at: bounds.count + 1)
    }

    /// Records how long something took.
    package func record(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        record(Int(seconds) &* 1_000_000_000 &+ Int(attoseconds / 1_000_000_000))
    }

    /// Records how long something has taken that began then.
    package func record(since start: ContinuousClock.Instant) { record(start.duration(to: .now)) }

    /// How many values were in each bucket, the last one being for all above the bounds, and their sum.
    var contents: (counts: [Int], sum: Int) {
        let count = buckets.bounds.count + 1
        return ((0..<count).map { cells.sum(at: $0) }, cells.sum(at: count))
    }
}
