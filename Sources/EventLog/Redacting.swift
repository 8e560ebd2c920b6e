internal import Database
package import Domain

/// How a ``Domain/RedactingCommand`` is carried out.
package protocol Redacting: RedactingCommand {
    /// Rewrites what is to go, in the transaction that appends what records it.
    ///
    /// - Parameters:
    ///   - state: what was read as of `head`.
    /// - Returns: what is decided then, on `state` and what has happened since.
    /// - Throws: ``Refusal`` where there is nothing to redact; `DatabaseFault` of kind `conflict` where somebody has written
    ///   meanwhile: read again, and try again.
    func redact(_ state: Needs.State, asOf head: LogHead, _ transaction: RedactingTransaction) throws -> any Decision<Needs.State>
}

/// What redacting is done in.
package struct RedactingTransaction {
    let connection: any Connection
    /// What the log is sealed with.
    let key: SealKey
    /// Deletes contents of a collection.
    let remove: @Sendable (Set<ChunkUID>, CollectionUID, any Connection) throws -> Void
}

extension Appender {
    /// Carries out a command that rewrites history.
    ///
    /// - Parameters:
    ///   - state: what was read as of `head`.
    ///   - time: when it was asked for.
    ///   - key: what the log is sealed with.
    ///   - remove: deletes contents of a collection, in the transaction.
    /// - Throws: ``Refusal`` when the rules say no, also where others have come to what was to go; `DatabaseFault` of kind
    ///   `conflict` where somebody has written meanwhile: read again, and try again. Nothing has changed then.
    func append<C: Redacting>(
        _ command: C, on state: C.Needs.State, asOf head: LogHead, by actor: Actor, at time: Timestamp, key: SealKey,
        removing remove: @escaping @Sendable (Set<ChunkUID>, CollectionUID, any Connection) throws -> Void
    ) async throws -> [RecordedEvent] {
        try await append { connection in
            let transaction = RedactingTransaction(connection: connection, key: key, remove: remove)
            func submission(_ decision: some Decision<C.Needs.State>) -> Submission {
                Submission(decision, on: state, asOf: head, by: actor, at: time)
            }
            return submission(try command.redact(state, asOf: head, transaction))
        }
    }
}

extension EraseUser: Redacting {
    package func redact(
        _ state: ErasureState, asOf head: LogHead, _ transaction: RedactingTransaction
    ) throws -> any Decision<ErasureState> {
        guard let erasure = state.erasure else { throw Refusal.doesNotExist(.user) }
        let connection = transaction.connection
        var redaction = Redaction(connection)
        let own = [StreamID.user(erasure.user)] + erasure.collections.map { .collection($0) }
        try redaction.rewrite(touching: own, upTo: head.position, addressesOf: erasure.user) { record in
            erasure.remains(of: record.event, at: record.position)
        }
        // What is known of the user's devices.
        try connection.execute(Self.deleteSessions, [.integer(erasure.user.rawValue)])
        try connection.execute(Self.deleteListing, [.integer(erasure.user.rawValue)])
        try connection.execute(Self.deleteQuota, [.integer(erasure.user.rawValue)])
        return RecordErasure(erasure, redaction: redaction.proof(signedWith: transaction.key))
    }

    private static let deleteListing = Statement("DELETE FROM apus_listing WHERE user_id = $1")
    private static let deleteQuota = Statement("DELETE FROM apus_quota WHERE user_id = $1")
    private static let deleteSessions = Statement("DELETE FROM apus_session WHERE user_id = $1")
}

extension PruneRevisions: Redacting {
    package func redact(
        _ state: CollectionState, asOf head: LogHead, _ transaction: RedactingTransaction
    ) throws -> any Decision<CollectionState> {
        let connection = transaction.connection
        // What has been named since stays. A content that comes again later comes with an event that is not there yet.
        let since = try EventLog.events(touching: .collection(collection), after: head.position, connection)
        let chunks = chunks.subtracting(since.flatMap(\.event.namedChunks))
        let pruning = Pruning(of: Set(revisions.map(\.revision)), and: chunks, in: collection)
        var redaction = Redaction(connection)
        let positions = Set(revisions.flatMap(\.positions)).sorted()
        try redaction.rewrite(positions, of: .collection(collection)) { pruning.remains(of: $0.event, at: $0.position) }
        try transaction.remove(chunks, collection, connection)
        return RecordPruning(
            collection: collection, revisions: Dictionary(revisions.map { ($0.revision, $0.item) }) { first, _ in first },
            chunks: chunks, redaction: redaction.proof(signedWith: transaction.key))
    }
}
