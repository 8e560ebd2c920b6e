internal import Database
package import Domain
package import EventLog

/// Contents that came with a command, put where they belong: some lie there already, the others are written with the events that name
/// them.
package struct PlacedContents: Sendable {
    /// What stores those that do not.
    private let missing: [ChunkUID: Write]
    /// Puts them again.
    private let again: (@Sendable () async throws -> Void)?
    private let began: ContinuousClock.Instant
    /// Whose store has which of them, or will have with the events.
    private let (owner, put): (UserID?, Set<ChunkUID>)

    /// Puts what the decision would store, where that comes before the append; a refused one leaves nothing.
    ///
    /// - Parameters:
    ///   - author: who brings them.
    ///   - earlier: what came of them where the same command was decided before: none is put twice.
    /// - Throws: the decision's refusal, or `DatabaseFault`.
    package init(
        _ contents: [ChunkUID: [UInt8]], in stores: ContentStores, for decision: some Decision<CollectionState>,
        on state: CollectionState, by author: UserID?, after earlier: PlacedContents? = nil
    ) async throws {
        owner = state.owner ?? author
        // Files lie with their owner's; what is nobody's goes into the table.
        guard let owner else {
            (missing, again) = (TableContents.writes(contents, of: state.uid), nil)
            (began, put) = (.now, Set(contents.keys))
            return
        }
        let earlier = earlier.flatMap { $0.owner == owner ? $0 : nil }
        began = earlier?.began ?? .now
        let store = stores.new
        var wanted = contents
        if store.isBeforeAppend, !contents.isEmpty {
            let stored = Set(try decision.decide(state).flatMap(\.event.storedChunks).map(\.uid))
            wanted = contents.filter { stored.contains($0.key) }
        }
        let collection = state.uid
        if stores.place == .objects, !wanted.isEmpty {
            again = { [wanted] in _ = try await store.put(wanted, of: collection, ownedBy: owner) }
        } else {
            again = nil
        }
        let lacking = if let earlier { wanted.filter { !earlier.put.contains($0.key) } } else { wanted }
        let writes = lacking.isEmpty ? [:] : try await store.put(lacking, of: collection, ownedBy: owner)
        missing = writes.merging(earlier?.missing ?? [:]) { $1 }
        put = Set(wanted.keys).union(earlier?.put ?? [])
    }

    /// Sees to it that what is named now is there: what has waited long to be named may have been taken for waste meanwhile.
    ///
    /// - Throws: `DatabaseFault` when that is not sure.
    package func settle() async throws {
        if let again, ContinuousClock.now - began > ObjectContents.namingTime / 2 { try await again() }
    }

    /// What belongs into the transaction of these events.
    package func writes(for events: [Event]) -> [Write] {
        events.flatMap(\.storedChunks).compactMap { missing[$0.uid] }
    }
}
