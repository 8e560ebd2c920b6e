import Chunks
import Database
import Domain
import EventLog
import Foundation
import ReadModel
import Replay
import TestSupport
import Testing

@Suite("Contents of chunks in files") struct ChunkTests {
    /// Runs `body` on a node that puts contents into files, and a function that gives a file's address by its path.
    private func node(_ engine: Engine, _ body: (Node, (String) -> URL) async throws -> Void) async throws {
        try await engine.place { place in
            let folder = URL(filePath: place.chunkFolder)
            try await place.node(chunks: .files).running { node in try await body(node) { folder.appending(path: $0) } }
        }
    }

    /// Ada and her collection, which has an item with a chunk in a file.
    private func given(_ node: Node) async throws -> UserID {
        let ada = try await node.user("ada")
        try await node.create(notes, by: ada)
        try await node.commit(OfferedItem("a", "a-1", chunks: "abcdef"), by: ada)
        return ada
    }

    private let path = "user_1/notes/ab/cdef"

    private func rows(_ node: Node) async throws -> Int64? {
        try await node.database.read { try $0.first(Statement("SELECT count(*) FROM apus_chunk"), []) { $0.integer(0) } }
    }

    private func served(_ chunk: ChunkUID, of collection: CollectionUID = notes, to user: UserID, _ node: Node) async throws -> [UInt8]? {
        let found = try await node.readModel.snapshot { try $0.chunk(chunk, in: $0.access(to: collection, by: user)) }
        return if case .bytes(let bytes) = found { bytes } else { nil }
    }

    private func faults(_ node: Node) async throws -> [String] {
        try await node.caughtUp()
        return try await withScratch { scratch in
            try await Verification(database: node.database, scratch: scratch, stokens: node.stokens, chunks: node.chunks).run().faults
        }
    }

    @Test("lie where the original would put them, and are served from there, alone and with their items", arguments: Engine.all)
    func files(engine: Engine) async throws {
        try await node(engine) { node, file in
            let ada = try await given(node)
            #expect(try [UInt8](Data(contentsOf: file(path))) == content)
            let folder = file("user_1/notes/ab").path(percentEncoded: false)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["cdef"], "and nothing else")
            #expect(try await rows(node) == 0)
            #expect(try await served("abcdef", to: ada, node) == content)
            let item = try await node.readModel.snapshot { try $0.item("a", of: $0.access(to: notes, by: ada), .auto) }
            #expect(item?.revision.chunks.map(\.content) == [.bytes(content)])
        }
    }

    @Test("and contents in the table live together, whatever the setting is by then", arguments: Engine.all)
    func both(engine: Engine) async throws {
        try await engine.place { place in
            try await place.node(chunks: .files).running { node in _ = try await given(node) }
            let ada = UserID(rawValue: 1)
            for setting in [ChunkStore.Place.database, .files] {
                try await place.node(chunks: setting).running { node in
                    try await node.commit(
                        OfferedItem("a", RevisionUID("to-\(setting)"), chunks: "abcdef", ChunkUID("other-\(setting)")), by: ada)
                    let item = try await node.readModel.snapshot { try $0.item("a", of: $0.access(to: notes, by: ada), .auto) }
                    #expect(item?.revision.chunks.map(\.content) == [.bytes(content), .bytes(content)])
                    #expect(try await rows(node) == 1, "only the chunk that came in between")
                }
            }
        }
    }

    @Test("under uids that are no names for files go into the table", arguments: Engine.all)
    func unsafeNames(engine: Engine) async throws {
        try await node(engine) { node, file in
            let ada = try await node.user("ada")
            for (number, uid) in (["../../../../escaped", "..", ".", "notes/ab", "a b", "é"] as [CollectionUID]).enumerated() {
                _ = try await node.committer.commit(
                    node.submission(creating: uid, by: ada, revision: RevisionUID("main-\(number)")))
                let item = OfferedItem("item", RevisionUID("item-\(number)"), chunks: "abcdef", "xy")
                try await node.commit(CommitItems([item], to: uid, by: ada))
                #expect(try await served("abcdef", of: uid, to: ada, node) == content)
            }
            #expect(try await rows(node) == 12)
            try await node.create(notes, by: ada)
            for uid in ["../x", "..", "a/b", String(repeating: "x", count: 61)] {
                await #expect(throws: Refusal.self) {
                    try await node.commit(OfferedItem("b", "b-1", chunks: ChunkUID(uid)), by: ada)
                }
            }
            try await node.commit(OfferedItem("b", "b-2", chunks: "xy"), by: ada)
            #expect(try await served("xy", to: ada, node) == content, "there would be no name left for the file")
            #expect(!FileManager.default.fileExists(atPath: file("").path(percentEncoded: false)), "there is no file, not even a folder")
        }
    }

    @Test("never take the place of another content that a failed append has left", arguments: Engine.all)
    func leftOver(engine: Engine) async throws {
        try await node(engine) { node, file in
            let ada = try await given(node)
            let other = file("user_1/notes/ab/other")
            try Data([9]).write(to: other)
            try Data(content).write(to: file("user_1/notes/ab/same"))
            try await node.commit(OfferedItem("a", "a-2", chunks: "abother", "absame"), by: ada)
            #expect(try [UInt8](Data(contentsOf: other)) == [9])
            #expect(try await rows(node) == 1)
            for chunk in ["abother", "absame"] as [ChunkUID] { #expect(try await served(chunk, to: ada, node) == content) }
            #expect(try await faults(node) == [])
        }
    }

    @Test("are not written for a command that is refused", arguments: Engine.all)
    func refused(engine: Engine) async throws {
        try await node(engine) { node, file in
            _ = try await given(node)
            let eve = try await node.user("eve")
            await #expect(throws: Refusal.self) { try await node.commit(OfferedItem("b", "b-1", chunks: "abrefused"), by: eve) }
            #expect(!FileManager.default.fileExists(atPath: file("user_1/notes/ab/refused").path(percentEncoded: false)))
        }
    }

    @Test("that cannot be written are a fault, and nothing is appended", arguments: Engine.all)
    func cannotBeWritten(engine: Engine) async throws {
        try await node(engine) { node, file in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            let before = try await node.tables()
            // A file where a folder has to be.
            try Data().write(to: file(""))
            let fault = await #expect(throws: DatabaseFault.self) {
                try await node.commit(OfferedItem("a", "a-1", chunks: "abcdef"), by: ada)
            }
            #expect(fault.map { "\($0.kind)" } == "unavailable")
            #expect(try await node.tables() == before)
        }
    }

    @Test("that are missing are a fault when they are asked for, and both that and another content are found", arguments: Engine.all)
    func damage(engine: Engine) async throws {
        try await node(engine) { node, file in
            let ada = try await given(node)
            #expect(try await faults(node) == [])
            try Data([3, 5]).write(to: file(path))
            #expect(try await faults(node) == ["chunks: the content of abcdef of collection notes was changed (file user_1/notes/ab/cdef)"])
            try FileManager.default.removeItem(at: file(path))
            #expect(try await faults(node) == ["chunks: the content of abcdef of collection notes is missing (file user_1/notes/ab/cdef)"])
            let fault = await #expect(throws: DatabaseFault.self) { _ = try await served("abcdef", to: ada, node) }
            #expect(fault.map { "\($0.kind)" } == "corrupt")
        }
    }

    @Test("are not looked for outside of the folder, whatever the table says", arguments: Engine.all)
    func outside(engine: Engine) async throws {
        try await node(engine) { node, file in
            let ada = try await given(node)
            try Data(content).write(to: file("../secret"))
            for path in ["../secret", "/etc/hostname", "user_1/../../secret", ""] {
                try await node.meddle("UPDATE django_etebase_collectionitemchunk SET \"chunkFile\" = '\(path)'")
                await #expect(throws: DatabaseFault.self) { _ = try await served("abcdef", to: ada, node) }
            }
        }
    }
}
