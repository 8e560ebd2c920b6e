internal import Database
package import Domain
package import EventLog

/// Something that somebody did: an event without its content, in terms that people know. Nothing encrypted is in it.
package struct AuditEntry: Sendable {
    package enum Action: String, Sendable {
        case collectionCreated = "collection_created"
        case collectionChanged = "collection_changed"
        case collectionDeleted = "collection_deleted"
        case collectionRestored = "collection_restored"
        case itemCreated = "item_created"
        case itemChanged = "item_changed"
        case itemDeleted = "item_deleted"
        case itemRestored = "item_restored"
        /// Earlier revisions are not kept any more.
        case revisionsPruned = "revisions_pruned"
        case chunkUploaded = "chunk_uploaded"
        case memberInvited = "member_invited"
        case invitationRejected = "invitation_rejected"
        case invitationCancelled = "invitation_cancelled"
        case memberJoined = "member_joined"
        case memberLevelChanged = "member_level_changed"
        case memberLeft = "member_left"
        case memberRemoved = "member_removed"
        case userCreated = "user_created"
        case userInitialized = "user_initialized"
        case userDisabled = "user_disabled"
        case userEnabled = "user_enabled"
        case userReset = "user_reset"
        case userErased = "user_erased"
        case passwordChanged = "password_changed"
        /// Records of the original were taken over; who made them is not known.
        case recordsAdopted = "records_adopted"
    }

    /// The event, by its place in the log.
    package let head: LogHead
    package let time: Timestamp
    package let action: Action
    /// Nil for what was done at the server's command line.
    package let user: UserID?
    /// The user's name; nil as ``user`` is.
    package internal(set) var username: String?
    /// The short id of the login session.
    package let session: String?
    /// What the session's client said that it is.
    package internal(set) var device: String?
    /// The client's address; nil where it was not recorded.
    package let address: String?
    package internal(set) var collection: CollectionUID?
    package internal(set) var item: ItemUID?
    package internal(set) var revision: RevisionUID?
    package internal(set) var chunk: ChunkUID?
    package internal(set) var invitation: InvitationUID?
    /// To whom it was done: the member, the invited user, or the one whose account it is.
    var subject: UserID?
    /// The name of that user.
    package internal(set) var member: String?
    /// The level that was offered or given.
    package internal(set) var level: AccessLevel?
}

extension AuditEntry {
    init(_ record: RecordedEvent) {
        head = LogHead(position: record.position, epoch: record.epoch)
        time = record.occurredAt
        session = record.actor.session
        address = record.actor.address
        var user = record.actor.user
        switch record.event {
        case .userCreated(let event):
            action = .userCreated
            subject = UserID(rawValue: record.position.rawValue)
            // Whoever signs up is nobody yet; the operator makes accounts without keys.
            if event.keys != nil { user = subject }
        case .userInitialized(let event): (action, subject) = (.userInitialized, event.user)
        case .passwordChanged(let event): (action, subject) = (.passwordChanged, event.user)
        case .userActivityChanged(let event): (action, subject) = (event.isActive ? .userEnabled : .userDisabled, event.user)
        case .userReset(let event): (action, subject) = (.userReset, event.user)
        case .userErased(let event): (action, subject) = (.userErased, event.user)
        case .collectionCreated(let event):
            action = .collectionCreated
            (collection, item, revision) = (event.collection, ItemUID(event.collection.rawValue), event.revision.uid)
        case .itemCreated(let event):
            action = event.revision.isDeleted ? .itemDeleted : .itemCreated
            (collection, item, revision) = (event.collection, event.item, event.revision.uid)
        case .itemRevised(let event):
            let isMain = event.item == event.collection.mainItem
            action =
                event.revision.isDeleted
                ? (isMain ? .collectionDeleted : .itemDeleted) : (isMain ? .collectionChanged : .itemChanged)
            (collection, item, revision) = (event.collection, event.item, event.revision.uid)
        case .itemRestored(let event):
            action = event.item == event.collection.mainItem ? .collectionRestored : .itemRestored
            (collection, item, revision) = (event.collection, event.item, event.revision)
        case .revisionsPruned(let event): (action, collection) = (.revisionsPruned, event.collection)
        case .chunkStored(let event): (action, collection, chunk) = (.chunkUploaded, event.collection, event.chunk.uid)
        case .memberJoined(let event):
            (action, collection, subject, level) = (.memberJoined, event.collection, event.user, event.level)
            invitation = event.invitation
        case .memberLevelChanged(let event):
            (action, collection, subject, level) = (.memberLevelChanged, event.collection, event.user, event.level)
        case .memberRemoved(let event):
            action = event.user == record.actor.user ? .memberLeft : .memberRemoved
            (collection, subject) = (event.collection, event.user)
        case .invitationSent(let event):
            (action, collection, subject, level) = (.memberInvited, event.collection, event.invitee, event.level)
            invitation = event.invitation
        case .invitationWithdrawn(let event):
            action = event.invitee == record.actor.user ? .invitationRejected : .invitationCancelled
            (collection, subject, invitation) = (event.collection, event.invitee, event.invitation)
        case .recordsAdopted(let event):
            action = .recordsAdopted
            switch event.owner {
            case .collection(let uid): collection = uid
            case .user(let user): subject = user
            case .createdUser: break
            }
            item = event.records.first { $0.kind == .item }?.text("uid").map { ItemUID($0) }
            revision = event.records.first { $0.kind == .revision }?.text("uid").map { RevisionUID($0) }
        }
        self.user = user
    }
}

extension Snapshot {
    /// What was done to a collection after a position, oldest first, from the log: also by members who left, and to items that
    /// are deleted. Whether somebody may know is the caller's matter.
    package func audit(
        of collection: CollectionUID, after position: Position, at times: ClosedRange<Timestamp> = Timestamp.always, limit: Int
    ) throws -> Page<AuditEntry> {
        let (events, isDone) = try EventLog.history(
            of: .collection(collection), after: position, at: times, limit: limit, bytes: bounds.pageBytes, connection)
        return Page(try entries(events), isDone: isDone)
    }

    /// Where the events are that an audit of a collection tells, in order.
    package func auditPositions(of collection: CollectionUID, at times: ClosedRange<Timestamp>) throws -> [Position] {
        try EventLog.positions(touching: [.collection(collection)], at: times, connection).sorted()
    }

    /// Where the events are that an audit of a user tells: what was done to the account and to the user's memberships, and what
    /// the user did in collections, be it as a member of long ago; in order.
    package func auditPositions(of user: UserID, at times: ClosedRange<Timestamp>) throws -> [Position] {
        var collections: Set<CollectionUID> = []
        var last = Position.none
        while true {
            let page = try EventLog.events(touching: .user(user), after: last, limit: Self.pageEvents, connection)
            for record in page {
                if case .memberJoined(let event) = record.event, event.user == user { collections.insert(event.collection) }
                if case .recordsAdopted(let event) = record.event, case .collection(let uid) = event.owner { collections.insert(uid) }
            }
            guard page.count == Self.pageEvents, let end = page.last else { break }
            last = end.position
        }
        let own = try EventLog.positions(touching: [.user(user)], at: times, connection)
        let done = try EventLog.positions(touching: collections.map { .collection($0) }, by: user, at: times, connection)
        return own.union(done).sorted()
    }

    /// The entries of events.
    package func audit(at positions: some Sequence<Position>) throws -> [AuditEntry] {
        try entries(EventLog.history(at: positions, connection))
    }

    /// Whether anything ever happened to the collection.
    package func hasHistory(of collection: CollectionUID) throws -> Bool {
        try EventLog.heads(of: [.collection(collection)], connection) != .none
    }

    /// Which revisions the collection's items have had.
    package func history(of collection: CollectionUID) throws -> CollectionHistory {
        var history = CollectionHistory(of: collection)
        var last = Position.none
        while true {
            let page = try EventLog.events(touching: .collection(collection), after: last, limit: Self.pageEvents, connection)
            for record in page { history.add(record.event, at: record.position, on: record.occurredAt, by: record.actor) }
            guard page.count == Self.pageEvents, let end = page.last else { return history }
            last = end.position
        }
    }

    /// The names of users. One whose account is not in the tables has none: the id stands for it, with a sign that no name
    /// has.
    package func usernames(of users: Set<UserID>) throws -> [UserID: String] {
        let found = try connection.query(Self.selectUsernames, [.integers(users.map(\.rawValue))]) { row in
            (UserID(rawValue: row.integer(0)), row.text(1))
        }
        let unnamed = Dictionary(uniqueKeysWithValues: users.map { ($0, "#\($0.rawValue)") })
        return unnamed.merging(found) { $1 }
    }

    private func entries(_ records: [RecordedEvent]) throws -> [AuditEntry] {
        let entries = records.map { AuditEntry($0) }
        let names = try usernames(of: Set(entries.flatMap { [$0.user, $0.subject].compactMap { $0 } }))
        let sessions = Set(entries.compactMap(\.session))
        let devices = try connection.query(Self.selectDevices, [.texts(Array(sessions))]) { ($0.text(0), $0.text(1)) }
        let deviceNames = Dictionary(devices) { first, _ in first }
        return entries.map { entry in
            var entry = entry
            entry.username = entry.user.flatMap { names[$0] }
            entry.member = entry.subject.flatMap { names[$0] }
            entry.device = entry.session.flatMap { deviceNames[$0] }
            return entry
        }
    }

    private static let pageEvents = 1000

    private static let selectUsernames = Statement("SELECT id, username FROM myauth_user WHERE id IN [$1 bigint]")

    private static let selectDevices = Statement(
        "SELECT session, device FROM apus_session WHERE session IN [$1 text] AND device IS NOT NULL")
}
