import Contents
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
        switch found {
        case .bytes(let bytes): return bytes
        case .stored(let stored): return try await node.readModel.read([stored])[stored]
        case nil: return nil
        }
    }

    /// The contents of an item's chunks.
    private func contents(of item: ItemUID, to user: UserID, _ node: Node) async throws -> [Content?] {
        let item = try await node.readModel.snapshot { try $0.item(item, of: $0.access(to: notes, by: user), .auto) }
        return try await node.readModel.completed([item].compactMap(\.self)).flatMap { $0.revision.chunks.map(\.content) }
    }

    /// The files that there are, by their paths.
    private func files(_ node: Node) async throws -> [String] {
        var paths: [String] = []
        try await node.chunks.files.list(of: nil, before: .always.upperBound) { page in
            for case .path(let path) in page.map(\.key) { paths.append(path.rawValue) }
        }
        return paths
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
            #expect(try await contents(of: "a", to: ada, node) == [.bytes(content)])
        }
    }

    @Test("and contents in the table live together, whatever the setting is by then", arguments: Engine.all)
    func both(engine: Engine) async throws {
        try await engine.place { place in
            try await place.node(chunks: .files).running { node in _ = try await given(node) }
            let ada = UserID(rawValue: 1)
            for setting in [ContentPlace.database, .files] {
                try await place.node(chunks: setting).running { node in
                    try await node.commit(
                        OfferedItem("a", RevisionUID("to-\(setting)"), chunks: "abcdef", ChunkUID("other-\(setting)")), by: ada)
                    #expect(try await contents(of: "a", to: ada, node) == [.bytes(content), .bytes(content)])
                    #expect(try await rows(node) == 1, "only the chunk that came in between")
                }
            }
        }
    }

    /// Uids as an adopted database may have them: no names of files, or alike but for their bytes.
    private static let odd: [CollectionUID] = [
        "../../../../escaped", "..", ".", "../user_1/notes", "notes/ab", "a b", "\u{e9}", "e\u{301}", "~", "n%41;b?c#d", "A", "A/bb",
    ]

    @Test("under uids that are no names for files lie below the folder, each in a place of its own", arguments: Engine.all)
    func unsafeNames(engine: Engine) async throws {
        try await node(engine) { node, file in
            let ada = try await given(node)
            for uid in Self.odd {
                try await node.adoptCollection(uid, by: ada)
                let contents: [[UInt8]] = [1, 2, 3].map { Array(uid.rawValue.utf8) + [$0] }
                for (chunk, content) in zip(["abcdef", "xy", "z"] as [ChunkUID], contents) {
                    try await node.store(chunk, content, in: uid, by: ada)
                }
                for (chunk, content) in zip(["abcdef", "xy", "z"] as [ChunkUID], contents) {
                    #expect(try await served(chunk, of: uid, to: ada, node) == content)
                }
            }
            for uid in ["../x", "..", "a/b", String(repeating: "x", count: 61)] {
                await #expect(throws: Refusal.self) {
                    try await node.commit(OfferedItem("b", "b-1", chunks: ChunkUID(uid)), by: ada)
                }
            }
            #expect(try await rows(node) == 0, "all are in files")
            #expect(try await served("abcdef", to: ada, node) == content, "what others have is what it was")
            #expect(try await files(node).count == 1 + Self.odd.count * 3)
            #expect(try await faults(node) == [])
        }
    }

    @Test("have paths that no two contents share, that stay below the folder, and that fit into the table's column")
    func paths() {
        let names =
            Self.odd.map(\.rawValue) + ["", "\0", "notes", "Notes", String(repeating: "x", count: 43), String(repeating: "x", count: 60)]
        let chunks =
            names + ["ab", "abc", "a", "~/x", ".new-abc", String(repeating: "x", count: 61), String(repeating: "\u{e9}", count: 200)]
        var seen: Set<ChunkPath> = []
        for owner in [UserID(rawValue: 1), UserID(rawValue: .max)] {
            for collection in names {
                for chunk in chunks {
                    let path = ChunkPath(of: ChunkUID(chunk), in: CollectionUID(collection), ownedBy: owner)
                    #expect(seen.insert(path).inserted, "\(collection) \(chunk)")
                    #expect(ChunkPath(row: path.text) == path)
                    #expect(path.text.utf8.count <= 150)
                    #expect(path.text.split(separator: "/").count == 4 && path.text.utf8.allSatisfy { (0x21...0x7e).contains($0) })
                }
            }
        }
        #expect(ChunkPath(of: "Abc", in: "x", ownedBy: UserID(rawValue: 7)).text == "user_7/x/Ab/c")
        for text in ["", "/", "/a", "a/", "a//b", "a/./b", "a/..", "../a", "..", ".", "a\0b", String(repeating: "x", count: 256)] {
            #expect(ChunkPath(row: text) == nil)
        }
        #expect(ChunkPath(row: "e\u{301}") != ChunkPath(row: "\u{e9}"))
    }

    @Test("are removed as files only, and never by a row's word that leaves the folder", arguments: Engine.all)
    func removals(engine: Engine) async throws {
        try await node(engine) { node, file in
            let ada = try await given(node)
            try Data(content).write(to: file("../secret"))
            for row in ["user_1", "user_1/notes", "user_1/notes/ab", "../secret", "user_1/../../secret", "", "/etc/hostname", "nothing"] {
                #expect(try !node.chunks.files.remove(row, before: .always.upperBound), "\(row)")
            }
            #expect(try [UInt8](Data(contentsOf: file("../secret"))) == content)
            #expect(try await served("abcdef", to: ada, node) == content)
            #expect(try node.chunks.files.remove(path, before: .always.upperBound))
        }
    }

    @Test("go into the table where something else is in the way", arguments: Engine.all)
    func obstructed(engine: Engine) async throws {
        try await node(engine) { node, file in
            let ada = try await given(node)
            try Data([9]).write(to: file("user_1/notes/xy"))
            try FileManager.default.createDirectory(at: file("user_1/notes/zz/folder/inner"), withIntermediateDirectories: true)
            try await node.commit(OfferedItem("a", "a-2", chunks: "xyz", "zzfolder", "zzother"), by: ada)
            #expect(try await rows(node) == 2)
            for chunk in ["xyz", "zzfolder", "zzother"] as [ChunkUID] { #expect(try await served(chunk, to: ada, node) == content) }
            #expect(try await faults(node) == [])
        }
    }

    @Test("are no waste while any row names them, however it writes that", arguments: Engine.all)
    func named(engine: Engine) async throws {
        try await node(engine) { node, file in
            _ = try await given(node)
            try await node.caughtUp()
            let names = ["user_1/notes/ab/cdef", "user_1//notes/ab/cdef", "./user_1/notes/ab/cdef", "user_1/x/../notes/ab/cdef"]
            let waste = Waste(database: node.database, chunks: node.chunks) { _ in try await node.caughtUp() }
            for name in names {
                try await node.meddle("UPDATE django_etebase_collectionitemchunk SET \"chunkFile\" = '\(name)'")
                #expect(try await waste.run(before: .always.upperBound, removes: true).files == [])
            }
            try Data(content).write(to: file("user_1/notes/ab/.new-named"))
            try await node.meddle("UPDATE django_etebase_collectionitemchunk SET \"chunkFile\" = 'user_1/notes/ab/.new-named'")
            #expect(try await waste.run(before: .always.upperBound, removes: true).files == [path])
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

    /// What the system notes of every change to a file's name or age.
    private func changed(_ file: URL) throws -> [Int] {
        var status = stat()
        try #require(unsafe stat(file.path(percentEncoded: false), &status) == 0)
        return [Int(status.st_ino), status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
    }

    @Test("that were touched since are left alone, and have their names at every moment")
    func leftAlone() async throws {
        try await node(.sqlite) { node, file in
            _ = try await given(node)
            let before = try changed(file(path))
            let anHourAgo = Timestamp(rawValue: Int64(Date().timeIntervalSince1970 - 3600) * 1_000_000)
            #expect(try !node.chunks.files.remove(path, before: anHourAgo))
            #expect(try changed(file(path)) == before, "nothing was done to its name, however the process may end")
            #expect(try node.chunks.files.remove(path, before: .always.upperBound))
            #expect(try !node.chunks.files.remove(path, before: .always.upperBound), "it is gone")
        }
    }

    @Test("are there when a writer says so, whoever takes the file that it comes upon for waste")
    func takenForWaste() async throws {
        try await node(.sqlite) { node, file in
            _ = try await given(node)
            let owner = UserID(rawValue: 1)
            let anHourAgo = Date(timeIntervalSinceNow: -3600)
            let before = Timestamp(rawValue: Int64(anHourAgo.timeIntervalSince1970 + 1) * 1_000_000)
            for _ in 0..<200 {
                // An old file, which one finds for its content while another removes it.
                try FileManager.default.setAttributes(
                    [.modificationDate: anHourAgo], ofItemAtPath: file(path).path(percentEncoded: false))
                async let removed = node.chunks.files.remove(path, before: before)
                let missing = try await node.chunks.files.put(["abcdef": content], of: notes, ownedBy: owner)
                _ = try await removed
                try #require(missing.isEmpty)
                try #require(try node.chunks.files.read(path) == content)
            }
        }
    }

    @Test("of an erased user that an interrupted erasure has left go with the next, and nobody else's", arguments: Engine.all)
    func interruptedErasure(engine: Engine) async throws {
        try await node(engine) { node, file in
            _ = try await given(node)
            let ben = try await node.user("ben")
            try await node.create("other", by: ben)
            try await node.commit(OfferedItem("b", "b-1", chunks: "abcdef"), to: "other", by: ben)
            // What a writer has left that ended before it was done.
            try Data(content).write(to: file("user_1/notes/ab/.new-abcdef"))
            let waste = Waste(database: node.database, chunks: node.chunks) { _ in try await node.caughtUp() }
            #expect(try await waste.finishErasures().files == [], "nobody is erased")
            // The operator's process ends when the erasure is in the log.
            try await node.erase("ada")
            try await node.caughtUp()
            #expect(FileManager.default.fileExists(atPath: file(path).path(percentEncoded: false)))
            #expect(try await waste.finishErasures().files.sorted() == ["user_1/notes/ab/.new-abcdef", path])
            #expect(try await files(node) == ["user_\(ben.rawValue)/other/ab/cdef"])
            #expect(try await waste.finishErasures().files == [])
        }
    }

    @Test("of what is nobody's, that come with a command of nobody's, go into the table", arguments: Engine.all)
    func nobodys(engine: Engine) async throws {
        try await node(engine) { node, _ in
            let stored = ChunkStored(collection: notes, chunk: StoredChunk(uid: "abcdef", bytes: 1, digest: []))
            let placed = try await PlacedContents(
                ["abcdef": [7]], in: node.chunks, for: Happenings([stored]), on: CollectionState(uid: notes), by: nil)
            try await node.database.write { connection in
                for write in placed.writes(for: [.chunkStored(stored)]) { try connection.enqueue(write.statement, rows: [write.row]) }
            }
            #expect(try await rows(node) == 1)
            #expect(try await files(node) == [])
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

    @Test("are another program's to send only where they lie in the folder", arguments: Engine.all)
    func sent(engine: Engine) async throws {
        try await node(engine) { node, file in
            _ = try await given(node)
            let sent = try #require(node.chunks.files.sent(path))
            #expect(sent.relativePath == path && sent.path == file(path).path(percentEncoded: false))
            try Data(content).write(to: file("../secret"))
            for path in ["../secret", "user_1/../../secret", "/etc/hostname", "", "user_1", "user_1/notes/ab/none"] {
                #expect(node.chunks.files.sent(path)?.path == nil, "\(path)")
            }
            try FileManager.default.createSymbolicLink(at: file("linked"), withDestinationURL: file("../secret"))
            try FileManager.default.createSymbolicLink(at: file("within"), withDestinationURL: file(path))
            #expect(node.chunks.files.sent("linked")?.path == nil)
            #expect(node.chunks.files.sent("within")?.path != nil)
        }
    }
}
