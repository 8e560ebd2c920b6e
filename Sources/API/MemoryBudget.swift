internal import Synchronization

/// How many bytes may be in flight at one time: of bodies that are being read and worked on, and of answers that wait for
/// those who asked.
package final class MemoryBudget: Sendable {
    package let limitBytes: Int
    private let usedBytes = Mutex(0)

    package init(limitBytes: Int) { self.limitBytes = limitBytes }

    /// Takes bytes of the budget, to be given back; false where there are not so many left.
    func take(_ bytes: Int) -> Bool {
        usedBytes.withLock { used in
            guard bytes <= limitBytes - used else { return false }
            used += bytes
            return true
        }
    }

    func give(_ bytes: Int) { usedBytes.withLock { $0 -= bytes } }
}

/// What one request holds of a budget. It grows with what has come, never by what was only claimed, and is given back when
/// nobody knows of the share any more.
final class MemoryShare: Sendable {
    private let budget: MemoryBudget
    private let heldBytes = Mutex(0)

    init(of budget: MemoryBudget) { self.budget = budget }

    deinit { giveBack() }

    /// - Throws: ``APIError/unavailable`` where the budget has no more; what was held stays held.
    func grow(by bytes: Int) throws(APIError) {
        guard budget.take(bytes) else { throw .unavailable }
        heldBytes.withLock { $0 += bytes }
    }

    /// Gives back what is held beyond so many bytes.
    func shrink(to bytes: Int) {
        budget.give(
            heldBytes.withLock { held in
                let surplus = max(held - bytes, 0)
                held -= surplus
                return surplus
            })
    }

    func giveBack() { shrink(to: 0) }
}
