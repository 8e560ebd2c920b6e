internal import Contents
internal import Domain
internal import EventLog

extension API {
    /// Commits a decision about an account.
    ///
    /// - Parameter head: of the log, in the snapshot from which the state was read.
    @discardableResult
    func commit(
        on state: UserState, at head: LogHead, by actor: Actor, _ call: Call,
        _ decision: @escaping @Sendable (UserState) throws(Refusal) -> [Event]
    ) async throws -> [RecordedEvent] {
        try await committer.commit(
            Submission(
                on: state, asOf: head, streams: state.streams, by: actor, at: call.now, bytes: call.body.heldBytes,
                decision: decision))
    }

    /// Commits a decision about a collection.
    ///
    /// - Parameters:
    ///   - head: of the log, in the snapshot from which the state was read.
    ///   - contents: the contents that came with the request; those that the decision stores are written with it.
    @discardableResult
    func commit(
        on state: CollectionState, at head: LogHead, by user: Authenticated, contents: [ChunkUID: [UInt8]] = [:], _ call: Call,
        _ decision: @escaping @Sendable (CollectionState) throws(Refusal) -> [Event]
    ) async throws -> [RecordedEvent] {
        let placed = try await PlacedContents(contents, in: chunks, on: state, by: user.user, decision)
        return try await committer.commit(
            Submission(
                on: state, asOf: head, streams: [.collection(state.uid), .user(user.user)], by: user.actor, at: call.now,
                // The body holds all that came; a raw one is not parsed, and is a content itself.
                bytes: max(call.body.heldBytes, contents.values.reduce(0) { $0 + $1.count }), decision: decision, writes: placed.writes))
    }
}
