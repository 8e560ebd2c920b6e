internal import Synchronization

/// What is counted, and how it is told from all else.
package struct Window: Hashable, Sendable {
    /// How long a key is.
    package static let keyBytes = 16

    /// A keyed hash, which tells nobody what it is of.
    package let key: [UInt8]
    package let limit: RateLimit

    package init(key: [UInt8], _ limit: RateLimit) {
        precondition(key.count == Self.keyBytes, "a window's key has \(Self.keyBytes) bytes")
        self.key = key
        self.limit = limit
    }
}

/// What is done with a window. All that is asked at one time is done, or nothing of it.
package struct Weight: Hashable, Sendable {
    package enum Action: Int, Sendable {
        /// It must have room; nothing changes.
        case look
        /// It must have room for one more, which is counted.
        case take
        /// One more is counted, if there is room or not.
        case add
    }

    package let action: Action
    package let window: Window
    /// Whether the window has room for whoever is known by the mark that is asked with it.
    package let isForStrangers: Bool

    package init(_ action: Action, _ window: Window, isForStrangers: Bool) {
        self.action = action
        self.window = window
        self.isForStrangers = isForStrangers
    }
}

/// Windows that several processes weigh against.
package protocol SharedWindows: Sendable {
    /// Does what is asked, in one step.
    ///
    /// - Parameter mark: the key of what makes somebody known (``remember(_:for:)``).
    /// - Returns: after how long it can be asked again, where a window has no room; zero where all was done; nil where nobody can say
    ///   in good time.
    func weigh(_ weights: [Weight], mark: [UInt8]?) async -> Duration?
    /// Makes whoever has the mark known for a time, if that can be done.
    func remember(_ mark: [UInt8], for time: Duration) async
}

/// The windows of one process.
///
/// Pattern: GCRA. All that is kept of a window is the moment at which it will be empty, so that it costs 16 bytes whatever has
/// happened. The table has a fixed size: a key has its place in one of the sets, and where a set is full, what will be empty first goes.
/// Whoever comes from very many addresses pushes out what counts least.
///
/// Concurrency: one lock for as long as it takes to look at a handful of sets.
final class LocalWindows: Sendable {
    private static let setCount = 1 << 13
    private static let setSize = 8

    private struct Slot {
        var key: UInt64 = 0
        /// In microseconds.
        var emptyAt: Int64 = 0
    }

    private let slots = Mutex([Slot](repeating: Slot(), count: setCount * setSize))
    /// Apart from the others, so that neither pushes out the other.
    private let marks = Mutex([Slot](repeating: Slot(), count: setCount * setSize))

    /// - Parameter now: in microseconds.
    func weigh(_ weights: [Weight], mark: [UInt8]?, at now: Int64) -> Duration {
        let isKnown = mark.map { mark in
            marks.withLock { slots in Self.find(Self.short(mark), in: slots).map { slots[$0].emptyAt > now } ?? false }
        }
        let weights = weights.filter { isKnown != true || !$0.isForStrangers }
        return slots.withLock { slots in
            var longest: Int64 = 0
            for weight in weights where weight.action == .look || weight.action == .take {
                let limit = weight.window.limit
                let emptyAt = Self.emptyAt(weight.window, in: slots, at: now)
                longest = max(longest, emptyAt + limit.intervalMicroseconds - now - limit.windowMicroseconds)
            }
            guard longest == 0 else { return .microseconds(longest) }
            for weight in weights where weight.action != .look {
                let limit = weight.window.limit
                let emptyAt = Self.emptyAt(weight.window, in: slots, at: now)
                // Also where more was counted than there was room for, the next is let in after an interval.
                let next = min(emptyAt + limit.intervalMicroseconds, now + limit.windowMicroseconds)
                Self.put(Self.short(weight.window.key), next, &slots, at: now)
            }
            return .zero
        }
    }

    /// - Parameter now: in microseconds.
    func remember(_ mark: [UInt8], for time: Duration, at now: Int64) {
        let end = now + time.components.seconds * 1_000_000
        marks.withLock { slots in Self.put(Self.short(mark), end, &slots, at: now) }
    }

    private static func short(_ key: [UInt8]) -> UInt64 { key.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }

    private static func set(_ key: UInt64) -> Range<Int> {
        let first = Int(key % UInt64(setCount)) * setSize
        return first..<first + setSize
    }

    private static func find(_ key: UInt64, in slots: [Slot]) -> Int? { set(key).first { slots[$0].key == key } }

    /// Never before now; and no later than a full window, also where the clock was set back.
    private static func emptyAt(_ window: Window, in slots: [Slot], at now: Int64) -> Int64 {
        let found = find(short(window.key), in: slots).map { slots[$0].emptyAt } ?? now
        return min(max(found, now), now + window.limit.windowMicroseconds)
    }

    private static func put(_ key: UInt64, _ emptyAt: Int64, _ slots: inout [Slot], at now: Int64) {
        let place = find(key, in: slots) ?? set(key).min { slots[$0].emptyAt < slots[$1].emptyAt }
        if let place { slots[place] = Slot(key: key, emptyAt: emptyAt) }
    }
}
