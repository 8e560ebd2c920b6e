import Contents
import Domain
import EventLog
import TestSupport
import Testing

@testable import Database
@testable import ReadModel

@Suite("Events that are large") struct LargeEventTests {
    /// An item with a revision that no client sends any more, as it may be in an old log.
    private func create(_ item: ItemUID, meta: [UInt8] = [1], chunks: [ChunkUID], stored: [ChunkUID]) -> Happenings {
        let revision = Revision(
            uid: RevisionUID("\(item)-1"), meta: meta, isDeleted: false, chunks: chunks,
            stored: stored.map { StoredChunk(uid: $0, content: content) })
        return Happenings([ItemCreated(collection: notes, item: item, version: 1, encryptionKey: nil, revision: revision)])
    }

    @Test("a chunk that is named again and again has a row for each time, in order", arguments: Engine.all)
    func mentions(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            // More than any revision may name now, and what comes after them in the same batch.
            let named = [ChunkUID](repeating: "k", count: 300_000) + ["l", "k"]
            _ = await node.commit(group: [
                try await node.submission(
                    create("a", chunks: named, stored: ["k", "l"]), by: ada, contents: ["k": content, "l": content]),
                try await node.submission(creating: "others", by: ada),
                try await node.submission(CommitItems([OfferedItem("b", "b-1")], by: ada)),
            ]).map { try? $0.get() }
            try await node.caughtUp()
            let found = try await node.database.read { connection in
                try connection.query(
                    Statement(
                        """
                        SELECT chunk.uid
                        FROM   django_etebase_revisionchunkrelation relation
                        JOIN   django_etebase_collectionitemchunk chunk ON chunk.id = relation.chunk_id
                        ORDER  BY relation.id
                        """), []
                ) { ChunkUID($0.text(0)) }
            }
            #expect(found == named)
            try await node.expectSoundLog()
        }
    }

    @Test("the log is read in batches of so many events or bytes, but one event at least", arguments: Engine.all)
    func batches(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            for number in 1...4 {
                let large = create(ItemUID("i\(number)"), meta: .init(repeating: 1, count: 5000), chunks: [], stored: [])
                try await node.commit(large, by: ada)
            }
            let sizes = try await node.database.read { connection in
                try [(2, 1 << 20), (9, 1), (9, 6000), (9, 1 << 20)].map { limit, bytes in
                    let batch = try EventLog.batch(after: Position(rawValue: 3), limit: limit, bytes: bytes, connection)
                    return [batch.events.count, batch.isFull ? 1 : 0]
                }
            }
            #expect(sizes == [[2, 1], [1, 1], [2, 1], [4, 0]])
        }
    }

    @Test("a length that the libraries cannot count is a fault")
    func lengths() throws {
        #expect(try ValueLength.checked(1 << 31 - 1) == Int32.max)
        #expect(throws: DatabaseFault.self) { try ValueLength.checked(1 << 31) }
    }

    @Test("a reader that is cancelled does not go on waiting", .timeLimit(.minutes(1)))
    func cancelledReader() async {
        let progress = Progress()
        let reader = Task { await progress.wait(for: Position(rawValue: 7), after: 0) }
        reader.cancel()
        await reader.value
        // One that is cancelled while it waits.
        progress.isTold(true)
        let other = Task { await progress.wait(for: Position(rawValue: 7), after: 0) }
        await Task.yield()
        other.cancel()
        await other.value
    }
}
