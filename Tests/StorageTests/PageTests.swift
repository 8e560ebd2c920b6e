import Contents
import Database
import Domain
import EventLog
import ReadModel
import TestSupport
import Testing

@Suite("Pages that are bounded in bytes") struct PageTests {
    /// Stores chunks of 1,000 bytes, each of another one, and items that name them.
    private func add(
        _ item: ItemUID, _ chunks: [ChunkUID], storing stored: [ChunkUID], inFiles: Bool = false, meta: [UInt8] = [1], by user: UserID,
        _ node: Node
    ) async throws {
        let contents = Dictionary(uniqueKeysWithValues: (inFiles ? [] : stored).map { ($0, Self.bytes($0)) })
        let writes = Array(try await node.chunks.table.put(contents, of: notes, ownedBy: user).values)
        let revision = Revision(
            uid: RevisionUID("\(item)-1"), meta: meta, isDeleted: false, chunks: chunks,
            stored: stored.map { StoredChunk(uid: $0, content: Self.bytes($0)) })
        let created = ItemCreated(collection: notes, item: item, version: 1, encryptionKey: nil, revision: revision)
        try await node.commit(Happenings([created]), by: user, writes: writes)
    }

    private static func bytes(_ chunk: ChunkUID) -> [UInt8] {
        (0..<1000).map { UInt8(truncatingIfNeeded: $0 + Int(chunk.rawValue.utf8.last ?? 0)) }
    }

    /// The node's read model with other bounds.
    private func readModel(_ node: Node, _ change: (inout ContentBounds) -> Void) async throws -> ReadModel {
        try await node.caughtUp()
        var bounds = ContentBounds()
        change(&bounds)
        return ReadModel(database: node.database, stokens: node.stokens, contents: node.chunks, progress: nil, bounds: bounds)
    }

    private func pages(_ readModel: ReadModel, by user: UserID) async throws -> [Page<ItemContent>] {
        try await readModel.snapshot { snapshot in
            let access = try snapshot.access(to: notes, by: user)
            var (pages, end): ([Page<ItemContent>], Position) = ([], .none)
            while pages.last?.isDone != true {
                let page = try snapshot.items(of: access, after: end, limit: 50, includesMain: false, .auto)
                end = page.elements.last?.changed ?? end
                pages.append(page)
            }
            return pages
        }
    }

    @Test("a page ends before it is too long, but has one element, and all pages have all of them", arguments: Engine.all)
    func cut(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            for number in 1...7 {
                try await add(ItemUID("i\(number)"), ["c\(number)"].map { ChunkUID($0) }, storing: [ChunkUID("c\(number)")], by: ada, node)
            }
            for (bytes, sizes) in [(2900, [2, 2, 2, 1]), (1, [1, 1, 1, 1, 1, 1, 1]), (1 << 20, [7])] {
                let found = try await pages(readModel(node) { $0.pageBytes = bytes }, by: ada)
                #expect(found.map(\.elements.count) == sizes)
                #expect(found.flatMap(\.elements).map(\.uid) == (1...7).map { "i\($0)" })
                #expect(
                    found.flatMap(\.elements).map(\.revision.chunks.first?.content)
                        == (1...7).map { .bytes(Self.bytes(ChunkUID("c\($0)"))) })
            }
            // The same of members, for those who listen, and for what was done.
            let ben = try await node.user("ben")
            let joined = MemberJoined(
                collection: notes, user: ben, level: .readOnly, encryptionKey: [5], collectionType: [7], invitation: nil, inviters: [])
            try await node.commit(Happenings([joined]), by: ada)
            for (bytes, sizes) in [(1, [1, 1]), (1 << 20, [2])] {
                let found = try await readModel(node) { $0.pageBytes = bytes }.snapshot { snapshot in
                    let access = try snapshot.access(to: notes, by: ada)
                    var (pages, end): ([Page<MemberContent>], Position) = ([], .none)
                    while pages.last?.isDone != true {
                        pages.append(try snapshot.members(of: access, after: end, limit: 50))
                        end = try #require(pages.last?.elements.last?.changed)
                    }
                    return pages
                }
                #expect(found.map(\.elements.count) == sizes && found.flatMap(\.elements).map(\.username) == ["ada", "ben"])
            }
            let model = try await readModel(node) { ($0.frameBytes, $0.pageBytes) = (2900, 1) }
            try await model.snapshot { snapshot in
                let access = try snapshot.access(to: notes, by: ada)
                let start = try #require(try snapshot.items(of: access, after: .none, limit: 1, includesMain: true, .medium).elements.first)
                for base in [Position.none, start.changed] {
                    var admitted = 0
                    let frame = try snapshot.changes(of: access, after: start.changed, knownAt: base, limit: 50) { admitted = $0 }
                    #expect(frame.elements.map(\.uid) == ["i1", "i2"] && !frame.isDone && (2000...6000).contains(admitted))
                }
                let audit = try snapshot.audit(of: notes, after: .none, limit: 50)
                #expect(audit.elements.count == 1 && !audit.isDone)
            }
        }
    }

    @Test(
        "contents of a long page stay where they lie until they are sent, whole or in parts", arguments: Engine.all,
        ContentPlace.tested)
    func stored(engine: Engine, place: ContentPlace) async throws {
        try await engine.place { location in
            try await location.node(chunks: place).running { node in
                let ada = try await node.user("ada")
                try await node.create(notes, by: ada)
                let meta = [UInt8](repeating: 7, count: 5000)
                if place == .files {
                    _ = try await node.chunks.files.put(["long-chunk": Self.bytes("long-chunk")], of: notes, ownedBy: ada)
                }
                try await add("a", ["long-chunk"], storing: ["long-chunk"], inFiles: place == .files, meta: meta, by: ada, node)
                let model = try await readModel(node) { $0.inlineBytes = 100 }
                let item = try #require(try await pages(model, by: ada).first?.elements.first)
                for (content, bytes) in [(item.revision.meta, meta), (item.revision.chunks.first?.content, Self.bytes("long-chunk"))] {
                    guard case .stored(let stored) = content else {
                        Issue.record("the content was read with the page")
                        continue
                    }
                    #expect(stored.count == bytes.count)
                    #expect(try await model.read([stored]) == [stored: bytes])
                    var (reading, pieces) = (model.reading(stored, pieceBytes: 200), [[UInt8]]())
                    while let piece = try await reading.next() { pieces.append(piece) }
                    #expect(pieces.flatMap(\.self) == bytes && pieces.dropLast().allSatisfy { $0.count == 200 })
                }
            }
        }
    }

    @Test("a chunk that is named again and again comes as often as fits into a page, then by its name", arguments: Engine.all)
    func repeated(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            try await add("a", [ChunkUID](repeating: "k", count: 50) + ["l"], storing: ["k", "l"], by: ada, node)
            let found = try await pages(readModel(node) { $0.pageBytes = 3500 }, by: ada)
            let chunks = try #require(found.first?.elements.first).revision.chunks
            #expect(found.count == 1 && chunks.map(\.uid) == [String](repeating: "k", count: 50) + ["l"])
            #expect(chunks.filter { $0.content != nil }.map(\.uid) == ["k", "k", "k", "l"], "each comes once at least")
            let model = try await readModel(node) { $0.frameItemBytes = 1500 }
            let frame = try await model.snapshot { snapshot in
                try snapshot.changes(of: snapshot.access(to: notes, by: ada), after: .none, knownAt: .none, limit: 50)
            }
            #expect(frame.elements.last?.revision.chunks.filter { $0.content != nil }.map(\.uid) == ["k"])
        }
    }

    @Test("a revision that names too many chunks comes alone, and lists them part by part", arguments: Engine.all)
    func unlisted(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            let many = (0..<25).map { ChunkUID($0.isMultiple(of: 3) ? "k" : "l") }
            try await add("a", ["k", "l"], storing: ["k", "l"], by: ada, node)
            try await add("b", many, storing: [], by: ada, node)
            try await add("c", ["k"], storing: [], by: ada, node)
            let model = try await readModel(node) { $0.mentions = 10 }
            let found = try await pages(model, by: ada)
            #expect(found.map { $0.elements.map(\.uid) } == [["a"], ["b"], ["c"]])
            let revision = try #require(found[1].elements.first).revision
            #expect(revision.unlistedChunks == 25 && revision.chunks.isEmpty)
            var (listed, last): ([String], Int64) = ([], 0)
            while true {
                let (chunks, end) = try await model.mentions(of: revision, after: last, .auto)
                guard !chunks.isEmpty else { break }
                #expect(chunks.count <= 10 && chunks.allSatisfy { $0.content?.count == 1000 })
                listed += chunks.map(\.uid)
                last = end
            }
            #expect(listed == many.map(\.rawValue))
            // Those who listen get it in one piece, as names.
            let frame = try await model.snapshot { snapshot in
                try snapshot.changes(
                    of: snapshot.access(to: notes, by: ada), after: found[0].elements[0].changed, knownAt: .none, limit: 50)
            }
            #expect(frame.elements.map(\.uid) == ["b"] && frame.elements[0].revision.chunks.map(\.uid) == listed)
        }
    }

    @Test("a list of invitations ends before it is too long, whatever keys there are", arguments: Engine.all)
    func invitations(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            let ben = try await node.user("ben")
            for number in 1...5 {
                let uid = CollectionUID("c\(number)")
                try await node.create(uid, by: ada)
                let command = SendInvitation(
                    collection: uid, author: ada, invitation: InvitationUID("i\(number)"), version: 1, invitee: ben, level: .readOnly,
                    signedEncryptionKey: .init(repeating: 1, count: 300))
                try await node.commit(command, by: ada)
            }
            try await node.meddle("UPDATE django_etebase_userinfo SET pubkey = X'\(String(repeating: "07", count: 6000))'")
            let model = try await readModel(node) { $0.pageBytes = 14_000 }
            let found = try await model.snapshot { snapshot in
                var (pages, last): ([[InvitationContent]], InvitationUID?) = ([], nil)
                while true {
                    let page = try snapshot.invitations(.incoming, of: ben, after: last, limit: 50)
                    pages.append(page.elements)
                    if page.isDone { return pages }
                    last = page.elements.last.map { InvitationUID($0.uid) }
                }
            }
            #expect(found.map { $0.map(\.uid) } == [["i1", "i2"], ["i3", "i4"], ["i5"]])
            #expect(
                found.joined().allSatisfy {
                    $0.fromPubkey.count == 6000 && $0.signedEncryptionKey == .bytes(.init(repeating: 1, count: 300))
                })
        }
    }
}
