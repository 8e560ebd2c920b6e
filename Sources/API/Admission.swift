package import Logging

/// What is let in, before anything is done for it (DESIGN §12): so many connections, so many bytes of those who are not known
/// yet, so many bytes of all.
package final class Admission: Sendable {
    /// The longest body of a request that nobody has shown a token for.
    static let strangersBodyBytes = HeavyWork.bodyBytes
    /// How many bytes of all who are not known may be in flight: heads that are coming, requests that were sent ahead, bodies.
    private static let strangersBytes = 16 << 20

    package let connections: Connections
    /// Of bodies and answers of those who are known.
    package let memory: MemoryBudget
    let strangers = MemoryBudget(limitBytes: strangersBytes)
    let rounds = Rounds()

    package init(connections: Connections.Limits, memoryBytes: Int, logger: Logger) {
        self.connections = Connections(connections, logger: logger)
        memory = MemoryBudget(limitBytes: memoryBytes)
    }
}
