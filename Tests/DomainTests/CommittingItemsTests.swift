import Domain
import TestSupport
import Testing

@Suite("Committing items") struct CommittingItemsTests {
    private let given = CollectionState(given: Event.adasNotes + [.joined(ben, .readOnly), .created("a", Revision("a-1"))])

    @Test("an unknown item is created, a known one revised") func createsAndRevises() throws {
        let events = try decide(CommitItems(.init("b", "b-1"), .init("a", "a-2", etag: "a-1")), given)
        #expect(events == [.created("b", Revision("b-1")), .revised("a", Revision("a-2"))])
    }

    @Test("the main item is revised like every other") func mainItem() throws {
        #expect(
            try decide(CommitItems(.init("notes", "notes-2", etag: "notes-1")), given) == [.revised("notes", Revision("notes-2"))])
    }

    @Test("an item that comes twice is revised by its second coming") func twice() throws {
        let events = try decide(CommitItems(.init("b", "b-1"), .init("b", "b-2", etag: "b-1")), given)
        #expect(events == [.created("b", Revision("b-1")), .revised("b", Revision("b-2"))])
    }

    @Test("strangers are not told that the collection exists", arguments: [eve, UserID(rawValue: 99)])
    func strangers(user: UserID) {
        let command = CommitItems(.init("a", "a-1"), by: user, stoken: .unknown)
        #expect(throws: Refusal.doesNotExist(.collection)) { try decide(command, given) }
    }

    @Test("a collection that does not exist cannot be written to") func noCollection() {
        let nothing = CollectionState(uid: notes)
        #expect(throws: Refusal.doesNotExist(.collection)) { try decide(CommitItems(.init("a", "a-1")), nothing) }
    }

    @Test("a member who may only read is refused before anything else is looked at") func readOnly() {
        let command = CommitItems(.init("a", "a-1"), by: ben, stoken: .unknown)
        #expect(throws: Refusal.noWriteAccess) { try decide(command, given) }
    }

    @Test("a member who may write writes") func readWrite() throws {
        let state = CollectionState(given: Event.adasNotes + [.joined(ben, .readWrite)])
        #expect(try decide(CommitItems(.init("b", "b-1"), by: ben), state).count == 1)
    }
}

@Suite("The expected stoken") struct ExpectedStokenTests {
    private let item = OfferedItem("b", "b-1")

    @Test("is that of the newest revision or membership") func memberships() throws {
        let state = CollectionState(given: Event.adasNotes + [.created("a", Revision("a-1")), .joined(ben, .readOnly)])
        #expect(state.stoken == Position(rawValue: 4))
        #expect(try decide(CommitItems(item, stoken: .exactly(state.stoken)), state).count == 1)
        #expect(throws: Refusal.staleStoken) { try decide(CommitItems(item, stoken: .exactly(state.revisionStoken)), state) }
    }

    @Test("goes back when the newest member is removed") func goesBack() {
        let state = CollectionState(
            given: Event.adasNotes + [.created("a", Revision("a-1")), .joined(ben, .readOnly), .removed(ben)])
        #expect(state.stoken == Position(rawValue: 3))
    }

    @Test("moves with a change of level") func levels() {
        let change = Event.memberLevelChanged(.init(collection: notes, user: ada, level: .admin))
        let state = CollectionState(given: Event.adasNotes + [.created("a", Revision("a-1")), change])
        #expect(state.stoken == Position(rawValue: 4))
    }

    @Test(
        "refuses what is older, newer, or no stoken at all",
        arguments: [CommitItems.ExpectedStoken.exactly(.none), .exactly(Position(rawValue: 1)), .exactly(Position(rawValue: 3)), .unknown])
    func stale(stoken: CommitItems.ExpectedStoken) {
        let state = CollectionState(given: Event.adasNotes)
        #expect(throws: Refusal.staleStoken) { try decide(CommitItems(item, stoken: stoken), state) }
        #expect(throws: Refusal.staleStoken) { try decide(CommitItems(stoken: stoken), state) }
    }

    @Test("refuses what is repeated too, also when every item stands at the revision that is sent", arguments: [true, false])
    func repeated(checksEtags: Bool) throws {
        let state = CollectionState(given: Event.adasNotes + [.created("a", Revision("a-1")), .created("b", Revision("b-1"))])
        func repeating(_ stoken: CommitItems.ExpectedStoken) -> CommitItems {
            CommitItems(.init("a", "a-1"), .init("b", "b-1"), stoken: stoken, checksEtags: checksEtags)
        }
        for stoken in [CommitItems.ExpectedStoken.unknown, .exactly(Position(rawValue: 1))] {
            #expect(throws: Refusal.staleStoken) { try decide(repeating(stoken), state) }
        }
        #expect(try decide(repeating(.any), state) == [])
        #expect(try decide(repeating(.exactly(state.stoken)), state) == [])
    }

    @Test("matters when one item is new") func partlyRepeated() throws {
        let state = CollectionState(given: Event.adasNotes + [.created("a", Revision("a-1"))])
        #expect(throws: Refusal.staleStoken) { try decide(CommitItems(.init("a", "a-1"), item, stoken: .unknown), state) }
        #expect(try decide(CommitItems(.init("a", "a-1"), item), state) == [.created("b", Revision("b-1"))])
    }
}

@Suite("Dependencies") struct DependencyTests {
    private let given = CollectionState(given: Event.adasNotes + [.created("a", Revision("a-1"))])

    @Test("that hold let the items through") func hold() throws {
        let command = CommitItems(.init("b", "b-1"), dependencies: [.init(item: "a", etag: "a-1"), .init(item: "notes", etag: "notes-1")])
        #expect(try decide(command, given).count == 1)
    }

    @Test("that fail are all told, before any item") func fail() {
        let dependencies: [CommitItems.Dependency] = [
            .init(item: "a", etag: "a-0"), .init(item: "notes", etag: "notes-1"), .init(item: "x", etag: "x-1"),
        ]
        #expect(
            throws: Refusal.dependenciesFailed([
                FieldError(.item("a"), .wrongEtag(current: "a-1", given: "a-0")),
                FieldError(.item("x"), .wrongEtag(current: nil, given: "x-1")),
            ])
        ) { try decide(CommitItems(.init("a", "a-2", etag: "wrong"), dependencies: dependencies), given) }
    }

    @Test("are looked at also when every item stands at the revision that is sent") func repeated() {
        let error = FieldError(.item("x"), .wrongEtag(current: nil, given: "x-1"))
        #expect(throws: Refusal.dependenciesFailed([error])) {
            try decide(CommitItems(.init("a", "a-1"), dependencies: [.init(item: "x", etag: "x-1")]), given)
        }
    }

    @Test("are looked at after the stoken") func afterStoken() {
        let command = CommitItems(.init("b", "b-1"), dependencies: [.init(item: "x", etag: "x-1")], stoken: .unknown)
        #expect(throws: Refusal.staleStoken) { try decide(command, given) }
    }

    @Test("are held against the state before the command") func before() throws {
        let dependency = CommitItems.Dependency(item: "a", etag: "a-1")
        #expect(try decide(CommitItems(.init("a", "a-2", etag: "a-1"), dependencies: [dependency]), given).count == 1)
    }
}

@Suite("Etags") struct EtagTests {
    private let given = CollectionState(given: Event.adasNotes + [.created("a", Revision("a-1")), .created("b", Revision("b-1"))])

    @Test("in a transaction every wrong one is told, and the right ones are not committed either") func transaction() {
        let command = CommitItems(
            .init("a", "a-2", etag: "a-0"), .init("b", "b-2", etag: "b-1"), .init("c", "c-1", etag: "c-0"), .init("notes", "notes-2"))
        #expect(
            throws: Refusal.itemsFailed([
                FieldError(.item("a"), .wrongEtag(current: "a-1", given: "a-0")),
                FieldError(.item("c"), .wrongEtag(current: nil, given: "c-0")),
                FieldError(.item("notes"), .wrongEtag(current: "notes-1", given: nil)),
            ])
        ) { try decide(command, given) }
    }

    @Test("in a batch they do not matter") func batch() throws {
        let command = CommitItems(.init("a", "a-2", etag: "a-0"), .init("c", "c-1", etag: "c-0"), checksEtags: false)
        #expect(try decide(command, given) == [.revised("a", Revision("a-2")), .created("c", Revision("c-1"))])
    }

    @Test("do not matter for an item that stands at the revision that is sent") func repeated() throws {
        let command = CommitItems(.init("a", "a-1", etag: "a-0"), .init("b", "b-2", etag: "b-1"))
        #expect(try decide(command, given) == [.revised("b", Revision("b-2"))])
    }

    @Test("of an item that comes twice are those in between") func twice() {
        let command = CommitItems(.init("a", "a-2", etag: "a-1"), .init("a", "a-3", etag: "a-1"))
        let error = FieldError(.item("a"), .wrongEtag(current: "a-2", given: "a-1"))
        #expect(throws: Refusal.itemsFailed([error])) { try decide(command, given) }
    }
}

@Suite("Revisions") struct RevisionTests {
    private let taken = Refusal.invalidFields([
        FieldError(.revisionUID, .revisionExists)
    ])

    @Test("a uid that the collection has used before is refused", arguments: ["a-1", "a-2", "notes-1"])
    func used(uid: String) {
        let state = CollectionState(given: Event.adasNotes + [.created("a", Revision("a-1")), .revised("a", Revision("a-2"))])
        #expect(throws: taken) { try decide(CommitItems(.init("b", RevisionUID(uid))), state) }
    }

    @Test("a past revision cannot become current again") func past() {
        let state = CollectionState(given: Event.adasNotes + [.created("a", Revision("a-1")), .revised("a", Revision("a-2"))])
        #expect(throws: taken) { try decide(CommitItems(.init("a", "a-1", etag: "a-2")), state) }
    }

    @Test("one that the item has had is a success without effect in a batch, and what is new beside it is committed")
    func sentAgain() throws {
        let state = CollectionState(
            given: Event.adasNotes + [
                .created("a", Revision("a-1", chunks: ["c1", "c1"], stored: [StoredChunk("c1")])), .revised("a", Revision("a-2")),
            ])
        let again = OfferedItem("a", "a-1", etag: "a-0", .sent("c1"), .named("c1"))
        #expect(try decide(CommitItems(again, checksEtags: false), state) == [])
        #expect(try decide(CommitItems(again, .init("b", "b-1"), checksEtags: false), state) == [.created("b", Revision("b-1"))])
        let error = FieldError(.item("a"), .wrongEtag(current: "a-2", given: "a-0"))
        #expect(throws: Refusal.itemsFailed([error])) { try decide(CommitItems(again), state) }
    }

    @Test("one that the same batch has replaced is a success without effect too") func sentAgainInOneBatch() throws {
        let state = CollectionState(given: Event.adasNotes)
        let events = try decide(
            CommitItems(.init("a", "a-1"), .init("a", "a-2"), .init("a", "a-1"), checksEtags: false), state)
        #expect(events == [.created("a", Revision("a-1")), .revised("a", Revision("a-2"))])
    }

    @Test("one with another content, or of another item, is refused in a batch") func sentAgainChanged() {
        let state = CollectionState(
            given: Event.adasNotes + [
                .created("a", Revision("a-1", chunks: ["c1"], stored: [StoredChunk("c1")])), .revised("a", Revision("a-2")),
                .created("b", Revision("b-1")),
            ])
        func offer(_ item: ItemUID, _ chunks: [ChunkUID], meta: [UInt8] = [1], isDeleted: Bool = false) -> OfferedItem {
            OfferedItem(
                uid: item, version: 1, encryptionKey: nil, etag: nil,
                revision: OfferedRevision(uid: "a-1", meta: meta, isDeleted: isDeleted, chunks: chunks.map { .named($0) }))
        }
        let changed = [
            offer("a", []), offer("a", ["c1", "c1"]), offer("a", ["c1"], meta: [2]), offer("a", ["c1"], isDeleted: true),
            offer("b", ["c1"]), offer("new", ["c1"]),
        ]
        for item in changed { #expect(throws: taken) { try decide(CommitItems(item, checksEtags: false), state) } }
    }

    @Test("one that was done away with is not in the history any more") func sentAgainPruned() {
        let proof = RedactionProof(id: [], count: 1, digest: [], signature: [])
        let pruned = Event.revisionsPruned(.init(collection: notes, revisions: ["a-1"], chunks: [], redaction: proof))
        let state = CollectionState(
            given: Event.adasNotes + [.created("a", Revision("a-1")), .revised("a", Revision("a-2")), pruned])
        #expect(throws: taken) { try decide(CommitItems(.init("a", "a-1"), checksEtags: false), state) }
    }

    @Test("a uid that another collection uses is refused") func usedElsewhere() {
        var state = CollectionState(given: Event.adasNotes)
        state.taken[.revision("b-1")] = eve
        #expect(throws: taken) { try decide(CommitItems(.init("b", "b-1")), state) }
    }

    @Test("a uid that comes twice in one command is refused") func twice() {
        let state = CollectionState(given: Event.adasNotes)
        #expect(throws: taken) { try decide(CommitItems(.init("b", "x"), .init("c", "x")), state) }
    }

    @Test("what is not allowed is refused with the field's name") func rules() {
        let state = CollectionState(given: Event.adasNotes)
        let long = String(repeating: "x", count: 44)
        let cases: [(OfferedItem, FieldError)] = [
            (.init("b", "sl/ash"), FieldError(.revisionUID, .notUID)),
            (.init("b", ""), FieldError(.revisionUID, .empty)),
            (
                .init("b", RevisionUID(long)),
                FieldError(.revisionUID, .tooLong(44, maximum: 43))
            ),
            (.init("b\0", "b-1"), FieldError(.uid, .notUID)),
            (.init("é", "b-1"), FieldError(.uid, .notUID)),
            (.init("", "b-1"), FieldError(.uid, .empty)),
            (
                .init("b", "b-1", version: -1),
                FieldError(.version, .tooSmall(minimum: 0))
            ),
            (
                .init("b", "b-1", version: 32768),
                FieldError(.version, .tooGreat(maximum: 32767))
            ),
            (.init("b", "b-1", .sent("../k")), FieldError(.revisionChunks, .notUID)),
            (
                .init("b", "b-1", .sent(ChunkUID(String(repeating: "x", count: 61)))),
                FieldError(.revisionChunks, .tooLong(61, maximum: 60))
            ),
        ]
        for (item, error) in cases {
            #expect(throws: Refusal.invalidFields([error])) { try decide(CommitItems(item), state) }
        }
    }

    @Test("the longest uids and the greatest version are allowed") func bounds() throws {
        let long = String(repeating: "x", count: 43)
        let item = OfferedItem(
            ItemUID(long), RevisionUID(long), version: 32767, .sent(ChunkUID(String(repeating: "x", count: 60))))
        #expect(try decide(CommitItems(item), CollectionState(given: Event.adasNotes)).count == 1)
    }
}

@Suite("Contents") struct ChunkTests {
    private let given = CollectionState(
        given: Event.adasNotes + [
            .created("a", Revision("a-1", chunks: ["c1"], stored: [StoredChunk("c1")])),
            .chunkStored(.init(collection: notes, chunk: StoredChunk("c2"))),
            .created("b", Revision("b-1", chunks: ["c3"], stored: [StoredChunk("c3")]), in: "elsewhere"),
        ])

    @Test("a chunk that the collection has is known by its name") func named() throws {
        let events = try decide(CommitItems(.init("b", "b-1", .named("c1"), .named("c2"))), given)
        #expect(events == [.created("b", Revision("b-1", chunks: ["c1", "c2"]))])
    }

    @Test("a chunk of another collection is not, and every item without its content is told") func missing() {
        let command = CommitItems(.init("b", "b-1", .named("c3")), .init("c", "c-1"), .init("d", "d-1", .sent("c4"), .named("c5")))
        #expect(
            throws: Refusal.itemsFailed([
                FieldError(.item("b"), .chunkWithoutContent), FieldError(.item("d"), .chunkWithoutContent),
            ])
        ) { try decide(command, given) }
    }

    @Test("content is stored once, however often it comes") func once() throws {
        let events = try decide(
            CommitItems(.init("b", "b-1", .sent("c4"), .sent("c4"), .named("c4"), .sent("c1")), .init("c", "c-1", .sent("c4"))), given)
        #expect(
            events == [
                .created("b", Revision("b-1", chunks: ["c4", "c4", "c4", "c1"], stored: [StoredChunk("c4")])),
                .created("c", Revision("c-1", chunks: ["c4"])),
            ])
    }

    @Test("content that comes with an earlier item of the command serves a later one, not the other way round") func order() throws {
        #expect(try decide(CommitItems(.init("b", "b-1", .sent("c4")), .init("c", "c-1", .named("c4"))), given).count == 2)
        #expect(throws: Refusal.self) {
            try decide(CommitItems(.init("b", "b-1", .named("c4")), .init("c", "c-1", .sent("c4"))), given)
        }
    }
}
