import Contents
import Database
import Domain
import EventLog
import ReadModel
import TestSupport

let notes = CollectionUID("notes")
let keys = UserKeys(salt: [1], loginPubkey: [2], pubkey: [3], encryptedContent: [4])
/// Of every chunk.
let content: [UInt8] = [3, 4]
let noon = Timestamp(rawValue: 1_700_000_000_000_000)
let sealKey = SealKey(secret: [1, 2, 3])

/// What no command comes to, or not any more: events as older logs and adopted databases have them.
struct Happenings: Command {
    let needs: CollectionNeeds
    let events: [any CollectionEvent]

    init(_ events: [any CollectionEvent] = [], in uid: CollectionUID = notes) {
        needs = CollectionNeeds(uid)
        self.events = events
    }

    func decide(_ state: CollectionState) -> [Decided<CollectionState>] { events.map { state.decided($0) } }
}

extension Node {
    var door: Door { Door(readModel: readModel, committer: committer, chunks: chunks) }

    /// A command of a user on a collection, prepared just now, as it waits with others.
    ///
    /// - Parameter contents: chunks that come along, besides those that the command needs to know of.
    func submission<C: Command>(
        _ command: C, by user: UserID, contents: [ChunkUID: [UInt8]] = [:], bytes: Int = 0, writes: [Write] = []
    ) async throws -> Submission where C.Needs == CollectionNeeds {
        let prepared = try await readModel.snapshot { try $0.prepare(command) }
        let named = Dictionary(command.needs.chunks.map { ($0, content) }) { first, _ in first }
        let placed = try await PlacedContents(
            named.merging(contents) { $1 }, in: chunks, for: command, on: prepared.state, by: user)
        return prepared.submission(by: Actor(user: user, session: "s1", address: "::1"), at: noon, bytes: bytes) { events in
            placed.writes(for: events) + (events.isEmpty ? [] : writes)
        }
    }

    func submission(_ command: CommitItems) async throws -> Submission { try await submission(command, by: command.author) }

    func submission(creating uid: CollectionUID, by user: UserID, revision: RevisionUID? = nil, type: [UInt8]? = nil) async throws
        -> Submission
    {
        let item = OfferedItem(ItemUID(uid.rawValue), revision ?? RevisionUID("\(uid)-1"))
        return try await submission(
            CreateCollection(
                author: user, item: item, collectionType: type ?? Array("type of \(user.rawValue)".utf8), collectionKey: [5]), by: user)
    }

    /// A command of the operator's about an account, prepared just now.
    func submission<C: Command>(_ command: C) async throws -> Submission where C.Needs == AccountNeeds {
        try await readModel.snapshot { try $0.prepare(command) }.submission(by: .operator, at: noon)
    }

    @discardableResult
    func commit<C: Command>(
        _ command: C, by user: UserID, contents: [ChunkUID: [UInt8]] = [:], writes: [Write] = []
    ) async throws -> [RecordedEvent] where C.Needs == CollectionNeeds {
        try await committer.commit(submission(command, by: user, contents: contents, writes: writes))
    }

    @discardableResult
    func commit(_ command: CommitItems) async throws -> [RecordedEvent] { try await commit(command, by: command.author) }

    /// Carries out a command of the operator's about an account.
    @discardableResult
    func commit<C: Command>(_ command: C) async throws -> [RecordedEvent] where C.Needs == AccountNeeds {
        try await door.commit(command, by: .operator, at: noon)
    }

    /// Commits items, whatever their etags.
    @discardableResult
    func commit(_ items: OfferedItem..., to uid: CollectionUID = notes, by user: UserID) async throws -> [RecordedEvent] {
        try await commit(CommitItems(items, to: uid, by: user))
    }

    /// Makes earlier revisions current again, whatever is current.
    @discardableResult
    func restore(_ revisions: [ItemUID: RevisionUID], in uid: CollectionUID = notes) async throws -> [RecordedEvent] {
        try await restore(in: uid) { snapshot in
            let etags = try snapshot.state(CollectionNeeds(uid, items: Array(revisions.keys))).etags
            return revisions.sorted { $0.key.rawValue < $1.key.rawValue }.map {
                .init(item: $0.key, revision: $0.value, replaced: etags[$0.key] ?? "none")
            }
        }
    }

    /// Does away with the revisions that a policy does not keep, as the operator does.
    @discardableResult
    func prune(_ uid: CollectionUID = notes, keeping policy: RetentionPolicy) async throws -> [RecordedEvent] {
        let prepared = try await readModel.snapshot { snapshot in
            let old = try snapshot.history(of: uid).revisions(notKeptBy: policy)
            return try snapshot.prepare(try snapshot.pruning(of: old, in: uid).command)
        }
        return try await door.commit(prepared, by: .operator, at: noon, key: sealKey)
    }

    /// Erases a user, as the operator does.
    @discardableResult
    func erase(_ name: String) async throws -> [RecordedEvent] {
        let prepared = try await readModel.snapshot { try $0.prepare(EraseUser(username: name)) }
        return try await door.commit(prepared, by: .operator, at: noon, key: sealKey)
    }

    /// Empties an account, as the operator does.
    @discardableResult
    func reset(_ name: String) async throws -> [RecordedEvent] {
        try await door.commit(ResetAccount(username: name), by: .operator, at: noon)
    }

    /// Makes what is chosen current again, as the operator does.
    @discardableResult
    func restore(
        in uid: CollectionUID = notes, _ choose: @escaping @Sendable (Snapshot) throws -> [RestoreItems.Restoration]
    ) async throws -> [RecordedEvent] {
        try await door.commit(by: .operator, at: noon) { RestoreItems(collection: uid, restorations: try choose($0)) }
    }

    @discardableResult
    func create(_ uid: CollectionUID, by user: UserID) async throws -> [RecordedEvent] {
        try await committer.commit(submission(creating: uid, by: user))
    }

    /// A collection under a uid that the rules do not take any more, as older logs and adopted databases have them.
    @discardableResult
    func adoptCollection(_ uid: CollectionUID, by user: UserID) async throws -> [RecordedEvent] {
        let created = CollectionCreated(
            collection: uid, owner: user, version: 1,
            revision: Revision(uid: RevisionUID("\(uid)-1"), meta: [1, 2], isDeleted: false, chunks: [], stored: []))
        let joined = MemberJoined(
            collection: uid, user: user, level: .admin, encryptionKey: [5], collectionType: Array("type of \(user.rawValue)".utf8),
            invitation: nil, inviters: [])
        return try await commit(Happenings([created, joined], in: uid), by: user)
    }

    /// Stores a chunk, whatever its uid.
    func store(_ chunk: ChunkUID, _ content: [UInt8], in uid: CollectionUID, by user: UserID) async throws {
        let stored = ChunkStored(collection: uid, chunk: StoredChunk(uid: chunk, content: content))
        try await commit(Happenings([stored], in: uid), by: user, contents: [chunk: content])
    }

    /// Makes an account.
    func user(_ name: String, keys: UserKeys? = keys) async throws -> UserID {
        let records = try await commit(CreateUser(username: name, email: "", keys: keys, passwordSalt: "salt", mayCreate: true))
        return UserID(rawValue: records.last?.position.rawValue ?? 0)
    }

    /// Commits submissions as one group: they all queue before the committer gets its turn.
    func commit(group: [Submission]) async -> [Result<[RecordedEvent], any Error>] {
        var answers: [Result<[RecordedEvent], any Error>] = []
        for task in await queue(group, on: committer) { answers.append(await task.result) }
        return answers
    }

    private func queue(_ group: [Submission], on committer: isolated Committer) -> [Task<[RecordedEvent], any Error>] {
        group.map { submission in Task { try await committer.commit(submission) } }
    }

    /// Asks the read model about everything that has happened so far.
    func snapshot<T: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> T) async throws -> T {
        try await caughtUp()
        return try await readModel.snapshot(.large, body)
    }

    /// Every event of the log.
    func log() async throws -> [RecordedEvent] {
        try await database.read { connection in try EventLog.events(after: .none, limit: .max, connection) }
    }

    /// Every row of the tables that `isWanted`, with all columns but those that say which projector is active.
    func tables(where isWanted: @escaping @Sendable (String) -> Bool = { _ in true }) async throws -> [String: [String]] {
        try await caughtUp()
        return try await database.read { connection in
            var tables: [String: [String]] = [:]
            for name in try connection.query(.tableNames, [], { $0.text(0) }).filter(isWanted) {
                let columns = try connection.query(.columns, [.text(name)]) { (name: $0.text(0), isBytes: $0.flag(1)) }
                let kept = columns.filter { !["holder", "fence", "lease_until"].contains($0.name) }
                tables[name] = try connection.query(.rows(of: name, kept), []) { $0.text(0) }
            }
            return tables
        }
    }

    /// Runs a statement behind the server's back, once everything is projected.
    func meddle(_ sql: String) async throws {
        try await caughtUp()
        try await database.write { connection in _ = try connection.execute(.meddling(sql), []) }
    }
}

extension OfferedItem {
    /// A new revision of an item; of each chunk the content comes with it.
    init(_ uid: ItemUID, _ revision: RevisionUID, isDeleted: Bool = false, chunks: ChunkUID...) {
        self.init(
            uid: uid, version: 1, encryptionKey: nil, etag: nil,
            revision: OfferedRevision(
                uid: revision, meta: [1, 2], isDeleted: isDeleted,
                chunks: chunks.map { OfferedChunk(uid: $0, content: StoredChunk(uid: $0, content: content)) }))
    }
}

extension CommitItems {
    /// Whatever the etags.
    init(_ items: [OfferedItem], to uid: CollectionUID = notes, by user: UserID, checksEtags: Bool = false) {
        self.init(collection: uid, author: user, items: items, dependencies: [], stoken: .any, checksEtags: checksEtags)
    }
}
