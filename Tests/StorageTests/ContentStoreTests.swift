import Contents
import Database
import Domain
import EventLog
import Sodium
import TestSupport
import Testing

/// What holds for every store, whatever is behind it.
@Suite("A store of contents") struct ContentStoreTests {
    private typealias Putting = ([ChunkUID: [UInt8]], CollectionUID) async throws -> [ChunkUID: ContentReference]

    /// Runs `body` with a store, and what puts contents into it as an append does.
    private func store(
        _ place: ContentPlace, _ engine: Engine,
        _ body: (any ContentStore, _ put: Putting, Node) async throws -> Void
    ) async throws {
        try await engine.node { node in
            let store = try #require(node.chunks.all.first { $0.place == place })
            let put: Putting = { contents, collection in
                let missing = try await store.put(contents, of: collection, ownedBy: Self.ada)
                #expect(missing.isEmpty == (place == .files) || contents.isEmpty)
                try await node.database.write { connection in
                    for write in missing.values { try connection.enqueue(write.statement, rows: [write.row]) }
                }
                return contents.reduce(into: [:]) { references, content in
                    let path = ChunkPath.path(of: content.key, in: collection, ownedBy: Self.ada)
                    references[content.key] = ContentReference(
                        ContentName(content.key, in: collection, path: path), in: place, count: content.value.count,
                        digest: place == .objects ? Sodium.sha256(content.value) : nil)
                }
            }
            try await body(store, put, node)
        }
    }

    private static let ada = UserID(rawValue: 7)
    private static let contents: [ChunkUID: [UInt8]] = ["first": [1, 2, 3, 4, 5], "second": [], "x": [6]]

    private func listed(_ store: any ContentStore, of collections: Set<CollectionUID>? = nil) async throws -> [HeldContent] {
        var all: [HeldContent] = []
        try await store.list(of: collections, before: .always.upperBound) { page in
            #expect((1...1000).contains(page.count))
            all += page
        }
        return all
    }

    /// Nil where there is none.
    private func pieces(of content: ContentReference, ofBytes count: Int, _ store: any ContentStore) async throws -> [[UInt8]]? {
        var pieces: [[UInt8]] = []
        var hash = SHA256()
        for start in stride(from: 0, to: content.count, by: count) {
            guard let piece = try await store.piece(start..<min(start + count, content.count), of: content, &hash) else { return nil }
            pieces.append(piece)
        }
        return pieces
    }

    @Test("gives what was put there, whole and in parts, and nothing else", arguments: Engine.all, ContentPlace.tested)
    func given(engine: Engine, place: ContentPlace) async throws {
        try await store(place, engine) { store, put, _ in
            let there = try await put(Self.contents, notes)
            let elsewhere = try #require(try await put(["first": [9]], "other")["first"])
            let missing = ContentReference(
                ContentName("missing", in: notes, path: "user_7/notes/mi/ssing"), in: place, count: 1,
                digest: place == .objects ? Sodium.sha256([1]) : nil)
            let found = try await store.get(there.values + [elsewhere, missing])
            for (chunk, content) in Self.contents { #expect(try found[#require(there[chunk])] == content) }
            #expect(found[elsewhere] == [9] && found.count == 4)
            #expect(try await store.get([]) == [:])
            let first = try #require(there["first"])
            #expect(try await pieces(of: first, ofBytes: 5, store) == [[1, 2, 3, 4, 5]])
            #expect(try await pieces(of: first, ofBytes: 2, store) == [[1, 2], [3, 4], [5]])
            #expect(try await pieces(of: #require(there["second"]), ofBytes: 2, store) == [])
            #expect(try await pieces(of: missing, ofBytes: 2, store) == nil)
        }
    }

    @Test("lists what it holds, of all collections or of some, a bounded number at a time", arguments: Engine.all, ContentPlace.tested)
    func lists(engine: Engine, place: ContentPlace) async throws {
        try await store(place, engine) { store, put, _ in
            #expect(try await listed(store) == [])
            _ = try await put(Self.contents, notes)
            let many = (0..<620).map { (ChunkUID("chunk\($0)"), [UInt8](repeating: 1, count: $0 % 3)) }
            _ = try await put(Dictionary(uniqueKeysWithValues: many), "other")
            let all = try await listed(store)
            #expect(all.count == 623 && Set(all).count == 623)
            #expect(all.reduce(0) { $0 + $1.bytes } == 6 + many.reduce(0) { $0 + $1.1.count })
            let own = try await listed(store, of: [notes, "none"])
            #expect(own.count == 3 && Set(own).isSubset(of: all))
            #expect(try await listed(store, of: []) == [])
        }
    }

    @Test("removes one content and no other, once", arguments: Engine.all, ContentPlace.tested)
    func removes(engine: Engine, place: ContentPlace) async throws {
        try await store(place, engine) { store, put, node in
            let there = try await put(Self.contents, notes)
            let gone = try #require(try await listed(store).first { $0.bytes == 5 })
            // An event that named it is undone.
            let row = Statement("DELETE FROM apus_chunk WHERE uid = 'first' AND digest IS NOT NULL")
            try await node.database.write { _ = try $0.execute(row, []) }
            #expect(try await store.remove(gone, before: .always.upperBound))
            try await store.conclude([gone])
            #expect(try await !store.remove(gone, before: .always.upperBound))
            let found = try await store.get(Array(there.values))
            #expect(Set(found.keys.map(\.name.chunk)) == ["second", "x"])
            #expect(try await listed(store).count == 2)
        }
    }
}
