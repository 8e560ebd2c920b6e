import Database
import Domain
import EventLog
import Projections
import Synchronization
import TestSupport
import Testing

@testable import ReadModel

@Suite("Following a collection by its stokens") struct FollowingTests {
    private final class Flag: Sendable {
        let isRaised = Mutex(false)
    }

    /// What a reader has been given.
    private struct Seen {
        var item: String
        var revision: RevisionUID
        var at: Position
    }

    @Test("readers see every change once and in order while 8 writers write", arguments: Engine.all)
    func follows(engine: Engine) async throws {
        try await engine.node { node in
            let ada = try await node.user("ada")
            try await node.create(notes, by: ada)
            let isOver = Flag()
            let readers = try await withThrowingTaskGroup(of: [Seen].self) { group in
                for _ in 0..<3 {
                    group.addTask { try await read(node, ada, until: isOver) }
                }
                try await withThrowingTaskGroup(of: Void.self) { writers in
                    for writer in 0..<8 {
                        writers.addTask {
                            for round in 0..<12 {
                                try await node.commit(
                                    OfferedItem(ItemUID("w\(writer)-\(round)"), RevisionUID("w\(writer)-\(round)")),
                                    OfferedItem(ItemUID("shared\(writer % 2)"), RevisionUID("shared-\(writer)-\(round)")), by: ada)
                            }
                        }
                    }
                    try await writers.waitForAll()
                }
                isOver.isRaised.withLock { $0 = true }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let log = try await node.expectSoundLog()
            let happened = Dictionary(uniqueKeysWithValues: zip(log.revisions, log.filter { !$0.isJoining }.map(\.position)))
            for seen in readers {
                #expect(seen.map(\.at) == seen.map(\.at).sorted() && Set(seen.map(\.at)).count == seen.count)
                #expect(seen.allSatisfy { happened[$0.revision] == $0.at }, "each change at the position where it happened")
                #expect(Set(seen.map(\.revision)).count == seen.count, "no change twice")
                // Whatever was not revised again was seen; so was the last state of the rest.
                let last = Dictionary(log.items.map { ($0.item, $0.revision) }) { $1 }
                #expect(Set(last.values).isSubset(of: Set(seen.map(\.revision))))
            }
        }
    }

    @Test("a reader that waits does so for what it saw first, however much comes meanwhile") func firstLook() {
        let (notes, ada) = (FirstLook.Subject.stream(.collection(notes)), FirstLook.Subject.stream(.user(UserID(rawValue: 1))))
        let first = FirstLook()
        var head: Int64 = 7
        func look(_ subjects: FirstLook.Subject...) -> Int64 { first.position(of: subjects) { Position(rawValue: head) }.rawValue }
        #expect(look(notes) == 7)
        head = 9
        #expect(look(notes) == 7)
        #expect(look(notes, ada) == 9, "what is asked about for the first time is looked up")
        head = 12
        #expect(look(notes, ada) == 9)
        #expect(look(notes) == 7)
        #expect(look(.all) == 12)
    }

    @Test(
        "a read ends once the tables have what it saw first, though there is more by then",
        arguments: Engine.projectingLater)
    func endsWithFirstLook(engine: Engine) async throws {
        try await engine.place { place in
            // Nothing is projected but what is projected here.
            var node = try await place.node()
            node.projector = nil
            try await node.running { node in
                let ada = try await node.user("ada")
                try await node.create(notes, by: ada)
                let known = try await node.log()
                let isWaiting = Flag()
                let reader = Task {
                    try await node.readModel.snapshot { snapshot in
                        defer { isWaiting.isRaised.withLock { $0 = true } }
                        try snapshot.require([.collection(notes)])
                        return try snapshot.position()
                    }
                }
                while !isWaiting.isRaised.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(1)) }
                try await node.commit(OfferedItem("a", "a-1"), by: ada)
                try await node.database.write { try node.projection.apply(known, $0) }
                #expect(try await reader.value == known.last?.position)
                // Who asks now waits for what there is now.
                await #expect(throws: Behind.self) {
                    try await node.database.read { connection in
                        let snapshot = Snapshot(
                            connection: connection, stokens: node.stokens, contents: node.chunks, bounds: ContentBounds(),
                            log: .beside(FirstLook()))
                        try snapshot.require([.collection(notes)])
                    }
                }
            }
        }
    }

    private func read(_ node: Node, _ user: UserID, until isOver: Flag) async throws -> [Seen] {
        var seen: [Seen] = []
        var stoken: String?
        while true {
            let wasOver = isOver.isRaised.withLock { $0 }
            let changed = try await node.database.read { try EventLog.heads(of: [.collection(notes)], $0) }
            let page = try await node.readModel.snapshot { [stoken] snapshot in
                let start = try stoken.map { try #require(try snapshot.position(ofStoken: $0)) } ?? .none
                let page = try snapshot.items(
                    of: snapshot.access(to: notes, by: user), after: start, limit: 3, includesMain: true, .auto)
                #expect(try snapshot.position() >= changed, "all that had happened to the collection when it was asked is in the answer")
                return page
            }
            seen += page.elements.map { Seen(item: $0.uid, revision: RevisionUID($0.revision.uid), at: $0.changed) }
            if let last = page.elements.last {
                stoken = try await node.readModel.snapshot { snapshot in try snapshot.stoken(at: last.changed) }
            }
            if wasOver, page.isDone { return seen }
        }
    }
}

extension RecordedEvent {
    fileprivate var isJoining: Bool { event.made == nil }
}

extension [RecordedEvent] {
    fileprivate var items: [(item: String, revision: RevisionUID)] {
        compactMap { record in record.event.made.map { ($0.item.rawValue, $0.revision.uid) } }
    }
}
