import Domain
import TestSupport
import Testing

private let proof = RedactionProof(id: [1], count: 2, digest: [3], signature: [4])

/// A history of notes in which each event happens a second after the one before, the first at second 1.
private func history(_ events: [Event]) -> CollectionHistory {
    var history = CollectionHistory(of: notes)
    for (index, event) in events.enumerated() {
        let number = Int64(index + 1)
        history.add(
            event, at: Position(rawValue: number), on: Timestamp(rawValue: number * 1_000_000), by: Actor(user: ada))
    }
    return history
}

private func keeping(newest: Int? = nil, since second: Int64? = nil) -> RetentionPolicy {
    RetentionPolicy(newest: newest, since: second.map { Timestamp(rawValue: $0 * 1_000_000) })
}

@Suite("Pruning revisions") struct PruningTests {
    /// a-1 was current from second 3 to 4, a-2 to 5, a-3 to 6; then a-1 came back, until a-4 at 7. b has one revision.
    private let given: [Event] =
        Event.adasNotes + [
            .created("a", Revision("a-1")), .revised("a", Revision("a-2")), .revised("a", Revision("a-3")),
            .itemRestored(.init(collection: notes, item: "a", revision: "a-1")), .revised("a", Revision("a-4")),
            .created("b", Revision("b-1")),
        ]

    @Test(
        "does away with what the policy does not keep, and never with what is current",
        arguments: [
            (keeping(newest: 1), ["a-1", "a-3", "a-2"]), (keeping(newest: 2), ["a-3", "a-2"]), (keeping(newest: 3), ["a-2"]),
            (keeping(newest: 4), []), (keeping(since: 5), []), (keeping(since: 6), ["a-2"]), (keeping(since: 7), ["a-3", "a-2"]),
            (keeping(since: 100), ["a-1", "a-3", "a-2"]), (keeping(newest: 2, since: 100), ["a-3", "a-2"]),
            (keeping(newest: 1, since: 6), ["a-2"]), (keeping(), []),
        ] as [(RetentionPolicy, [RevisionUID])])
    func policies(policy: RetentionPolicy, gone: [RevisionUID]) {
        let old = history(given).revisions(notKeptBy: policy)
        #expect(old.map(\.revision) == gone)
        #expect(old.allSatisfy { $0.item == "a" && $0.positions.count == 1 })
    }

    @Test("is done once") func again() throws {
        let event = Event.revisionsPruned(.init(collection: notes, revisions: ["a-2", "a-3"], chunks: [], redaction: proof))
        let pruned = history(given + [event])
        #expect(pruned.revisions(notKeptBy: keeping(newest: 2)) == [])
        #expect(pruned.revisions(notKeptBy: keeping(newest: 1)).map(\.revision) == ["a-1"])
        #expect(throws: CollectionHistory.Unrestorable.itemIsNotKept("a")) {
            try pruned.restorations(of: "a", asOf: .before(Position(rawValue: 5)))
        }
    }

    @Test("is refused for what is current, or not there") func refused() throws {
        let state = CollectionState(given: given)
        for revisions: [RevisionUID: ItemUID] in [["a-4": "a"], ["b-1": "b"], ["a-9": "a"], ["a-2": "b"]] {
            #expect(throws: Refusal.doesNotExist(.revision)) {
                try decide(RecordPruning(collection: notes, revisions: revisions, chunks: [], redaction: proof), state)
            }
        }
        let events = try decide(
            RecordPruning(collection: notes, revisions: ["a-3": "a", "a-2": "a"], chunks: ["k"], redaction: proof), state)
        #expect(
            events == [.revisionsPruned(.init(collection: notes, revisions: ["a-2", "a-3"], chunks: ["k"], redaction: proof))])
    }

    @Test("lets what went be neither named nor brought back, and keeps all else") func evolved() throws {
        let stored = StoredChunk(uid: "k", bytes: 1, digest: [])
        var state = CollectionState(given: given + [.chunkStored(.init(collection: notes, chunk: stored))])
        let before = state
        state.evolve(
            .revisionsPruned(.init(collection: notes, revisions: ["a-2"], chunks: ["k"], redaction: proof)), at: Position(rawValue: 50))
        #expect(state.revisions["a-2"] == nil && state.revisions["a-3"] == "a" && !state.chunks.contains("k"))
        #expect(state.etags == before.etags && state.stoken == before.stoken && state.members == before.members)
        #expect(throws: Refusal.doesNotExist(.revision)) {
            try decide(
                RestoreItems(collection: notes, restorations: [.init(item: "a", revision: "a-2", replaced: "a-4")]), state)
        }
    }

    @Test("leaves of the events everything that others are decided on", arguments: 1...4 as ClosedRange<UInt64>)
    func sameDecisions(seed: UInt64) throws {
        let history = try History(seed: seed, wishes: 300)
        let pruning = Pruning(of: Set(history.state.revisions.keys), and: [], in: notes)
        var (before, after) = (CollectionState(uid: notes), CollectionState(uid: notes))
        for (position, event) in history.records {
            let remains = pruning.remains(of: event, at: position)
            before.evolve(event, at: position)
            after.evolve(remains, at: position)
            #expect(Picture(of: after) == Picture(of: before))
            #expect(remains.claims == event.claims && remains.storedChunks.map(\.uid) == event.storedChunks.map(\.uid))
        }
    }
}
