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

extension Node {
    /// What a front end submits: a decision on the state that it read just now.
    func submission(
        to uid: CollectionUID, by user: UserID, items: [ItemUID] = [], chunks: [ChunkUID] = [], claims: [Claim] = [],
        offered: [OfferedItem] = [], bytes: Int = 0, writes: [Write] = [],
        _ decision: @escaping @Sendable (CollectionState) throws(Refusal) -> [Event]
    ) async throws -> Submission {
        let (state, head) = try await readModel.snapshot { snapshot in
            (
                try snapshot.state(of: uid, items: items, chunks: chunks, claims: claims, offered: offered), try snapshot.logHead()
            )
        }
        let contents = Dictionary(chunks.map { ($0, content) }) { first, _ in first }
        let placed = try await PlacedContents(contents, in: self.chunks, on: state, by: user, decision)
        return Submission(
            on: state, asOf: head, streams: [.collection(uid), .user(user)], by: Actor(user: user, session: "s1", address: "::1"),
            at: noon, bytes: bytes, decision: decision,
            writes: { events in placed.writes(for: events) + (events.isEmpty ? [] : writes) })
    }

    func submission(_ command: CommitItems) async throws -> Submission {
        try await submission(
            to: command.collection, by: command.author, items: command.items.map(\.uid) + command.dependencies.map(\.item),
            chunks: command.items.flatMap { $0.revision.chunks.map(\.uid) }, claims: command.items.map { .revision($0.revision.uid) },
            offered: command.checksEtags ? [] : command.items
        ) { state throws(Refusal) in try decide(command, state) }
    }

    func submission(creating uid: CollectionUID, by user: UserID, revision: RevisionUID? = nil, type: [UInt8]? = nil) async throws
        -> Submission
    {
        let item = OfferedItem(ItemUID(uid.rawValue), revision ?? RevisionUID("\(uid)-1"))
        let command = CreateCollection(
            author: user, item: item, collectionType: type ?? Array("type of \(user.rawValue)".utf8), collectionKey: [5])
        return try await submission(to: uid, by: user) { state throws(Refusal) in try decide(command, state) }
    }

    @discardableResult
    func commit(_ command: CommitItems) async throws -> [RecordedEvent] { try await committer.commit(submission(command)) }

    /// Commits items, whatever their etags.
    @discardableResult
    func commit(_ items: OfferedItem..., to uid: CollectionUID = notes, by user: UserID) async throws -> [RecordedEvent] {
        try await commit(CommitItems(items, to: uid, by: user))
    }

    /// Makes earlier revisions current again, whatever is current.
    @discardableResult
    func restore(_ revisions: [ItemUID: RevisionUID], in uid: CollectionUID = notes) async throws -> [RecordedEvent] {
        try await restore(in: uid) { snapshot in
            let etags = try snapshot.state(of: uid, items: Array(revisions.keys)).etags
            return revisions.sorted { $0.key.rawValue < $1.key.rawValue }.map {
                .init(item: $0.key, revision: $0.value, replaced: etags[$0.key] ?? "none")
            }
        }
    }

    /// Does away with the revisions that a policy does not keep, as the operator does.
    @discardableResult
    func prune(_ uid: CollectionUID = notes, keeping policy: RetentionPolicy) async throws -> [RecordedEvent] {
        let (pruning, head) = try await readModel.snapshot { snapshot in
            (try snapshot.pruning(of: snapshot.history(of: uid).revisions(notKeptBy: policy), in: uid), try snapshot.logHead())
        }
        return try await appender.prune(
            pruning.revisions, chunks: pruning.chunks, on: pruning.state, asOf: head, at: noon, key: sealKey
        ) { try TableContents.delete($0, of: pruning.state.uid, $1) }
    }

    /// Erases a user, as the operator does.
    @discardableResult
    func erase(_ name: String) async throws -> [RecordedEvent] {
        let (found, head) = try await readModel.snapshot { (try $0.erasure(named: CanonicalName(name)), try $0.logHead()) }
        return try await appender.erase(found.state, asOf: head, at: noon, key: sealKey)
    }

    /// Makes what is chosen current again, as the operator does.
    @discardableResult
    func restore(
        in uid: CollectionUID = notes, _ choose: @escaping @Sendable (Snapshot) throws -> [RestoreItems.Restoration]
    ) async throws -> [RecordedEvent] {
        let (command, state, head) = try await readModel.snapshot { snapshot in
            let command = RestoreItems(collection: uid, restorations: try choose(snapshot))
            let state = try snapshot.state(
                of: uid, items: command.restorations.map(\.item), revisions: command.restorations.map(\.revision))
            return (command, state, try snapshot.logHead())
        }
        return try await committer.commit(
            Submission(on: state, asOf: head, streams: [.collection(uid)], by: .operator, at: noon) { state throws(Refusal) in
                try decide(command, state)
            })
    }

    @discardableResult
    func create(_ uid: CollectionUID, by user: UserID) async throws -> [RecordedEvent] {
        try await committer.commit(submission(creating: uid, by: user))
    }

    @discardableResult
    func submit(
        to uid: CollectionUID = notes, by user: UserID, chunks: [ChunkUID] = [], writes: [Write] = [],
        _ decision: @escaping @Sendable (CollectionState) throws(Refusal) -> [Event]
    ) async throws -> [RecordedEvent] {
        try await committer.commit(submission(to: uid, by: user, chunks: chunks, writes: writes, decision))
    }

    /// A collection under a uid that the rules do not take any more, as older logs and adopted databases have them.
    @discardableResult
    func adoptCollection(_ uid: CollectionUID, by user: UserID) async throws -> [RecordedEvent] {
        try await submit(to: uid, by: user) { _ throws(Refusal) in
            [
                .collectionCreated(
                    .init(
                        collection: uid, owner: user, version: 1,
                        revision: Revision(uid: RevisionUID("\(uid)-1"), meta: [1, 2], isDeleted: false, chunks: [], stored: []))),
                .memberJoined(
                    .init(
                        collection: uid, user: user, level: .admin, encryptionKey: [5],
                        collectionType: Array("type of \(user.rawValue)".utf8), invitation: nil, inviters: [])),
            ]
        }
    }

    /// Stores a chunk, whatever its uid.
    func store(_ chunk: ChunkUID, _ content: [UInt8], in uid: CollectionUID, by user: UserID) async throws {
        let (state, head) = try await readModel.snapshot { (try $0.state(of: uid), try $0.logHead()) }
        let event = Event.chunkStored(.init(collection: uid, chunk: StoredChunk(uid: chunk, content: content)))
        let placed = try await PlacedContents([chunk: content], in: chunks, on: state, by: user) { _ in [event] }
        _ = try await committer.commit(
            Submission(
                on: state, asOf: head, streams: [.collection(uid), .user(user)], by: Actor(user: user), at: noon,
                decision: { _ in [event] }, writes: placed.writes))
    }

    /// Makes an account.
    func user(_ name: String, keys: UserKeys? = keys) async throws -> UserID {
        let records = try await submit(user: name) { state throws(Refusal) in
            try decide(CreateUser(username: name, email: "", keys: keys, passwordSalt: "salt", mayCreate: true), state)
        }
        return UserID(rawValue: records.last?.position.rawValue ?? 0)
    }

    @discardableResult
    func submit(
        user name: String, _ decision: @escaping @Sendable (UserState) throws(Refusal) -> [Event]
    ) async throws -> [RecordedEvent] { try await committer.commit(submission(user: name, decision)) }

    func submission(
        user name: String, _ decision: @escaping @Sendable (UserState) throws(Refusal) -> [Event]
    ) async throws -> Submission {
        let (state, head) = try await readModel.snapshot { snapshot in
            var state = try snapshot.userState(named: CanonicalName(name))
            if let user = state.user { state.collections = try snapshot.collections(concerning: user) }
            return (state, try snapshot.logHead())
        }
        return Submission(on: state, asOf: head, streams: state.streams, by: .operator, at: noon, decision: decision)
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
