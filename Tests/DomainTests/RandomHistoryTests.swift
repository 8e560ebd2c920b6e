import Domain
import TestSupport
import Testing

/// What anybody may wish of a collection.
enum Wish: Sendable {
    case create(CreateCollection)
    case commit(CommitItems)
    case restore(RestoreItems)
    case store(StoreChunk)
    case changeLevel(ChangeMemberLevel)
    case remove(RemoveMember)
    case leave(LeaveCollection)
    case invite(SendInvitation)
    case accept(AcceptInvitation)
    case withdraw(WithdrawInvitation)
    case reset(UserReset)

    func decided(on state: CollectionState) -> Result<[Event], Refusal> {
        Result { () throws(Refusal) in
            switch self {
            case .create(let command): try decide(command, state)
            case .commit(let command): try decide(command, state)
            case .restore(let command): try decide(command, state)
            case .store(let command): try decide(command, state)
            case .changeLevel(let command): try decide(command, state)
            case .remove(let command): try decide(command, state)
            case .leave(let command): try decide(command, state)
            case .invite(let command): try decide(command, state)
            case .accept(let command): try decide(command, state)
            case .withdraw(let command): try decide(command, state)
            case .reset(let event): [.userReset(event)]
            }
        }
    }

    /// The items and chunks that it names: what a server loads of them before it decides.
    var items: Set<ItemUID> {
        switch self {
        case .commit(let command): Set(command.items.map(\.uid) + command.dependencies.map(\.item))
        case .restore(let command): Set(command.restorations.map(\.item))
        case .create, .store, .changeLevel, .remove, .leave, .invite, .accept, .withdraw, .reset: []
        }
    }

    /// The earlier revisions that it names.
    var revisions: Set<RevisionUID> {
        if case .restore(let command) = self { Set(command.restorations.map(\.revision)) } else { [] }
    }

    /// The revisions that it brings.
    var offered: Set<RevisionUID> {
        if case .commit(let command) = self { Set(command.items.map(\.revision.uid)) } else { [] }
    }

    /// The items that it changes when it is carried out whole; nil where that depends on more.
    func changedItems(in state: CollectionState) -> [OfferedItem]? {
        guard case .commit(let command) = self, Set(command.items.map(\.uid)).count == command.items.count else { return nil }
        return command.items.filter { item in
            let isPast = state.known[item.revision.uid] == item.known
            return state.etags[item.uid] != item.revision.uid && (command.checksEtags || !isPast)
        }
    }

    var chunks: Set<ChunkUID> {
        switch self {
        case .commit(let command): Set(command.items.flatMap { $0.revision.chunks.map(\.uid) })
        case .store(let command): [command.chunk.uid]
        case .create, .restore, .changeLevel, .remove, .leave, .invite, .accept, .withdraw, .reset: []
        }
    }
}

/// Random wishes from small sets of names, so that they meet.
struct Wishes {
    var generator: FixedGenerator
    private var revisions = 0

    private static let users = (1...5).map { UserID(rawValue: $0) }
    private static let items: [ItemUID] = ["notes", "a", "b", "c", "d", "e"]
    private static let chunks: [ChunkUID] = ["c1", "c2", "c3", "c4", "c/5"]
    private static let invitations: [InvitationUID] = ["i1", "i2", "i3"]
    private static let levels: [AccessLevel] = [.readOnly, .readWrite, .admin, .admin]

    init(seed: UInt64) { generator = FixedGenerator(state: seed) }

    mutating func next(on state: CollectionState) -> Wish {
        let user = generator.pick(Self.users)
        switch generator.below(state.owner == nil ? 60 : 260) {
        case 0..<20:
            return .create(
                CreateCollection(
                    author: user, item: item(CollectionState(uid: notes), "notes"), collectionType: type(of: user), collectionKey: [1]))
        case 60..<150: return .commit(commit(by: user, state))
        case 240..<260: return .restore(restore(state))
        case 20..<40, 150..<165:
            return .store(StoreChunk(collection: notes, author: user, chunk: StoredChunk(generator.pick(Self.chunks))))
        case 165..<180:
            let level = generator.pick(Self.levels)
            return .changeLevel(ChangeMemberLevel(collection: notes, author: user, member: generator.pick(Self.users), level: level))
        case 180..<185: return .remove(RemoveMember(collection: notes, author: user, member: generator.pick(Self.users)))
        case 185..<187: return .leave(LeaveCollection(collection: notes, author: user))
        case 187..<212:
            return .invite(
                SendInvitation(
                    collection: notes, author: user, invitation: generator.pick(Self.invitations), version: 1,
                    invitee: generator.pick(Self.users), level: generator.pick(Self.levels), signedEncryptionKey: [1]))
        case 40..<60, 212..<230:
            return .accept(
                AcceptInvitation(
                    collection: notes, author: user, invitation: generator.pick(Self.invitations), collectionType: type(of: user),
                    encryptionKey: [2]))
        case 239 where user != state.owner || generator.happens(oneIn: 4):
            return .reset(UserReset(user: user, keys: keys, collections: [notes]))
        default:
            return .withdraw(WithdrawInvitation(collection: notes, author: user, invitation: generator.pick(Self.invitations)))
        }
    }

    private mutating func type(of user: UserID) -> [UInt8] {
        generator.happens(oneIn: 10) ? [0] : [UInt8(truncatingIfNeeded: user.rawValue)]
    }

    private mutating func commit(by user: UserID, _ state: CollectionState) -> CommitItems {
        let items = (0..<generator.pick([0, 1, 1, 2, 3])).map { _ in item(state, generator.pick(Self.items)) }
        var dependencies: [CommitItems.Dependency] = []
        if generator.happens(oneIn: 8), let known = state.etags.sorted(by: { $0.key.rawValue < $1.key.rawValue }).first {
            dependencies.append(.init(item: known.key, etag: generator.happens(oneIn: 3) ? "wrong" : known.value))
        }
        let stoken: CommitItems.ExpectedStoken =
            switch generator.below(12) {
            case 0: .unknown
            case 1: .exactly(Position(rawValue: 1))
            case 2, 3: .exactly(state.stoken)
            default: .any
            }
        return CommitItems(
            collection: notes, author: user, items: items, dependencies: dependencies, stoken: stoken,
            checksEtags: generator.happens(oneIn: 2))
    }

    private mutating func restore(_ state: CollectionState) -> RestoreItems {
        let known = state.revisions.sorted { $0.key.rawValue < $1.key.rawValue }
        let restorations = (0..<generator.pick([0, 1, 1, 2, 3])).map { _ in
            let revision: RevisionUID = known.isEmpty || generator.happens(oneIn: 20) ? "unknown" : generator.pick(known).key
            let item = generator.happens(oneIn: 20) ? generator.pick(Self.items) : state.revisions[revision] ?? "a"
            return RestoreItems.Restoration(
                item: item, revision: revision, replaced: generator.happens(oneIn: 10) ? "wrong" : state.etags[item] ?? "none")
        }
        return RestoreItems(collection: notes, restorations: restorations)
    }

    private mutating func item(_ state: CollectionState, _ uid: ItemUID) -> OfferedItem {
        // Sometimes a revision that was used before, or that comes twice.
        if !generator.happens(oneIn: 12) { revisions += 1 }
        let chunks = (0..<generator.pick([0, 0, 1, 2])).map { _ in
            let uid = generator.pick(Self.chunks)
            return generator.happens(oneIn: 3) ? OfferedChunk.named(uid) : .sent(uid)
        }
        let etag: RevisionUID? = generator.happens(oneIn: 10) ? "wrong" : state.etags[uid]
        return OfferedItem(
            uid: uid, version: generator.happens(oneIn: 50) ? -1 : 1, encryptionKey: nil, etag: etag,
            revision: OfferedRevision(
                uid: RevisionUID("r\(revisions)"), meta: [1], isDeleted: generator.happens(oneIn: 9), chunks: chunks))
    }
}

extension History {
    /// What random wishes come to.
    init(seed: UInt64, wishes count: Int) throws {
        self.init()
        var wishes = Wishes(seed: seed)
        for _ in 0..<count {
            guard case .success(let events) = wishes.next(on: state).decided(on: informed) else { continue }
            try append(events)
        }
    }
}

@Suite("Random histories") struct RandomHistoryTests {
    @Test("keep every promise of the rules", arguments: 1...12 as ClosedRange<UInt64>)
    func promises(seed: UInt64) throws {
        var wishes = Wishes(seed: seed)
        var history = History()
        for _ in 0..<400 {
            let wish = wishes.next(on: history.state)
            let answer = wish.decided(on: history.informed)
            let uninformed = history.decideUninformed(wish)
            #expect(uninformed == answer || [uninformed, answer].allSatisfy(\.isRefused))

            // A state that was read earlier, and only in part, decides the same once it has taken in what came since.
            let then = wishes.generator.below(history.records.count + 1)
            #expect(wish.decided(on: history.state(readAt: then, for: wish)) == answer)

            guard case .success(let events) = answer else { continue }
            let changed = wish.changedItems(in: history.state)
            #expect(changed.map { $0.count == events.count } != false, "all items are committed, or none")
            try history.append(events)
            #expect(Picture(of: history.state) == history.picture(at: history.records.count))
            guard case .commit(let command) = wish, let changed else { continue }
            #expect(changed.allSatisfy { history.state.etags[$0.uid] == $0.revision.uid })
            // What it depended on, and the stoken, may have moved by the command itself; they are looked at even so.
            guard command.dependencies.isEmpty, command.stoken == .any else { continue }
            #expect(wish.decided(on: history.state) == .success([]), "a command that is repeated does nothing")
        }
    }

    /// The name of a case.
    private static func name(_ value: some Sendable) -> String { String(describing: value).prefix { $0 != "(" }.description }

    @Test("meet every event and nearly every refusal") func coverage() throws {
        var events: Set<String> = []
        var refusals: Set<String> = []
        for seed: UInt64 in 1...12 {
            var wishes = Wishes(seed: seed)
            var history = History()
            for _ in 0..<400 {
                switch wishes.next(on: history.state).decided(on: history.informed) {
                case .success(let decided):
                    events.formUnion(decided.map { Self.name($0) })
                    try history.append(decided)
                case .failure(let refusal): refusals.insert(Self.name(refusal))
                }
            }
        }
        #expect(
            events == [
                "collectionCreated", "itemCreated", "itemRevised", "itemRestored", "chunkStored", "memberJoined", "memberLevelChanged",
                "memberRemoved", "invitationSent", "invitationWithdrawn", "userReset",
            ])
        #expect(
            refusals.isSuperset(of: [
                "staleStoken", "dependenciesFailed", "itemsFailed", "invalidFields", "noWriteAccess", "adminAccessRequired",
                "doesNotExist", "collectionExists", "etagOfNewCollection", "collectionTypeTaken", "chunkWithoutContent", "chunkExists",
                "invitationExists", "alreadyMember",
            ]))
    }
}

extension OfferedItem {
    /// What a state knows of the revision once it is there.
    fileprivate var known: CollectionState.KnownRevision {
        .init(item: uid, meta: revision.meta, isDeleted: revision.isDeleted, chunks: revision.chunks.map(\.uid))
    }
}

extension Result where Failure == Refusal {
    fileprivate var isRefused: Bool {
        if case .failure = self { true } else { false }
    }
}
