import Domain
import TestSupport
import Testing

@Suite("Creating a collection") struct CreatingCollectionsTests {
    private let nothing = CollectionState(uid: notes)

    private func wish(_ item: OfferedItem = OfferedItem("notes", "notes-1"), type: [UInt8]? = [5]) -> CreateCollection {
        CreateCollection(author: ada, item: item, collectionType: type, collectionKey: [6])
    }

    @Test("makes the collection, then its owner joins as admin") func creates() throws {
        let events = try decide(wish(OfferedItem("notes", "notes-1", version: 3, .sent("c1"))), nothing)
        let revision = Revision("notes-1", chunks: ["c1"], stored: [StoredChunk("c1")])
        #expect(
            events == [
                .collectionCreated(.init(collection: notes, owner: ada, version: 3, revision: revision)),
                .memberJoined(
                    .init(
                        collection: notes, user: ada, level: .admin, encryptionKey: [6], collectionType: [5], invitation: nil,
                        inviters: [])),
            ])
    }

    @Test("an etag is refused first of all") func etag() {
        let state = CollectionState(given: Event.adasNotes)
        #expect(throws: Refusal.etagOfNewCollection) { try decide(wish(.init("notes", "notes-2", etag: "notes-1")), state) }
    }

    @Test("a uid is used once, also when another won the race") func exists() {
        #expect(throws: Refusal.collectionExists) { try decide(wish(), CollectionState(given: Event.adasNotes)) }
        var raced = nothing
        raced.taken[.collection(notes)] = eve
        #expect(throws: Refusal.collectionExists) { try decide(wish(), raced) }
    }

    @Test("a used revision uid, a chunk without content and a missing type are refused, in this order") func order() {
        var raced = nothing
        raced.taken[.revision("notes-1")] = eve
        let item = OfferedItem("notes", "notes-1", .named("c1"))
        let used = FieldError(.revisionUID, .revisionExists)
        #expect(throws: Refusal.invalidFields([used])) { try decide(wish(item, type: nil), raced) }
        #expect(throws: Refusal.chunkWithoutContent) { try decide(wish(item, type: nil), nothing) }
        #expect(throws: Refusal.collectionTypeMissing) { try decide(wish(type: nil), nothing) }
    }

    @Test("a type belongs to who used it first, and may be used again by the same") func types() throws {
        var state = nothing
        state.taken[.collectionType([5])] = eve
        #expect(throws: Refusal.collectionTypeTaken) { try decide(wish(), state) }
        state.taken[.collectionType([5])] = ada
        #expect(try decide(wish(), state).count == 2)
    }

    @Test("a type has at most 2,000 bytes") func longType() throws {
        let error = FieldError(.collectionType, .tooLong(2001, maximum: 2000))
        let long = [UInt8](repeating: 1, count: 2001)
        #expect(throws: Refusal.invalidFields([error])) { try decide(wish(type: long), nothing) }
        #expect(try decide(wish(type: Array(long.dropLast())), nothing).count == 2)
    }

    @Test("the uid is of 1 to 43 safe characters, and the version has 15 bits") func fields() throws {
        let cases: [(String, Int, FieldError.Problem)] = [
            ("", 1, .empty), (String(repeating: "x", count: 44), 1, .tooLong(44, maximum: 43)), ("a\0b", 1, .notUID), ("é", 1, .notUID),
            ("../user_1", 1, .notUID), ("a b", 1, .notUID), ("a.b", 1, .notUID), ("notes", -1, .tooSmall(minimum: 0)),
            ("notes", 32768, .tooGreat(maximum: 32767)),
        ]
        for (uid, version, problem) in cases {
            let refusal = #expect(throws: Refusal.self) {
                try decide(wish(.init(ItemUID(uid), "notes-1", version: version)), CollectionState(uid: CollectionUID(uid)))
            }
            #expect(refusal?.fieldErrors?.map(\.problem) == [problem])
        }
        for uid in ["x", String(repeating: "-", count: 43), "Az09_-"] {
            #expect(try decide(wish(.init(ItemUID(uid), "notes-1")), CollectionState(uid: CollectionUID(uid))).count == 2)
        }
    }
}

@Suite("Storing a chunk") struct StoringChunksTests {
    private let given = CollectionState(
        given: Event.adasNotes + [.joined(ben, .readOnly), .chunkStored(.init(collection: notes, chunk: StoredChunk("c1")))])

    private func wish(_ uid: ChunkUID, by author: UserID = ada) -> StoreChunk {
        StoreChunk(collection: notes, author: author, chunk: StoredChunk(uid))
    }

    @Test("stores it") func stores() throws {
        #expect(try decide(wish("c2"), given) == [.chunkStored(.init(collection: notes, chunk: StoredChunk("c2")))])
    }

    @Test("a chunk that is there is refused") func exists() {
        #expect(throws: Refusal.chunkExists) { try decide(wish("c1"), given) }
    }

    @Test("only members who may write store") func access() {
        #expect(throws: Refusal.noWriteAccess) { try decide(wish("c2", by: ben), given) }
        #expect(throws: Refusal.doesNotExist(.collection)) { try decide(wish("c2", by: eve), given) }
    }

    @Test("uids are of 1 to 60 safe characters", arguments: ["", "a/b", String(repeating: "x", count: 61)])
    func uids(uid: String) {
        let refusal = #expect(throws: Refusal.self) { try decide(wish(ChunkUID(uid)), given) }
        #expect(refusal?.fieldErrors?.map(\.field) == [.uid])
    }
}
