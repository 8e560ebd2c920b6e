internal import Database
public import Domain
public import EventLog

/// Contents that came with a command, put where they belong: some lie in files already, the others are written with the
/// events that name them.
public struct PlacedContents: Sendable {
    private let collection: CollectionUID
    /// Those that lie in no file.
    private let others: [ChunkUID: [UInt8]]

    /// Writes into files what the decision would store, where files are the place; a refused one leaves none.
    ///
    /// - Throws: the decision's refusal, or `DatabaseFault`.
    public init(
        _ contents: [ChunkUID: [UInt8]], in store: ChunkStore, on state: CollectionState, by author: UserID,
        _ decision: (CollectionState) throws(Refusal) -> [Event]
    ) async throws {
        collection = state.uid
        guard store.place == .files, !contents.isEmpty else {
            others = contents
            return
        }
        let stored = Set(try decision(state).flatMap(\.storedChunks).map(\.uid))
        let filed = try await store.write(
            contents.filter { stored.contains($0.key) }, of: state.uid, ownedBy: state.owner ?? author)
        others = contents.filter { !filed.contains($0.key) }
    }

    /// What belongs into the transaction of these events.
    public func writes(for events: [Event]) -> [Write] {
        events.flatMap(\.storedChunks).compactMap { chunk in
            others[chunk.uid].map { ChunkTable.store($0, as: chunk.uid, of: collection) }
        }
    }
}
