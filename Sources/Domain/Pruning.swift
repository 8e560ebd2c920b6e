/// Which earlier revisions of items are kept. What is current is kept always.
package struct RetentionPolicy: Hashable, Sendable {
    /// How many of each item, the current one among them; nil where that is no reason.
    package let newest: Int?
    /// Those that were current then or later; nil where that is no reason.
    package let since: Timestamp?

    /// A policy with both keeps what one of them keeps.
    package init(newest: Int?, since: Timestamp?) {
        self.newest = newest
        self.since = since
    }

    /// - Parameters:
    ///   - rank: 0 for the current revision, 1 for the one before it.
    ///   - end: when it was replaced.
    func keeps(rank: Int, until end: Timestamp) -> Bool {
        newest.map { rank < $0 } ?? false || since.map { end >= $0 } ?? false || (newest == nil && since == nil)
    }
}

/// A revision that is not to be kept any longer.
package struct OldRevision: Hashable, Sendable {
    package let item: ItemUID
    package let revision: RevisionUID
    /// The events that carry it.
    package let positions: [Position]
}

extension CollectionHistory {
    /// The revisions that a policy does not keep, item by item.
    package func revisions(notKeptBy policy: RetentionPolicy) -> [OldRevision] {
        items.flatMap { item, steps in
            var seen: Set<RevisionUID> = []
            var old: [OldRevision] = []
            // From the current one back; one that came back stands where it was current last.
            for (index, step) in steps.enumerated().reversed() where !isPruned(step.revision) && seen.insert(step.revision).inserted {
                guard steps.indices.contains(index + 1) else { continue }
                guard !policy.keeps(rank: seen.count - 1, until: steps[index + 1].time) else { continue }
                old.append(OldRevision(item: item, revision: step.revision, positions: positions(of: step.revision)))
            }
            return old
        }
    }
}

/// Doing away with earlier revisions of items.
///
/// What goes is what clients encrypted, and the contents that no other revision names. That there was such a revision, when,
/// and by whom, stays in the log; its uid stays claimed.
package struct Pruning: Removal, Hashable {
    package let collection: CollectionUID
    package let revisions: Set<RevisionUID>
    /// The chunks that no other revision names.
    package let chunks: Set<ChunkUID>

    package init(of revisions: Set<RevisionUID>, and chunks: Set<ChunkUID>, in collection: CollectionUID) {
        self.revisions = revisions
        self.chunks = chunks
        self.collection = collection
    }

    package func takes(_: UserID) -> Bool { false }
    package func takes(_: CollectionUID) -> Bool { false }
    package func takes(_ revision: RevisionUID) -> Bool { revisions.contains(revision) }
    package func takes(_ chunk: ChunkUID) -> Bool { chunks.contains(chunk) }
}

/// The operator's wish to do away with earlier revisions: `apus gc` with a policy.
package struct PruneRevisions: RedactingCommand {
    package let collection: CollectionUID
    package let revisions: [OldRevision]
    /// The chunks that no other revision names, as of when they were looked for.
    package let chunks: Set<ChunkUID>

    package init(_ revisions: [OldRevision], chunks: Set<ChunkUID>, in collection: CollectionUID) {
        self.revisions = revisions
        self.chunks = chunks
        self.collection = collection
    }

    package var needs: CollectionNeeds {
        CollectionNeeds(collection, items: revisions.map(\.item), revisions: revisions.map(\.revision))
    }
}

/// What is decided when the events that carry some revisions have been rewritten.
package struct RecordPruning: Sendable {
    package let collection: CollectionUID
    /// With their items.
    package let revisions: [RevisionUID: ItemUID]
    /// The chunks that no other revision names.
    package let chunks: Set<ChunkUID>
    /// Of the events that carry them, which were rewritten already, in the transaction in which this is decided.
    package let redaction: RedactionProof

    package init(collection: CollectionUID, revisions: [RevisionUID: ItemUID], chunks: Set<ChunkUID>, redaction: RedactionProof) {
        self.collection = collection
        self.revisions = revisions
        self.chunks = chunks
        self.redaction = redaction
    }
}

extension RecordPruning: Decision {
    /// Decides what doing away with revisions means.
    ///
    /// - Throws: ``Refusal/doesNotExist(_:)`` where one of them is current, or not there any more.
    package func decide(_ state: CollectionState) throws(Refusal) -> [Decided<CollectionState>] {
        for (revision, item) in revisions {
            guard state.revisions[revision] == item, let current = state.etags[item], current != revision else {
                throw .doesNotExist(.revision)
            }
        }
        return [
            state.decided(
                RevisionsPruned(
                    collection: collection, revisions: revisions.keys.sorted(),
                    chunks: chunks.sorted(), redaction: redaction))
        ]
    }
}
