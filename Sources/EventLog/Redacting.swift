public import Database
public import Domain

extension Appender {
    /// Erases a user: rewrites what earlier events say of the user and of what goes along, and appends what records it.
    ///
    /// - Parameters:
    ///   - state: what was read as of `head`.
    ///   - time: when it was asked for.
    ///   - key: what the log is sealed with.
    /// - Throws: ``Refusal/doesNotExist(model:)`` where there is no such user, or others have come to what was to go;
    ///   `DatabaseFault` of kind `conflict` where somebody has written meanwhile: read again, and try again.
    public func erase(_ state: ErasureState, asOf head: LogHead, at time: Timestamp, key: SealKey) async throws -> [RecordedEvent] {
        guard let erasure = state.erasure else { throw Refusal.doesNotExist(model: "User") }
        return try await append { connection in
            var redaction = Redaction(connection)
            let own = [StreamID.user(erasure.user)] + erasure.collections.map { .collection($0) }
            try redaction.rewrite(touching: own, upTo: head.position, addressesOf: erasure.user) { record in
                erasure.remains(of: record.event, at: record.position)
            }
            // What is known of the user's devices.
            try connection.execute(Statement("DELETE FROM apus_session WHERE user_id = $1"), [.integer(erasure.user.rawValue)])
            let command = EraseUser(erasure, redaction: redaction.proof(signedWith: key))
            return Submission(on: state, asOf: head, streams: state.streams, by: .operator, at: time) { state throws(Refusal) in
                try decide(command, state)
            }
        }
    }

    /// Does away with earlier revisions of a collection's items: rewrites the events that carry them, deletes the contents that
    /// no other revision names, and appends what records it.
    ///
    /// - Parameters:
    ///   - chunks: the contents that no other revision names, as of `head`.
    ///   - state: what was read as of `head`, with the revisions and their items.
    ///   - time: when it was asked for.
    ///   - key: what the log is sealed with.
    ///   - remove: deletes contents in the transaction.
    /// - Throws: ``Refusal/doesNotExist(model:)`` where one of them has become current meanwhile, or has gone; else as
    ///   ``erase(_:asOf:at:key:)`` does.
    public func prune(
        _ revisions: [OldRevision], chunks: Set<ChunkUID>, on state: CollectionState, asOf head: LogHead, at time: Timestamp,
        key: SealKey, removing remove: @escaping @Sendable (Set<ChunkUID>, any Connection) throws -> Void
    ) async throws -> [RecordedEvent] {
        let pruning = Pruning(of: Set(revisions.map(\.revision)), in: state.uid)
        let stream = StreamID.collection(state.uid)
        return try await append { connection in
            var redaction = Redaction(connection)
            let positions = Set(revisions.flatMap(\.positions)).sorted()
            try redaction.rewrite(positions, of: stream) { pruning.remains(of: $0.event) }
            // What has been named since stays. A content that comes again later comes with an event that is not there yet.
            let since = try EventLog.events(touching: stream, after: head.position, connection)
            let chunks = chunks.subtracting(since.flatMap(\.event.namedChunks))
            try remove(chunks, connection)
            let command = PruneRevisions(
                collection: state.uid, revisions: Dictionary(revisions.map { ($0.revision, $0.item) }) { first, _ in first },
                chunks: chunks, redaction: redaction.proof(signedWith: key))
            return Submission(on: state, asOf: head, streams: [stream], by: .operator, at: time) { state throws(Refusal) in
                try decide(command, state)
            }
        }
    }
}
