package import Domain
package import EventLog

extension Door {
    /// How often it is tried again when others write to the same at the same moment.
    private static let attempts = 50

    /// Brings back what was deleted in a collection, or an earlier state.
    ///
    /// - Parameters:
    ///   - item: only this one; nil for what ``CollectionHistory/restorations(of:asOf:)`` says.
    ///   - author: the member whose wish it is; nil for the operator.
    ///   - check: called with each snapshot that is looked at first.
    /// - Returns: its events, which are then durable.
    /// - Throws: `CollectionHistory.Unrestorable` where there is nothing to bring back; and as ``commit(_:by:at:)`` does.
    package func restore(
        _ collection: CollectionUID, item: ItemUID?, asOf moment: CollectionHistory.Moment?, author: UserID?, by actor: Actor,
        at time: Timestamp, checking check: @escaping @Sendable (Snapshot) throws -> Void = { _ in }
    ) async throws -> [RecordedEvent] {
        for attempt in 1... {
            do {
                return try await commit(by: actor, at: time) { snapshot in
                    try check(snapshot)
                    let restorations = try snapshot.history(of: collection).restorations(of: item, asOf: moment)
                    return RestoreItems(collection: collection, restorations: restorations, author: author)
                }
            } catch Refusal.itemsFailed where attempt < Self.attempts {
                // Somebody has changed one of them since it was looked at: look again.
            }
        }
        preconditionFailure("a loop without an end has ended")
    }

    /// Empties an account whose password was forgotten.
    ///
    /// - Throws: as ``commit(_:by:at:)`` does.
    package func reset(_ command: ResetAccount, by actor: Actor, at time: Timestamp) async throws {
        for attempt in 1... {
            do {
                try await commit(command, by: actor, at: time)
                return
            } catch Refusal.staleStoken where attempt < Self.attempts {
                // Somebody has written to one of the collections meanwhile.
            }
        }
    }
}
