package import Domain
internal import Database
internal import EventLog

/// An event that a projector cannot apply: it stands before it, since nothing is skipped.
package struct Obstacle: Hashable, Sendable, CustomStringConvertible {
    package let position: Position
    /// The event's type in the log.
    package let type: String
    /// Why it cannot be applied, without SQL and values.
    package let cause: String
    /// What the operator can do.
    package let remedy: String

    /// All of it in one sentence for people.
    package var description: String {
        "event \(position.rawValue) (\(type)) cannot be projected: \(cause); what comes after it waits. \(remedy)"
    }

    init(at position: Position, type: String, _ error: any Error) {
        self.position = position
        self.type = type
        switch error {
        case LogFault.unknownEvent(_, let version):
            cause = "its type or its version \(version) is not known"
            remedy = "A newer Apus has written it: update this one."
        case LogFault.unreadable:
            cause = "it cannot be read: it was changed, or the key of its stream is gone"
            remedy = "`apus log verify` tells what was changed; restore a backup."
        case let fault as DatabaseFault:
            cause = fault.description
            remedy =
                switch fault.kind {
                case .constraint, .corrupt, .raised:
                    "Somebody else has changed the tables: `apus verify` tells where, `apus rebuild` mends them."
                case .unavailable, .conflict: "It is tried again; look what holds or slows the database."
                }
        default:
            cause = "\(Swift.type(of: error))"
            remedy = "This is a fault of Apus: please report it."
        }
    }
}
