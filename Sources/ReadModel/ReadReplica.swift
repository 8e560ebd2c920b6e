package import Database
internal import Synchronization

/// Another database to read from: a read model of its own that a projector keeps, or a standby of the log's database.
///
/// Where it does not answer, the log's own database does, and it is left alone until ``ReadModel/lookAtReplica()`` finds it well: one
/// that is frozen or far behind holds up only those who ask it before that is known.
package final class ReadReplica: Sendable {
    let database: any Database
    let progress: Progress
    private let isLeft = Atomic(false)

    /// - Parameter progress: what tells how far its projector is.
    package init(database: any Database, progress: Progress) {
        self.database = database
        self.progress = progress
    }

    /// Whether no question goes to it.
    var isLeftAlone: Bool { isLeft.load(ordering: .relaxed) }

    /// Notes whether it has answered.
    func has(answered: Bool) { isLeft.store(!answered, ordering: .relaxed) }
}
