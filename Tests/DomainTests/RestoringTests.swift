import Domain
import TestSupport
import Testing

@Suite("Restoring items") struct RestoringTests {
    private let given: [Event] =
        Event.adasNotes + [
            .created("a", Revision("a-1")), .revised("a", Revision("a-2")), .created("b", Revision("b-1")),
            .revised("a", Revision(deleting: "a-3")),
        ]

    private func restore(_ item: ItemUID, _ revision: RevisionUID, replacing etag: RevisionUID) -> RestoreItems {
        RestoreItems(collection: notes, restorations: [.init(item: item, revision: revision, replaced: etag)])
    }

    @Test("makes an earlier revision the etag of the item, under a new stoken") func restores() throws {
        var state = CollectionState(given: given)
        let events = try decide(restore("a", "a-2", replacing: "a-3"), state)
        #expect(events == [.itemRestored(.init(collection: notes, item: "a", revision: "a-2"))])
        for event in events { state.evolve(event, at: Position(rawValue: 20)) }
        #expect(state.stoken == Position(rawValue: 20))
        #expect(throws: Refusal.self) { try decide(CommitItems(OfferedItem("a", "a-4", etag: "a-3")), state) }
        #expect(try decide(CommitItems(OfferedItem("a", "a-4", etag: "a-2")), state).count == 1)
    }

    @Test("of what is current already does nothing") func repeated() throws {
        let state = CollectionState(given: given)
        #expect(try decide(restore("b", "b-1", replacing: "b-1"), state) == [])
        #expect(try decide(restore("b", "b-1", replacing: "b-0"), state) == [])
    }

    @Test("refuses the whole when one of them has moved on since somebody looked") func movedOn() {
        let command = RestoreItems(
            collection: notes,
            restorations: [
                .init(item: "a", revision: "a-2", replaced: "a-3"), .init(item: "a", revision: "a-1", replaced: "a-3"),
            ])
        #expect {
            try decide(command, CollectionState(given: given))
        } throws: { error in
            if case .itemsFailed = error as? Refusal { true } else { false }
        }
    }

    @Test("is for members who may write, and for the operator") func authors() throws {
        let state = CollectionState(given: given)
        func restore(as author: UserID?) throws -> [Event] {
            let restoration = RestoreItems.Restoration(item: "a", revision: "a-2", replaced: "a-3")
            return try decide(RestoreItems(collection: notes, restorations: [restoration], author: author), state)
        }
        #expect(try restore(as: nil).count == 1)
        #expect(try restore(as: ada).count == 1)
        #expect(throws: Refusal.doesNotExist(.collection)) { try restore(as: eve) }
        var shared = state
        shared.members[eve] = .init(level: .readOnly, stoken: .none)
        let restoration = RestoreItems.Restoration(item: "a", revision: "a-2", replaced: "a-3")
        let command = RestoreItems(collection: notes, restorations: [restoration], author: eve)
        #expect(throws: Refusal.noWriteAccess) { try decide(command, shared) }
        shared.members[eve]?.level = .readWrite
        #expect(try decide(command, shared).count == 1)
    }

    @Test("refuses what the collection has not") func unknown() {
        let state = CollectionState(given: given)
        for command in [
            restore("x", "a-1", replacing: "x-1"), restore("a", "a-9", replacing: "a-3"), restore("a", "b-1", replacing: "a-3"),
        ] {
            #expect {
                try decide(command, state)
            } throws: { error in
                if case .doesNotExist = error as? Refusal { true } else { false }
            }
        }
        #expect(throws: Refusal.doesNotExist(.collection)) {
            try decide(restore("a", "a-2", replacing: "a-3"), CollectionState(uid: notes))
        }
    }
}

@Suite("The history of a collection") struct CollectionHistoryTests {
    /// Events one second apart, at the positions 1, 2, 3 …; those of one list are of one request.
    private func history(_ requests: [[Event]]) -> CollectionHistory {
        var history = CollectionHistory(of: notes)
        var position = Position.none
        for (second, events) in requests.enumerated() {
            for event in events {
                position = position + 1
                history.add(event, at: position, on: time(second), by: Actor(user: ada, session: "s"))
            }
        }
        return history
    }

    private func time(_ second: Int) -> Timestamp { Timestamp(rawValue: Int64(second) * 1_000_000) }

    private let made = [Event.adasNotes, [.created("a", Revision("a-1")), .created("b", Revision("b-1"))]]

    private func restored(_ restorations: [RestoreItems.Restoration]) -> [ItemUID: RevisionUID] {
        Dictionary(uniqueKeysWithValues: restorations.map { ($0.item, $0.revision) })
    }

    @Test("undoes the last deletion with all that one request deleted, and then the one before") func lastDeletion() throws {
        var requests =
            made + [
                [.created("c", Revision("c-1"))], [.revised("c", Revision(deleting: "c-2"))],
                [.revised("a", Revision(deleting: "a-2")), .revised("b", Revision(deleting: "b-2"))],
            ]
        #expect(history(requests).deletions.map(\.item) == ["b", "a", "c"])
        #expect(restored(try history(requests).restorations()) == ["a": "a-1", "b": "b-1"])
        requests.append([.restored("a", "a-1"), .restored("b", "b-1")])
        #expect(restored(try history(requests).restorations()) == ["c": "c-1"])
    }

    @Test("brings back the collection itself before what else is deleted") func collection() throws {
        let requests =
            made + [
                [.revised("a", Revision(deleting: "a-2"))],
                [.revised("b", Revision(deleting: "b-2")), .revised("notes", Revision(deleting: "notes-2"))],
            ]
        #expect(restored(try history(requests).restorations()) == ["notes": "notes-1", "b": "b-1"])
        #expect(
            restored(try history(requests + [[.created("x", Revision("x-1"))], [.revised("x", Revision(deleting: "x-2"))]]).restorations())
                == [
                    "notes": "notes-1", "b": "b-1",
                ])
    }

    @Test("brings back what an item was at last, which may be a restored revision") func restoredBefore() throws {
        let requests =
            made + [
                [.revised("a", Revision("a-2"))], [.restored("a", "a-1")], [.revised("a", Revision(deleting: "a-3"))],
            ]
        #expect(restored(try history(requests).restorations(of: "a")) == ["a": "a-1"])
    }

    @Test("brings back the state of a moment, and deletes nothing for it") func moments() throws {
        let requests =
            made + [
                [.revised("a", Revision("a-2"))], [.revised("b", Revision(deleting: "b-2"))],
                [.created("c", Revision("c-1")), .revised("a", Revision(deleting: "a-3"))],
            ]
        let history = history(requests)
        #expect(restored(try history.restorations(asOf: .at(time(1)))) == ["a": "a-1", "b": "b-1"])
        #expect(restored(try history.restorations(asOf: .at(time(3)))) == ["a": "a-2"])
        #expect(restored(try history.restorations(asOf: .before(Position(rawValue: 6)))) == ["a": "a-2", "b": "b-1"])
        #expect(restored(try history.restorations(of: "b", asOf: .at(time(2)))) == ["b": "b-1"])
    }

    @Test("tells why there is nothing to bring back") func refusals() {
        typealias Refusal = CollectionHistory.Unrestorable
        let living = history(made)
        #expect(throws: Refusal.noCollection) { try CollectionHistory(of: notes).restorations() }
        #expect(throws: Refusal.nothingIsDeleted) { try living.restorations() }
        #expect(throws: Refusal.itemIsNotDeleted("a")) { try living.restorations(of: "a") }
        #expect(throws: Refusal.noItem("x")) { try living.restorations(of: "x") }
        #expect(throws: Refusal.nothingHasChanged(since: .at(time(1)))) { try living.restorations(asOf: .at(time(1))) }
        #expect(throws: Refusal.itemIsNewer("a", than: .at(time(0)), time: time(1))) {
            try living.restorations(of: "a", asOf: .at(time(0)))
        }
        #expect(throws: Refusal.collectionIsNewer(than: .at(time(-1)), time: time(0))) { try living.restorations(asOf: .at(time(-1))) }
        let stillborn = history(made + [[.created("x", Revision(deleting: "x-1"))]])
        #expect(throws: Refusal.itemNeverLived("x")) { try stillborn.restorations(of: "x") }
        #expect(throws: Refusal.itemWasDeleted("x", .at(time(2)))) { try stillborn.restorations(of: "x", asOf: .at(time(2))) }
        let reset = history(made + [[.userReset(.init(user: ada, keys: keys, collections: [notes]))]])
        #expect(throws: Refusal.noCollection) { try reset.restorations() }
    }
}

extension Event {
    fileprivate static func restored(_ item: ItemUID, _ revision: RevisionUID) -> Event {
        .itemRestored(.init(collection: notes, item: item, revision: revision))
    }
}

extension Revision {
    fileprivate init(deleting uid: RevisionUID) { self.init(uid: uid, meta: [1], isDeleted: true, chunks: [], stored: []) }
}
