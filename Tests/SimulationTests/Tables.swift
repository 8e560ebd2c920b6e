import Domain
import Sodium

@testable import EventLog

/// What the simulated database holds: a value, so that a snapshot is a copy.
struct Tables {
    /// A row of `apus_event`.
    struct EventRow {
        let position: Int64
        let epoch: Int64
        let stream: String
        let previous: Int64
        let type: String
        let version: Int64
        let actor: Int64?
        let session: String?
        let occurredAt: Int64
        let payload: [UInt8]
    }

    struct EpochRow {
        let epoch: Int64
        let first: Int64
        var place: String?
    }

    struct StreamRow {
        var head: Int64
        var key: [UInt8]?
    }

    // MARK: The log

    var head: Int64 = 0
    var epoch: Int64 = 1
    var epochs = [EpochRow(epoch: 1, first: 1, place: nil)]
    /// In the order of their positions.
    var events: [EventRow] = []
    var touches: [String: [Int64]] = [:]
    var claims: [String: Int64] = [:]
    var streams: [String: StreamRow] = [:]
    /// Login sessions: tokens with their users.
    var tokens: [String: Int64] = [:]

    // MARK: The read model, and who keeps it

    var rows = Rows()
    var holder = ""
    var fence: Int64 = 0
    /// By the clock of the database.
    var leaseUntil: Int64 = .min

    /// The index of the first event after a position.
    func index(after position: Int64) -> Int {
        var (low, high) = (0, events.count)
        while low < high {
            let middle = (low + high) / 2
            if events[middle].position <= position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func event(at position: Int64) -> EventRow? {
        let index = index(after: position - 1)
        return index < events.count && events[index].position == position ? events[index] : nil
    }

    mutating func insert(_ row: EventRow) { events.insert(row, at: index(after: row.position)) }

    /// All of the log, as the program reads it.
    func records() throws -> [RecordedEvent] {
        try events.map { row in
            guard let stream = StreamID(StreamName(row.stream)), let key = streams[row.stream]?.key else {
                throw LogFault.unreadable(Position(rawValue: row.position))
            }
            let position = Position(rawValue: row.position)
            return RecordedEvent(
                position: position, epoch: row.epoch, stream: stream, previous: Position(rawValue: row.previous),
                actor: Actor(user: row.actor.map(UserID.init), session: row.session), occurredAt: Timestamp(rawValue: row.occurredAt),
                event: try EventCodec.decode(type: row.type, version: row.version, payload: row.payload, key: key, at: position))
        }
    }

    /// Appends and projects what has happened before a run begins.
    mutating func begin(with events: [Event], by user: UserID?) throws {
        for event in events {
            let position = Position(rawValue: head + 1)
            let stream = event.stream == .createdUser ? .user(UserID(rawValue: position.rawValue)) : event.stream
            let record = RecordedEvent(
                position: position, epoch: epoch, stream: stream, previous: Position(rawValue: streams[stream.name.rawValue]?.head ?? 0),
                actor: Actor(user: user), occurredAt: Timestamp(rawValue: 0), event: event)
            let known = record.streams.compactMap { stream in streams[stream.name.rawValue].map { (stream, $0.key) } }
            let append = try AppendRows([record], keys: Dictionary(uniqueKeysWithValues: known))
            for row in append.events {
                self.events.append(
                    EventRow(
                        position: position.rawValue, epoch: epoch, stream: stream.name.rawValue, previous: record.previous.rawValue,
                        type: row.encoded.type, version: row.encoded.version, actor: user?.rawValue, session: nil, occurredAt: 0,
                        payload: row.encoded.payload))
            }
            for (touched, _) in append.touches {
                touches[touched.name.rawValue, default: []].append(position.rawValue)
                streams[touched.name.rawValue] = StreamRow(
                    head: position.rawValue, key: streams[touched.name.rawValue]?.key ?? append.key(of: touched))
            }
            for claim in append.claims { claims[claim.made.claim.key.rawValue] = claim.made.holder?.rawValue ?? position.rawValue }
            head = position.rawValue
            rows.apply(record)
        }
    }
}

/// The rows of the read model that are asked for here, and what events make of them: stands for the projection's SQL.
struct Rows: Equatable {
    struct Revision: Equatable {
        let id: Int64
        let uid: String
        let meta: [UInt8]
        let isDeleted: Bool
    }

    struct Item: Equatable {
        let id: Int64
        let version: Int64
        var changed: Int64
        /// The last is the current one.
        var revisions: [Revision]
    }

    struct Member: Equatable {
        var level: Int64
        var stoken: Int64
    }

    struct Collection: Equatable {
        let id: Int64
        let owner: Int64
        var changed: Int64
        var members: [Int64: Member] = [:]
        var items: [String: Item] = [:]
    }

    struct User: Equatable {
        let name: String
        var isActive: Bool
    }

    /// The checkpoint.
    var position: Int64 = 0
    var collections: [String: Collection] = [:]
    var names: [Int64: String] = [:]
    var users: [Int64: User] = [:]
    /// The epochs of the events that are here, of which stokens are made.
    var epochs: [Int64: Int64] = [:]

    mutating func apply(_ record: RecordedEvent) {
        let position = record.position.rawValue
        self.position = position
        epochs[position] = record.epoch
        switch record.event {
        case .userCreated(let event): users[position] = User(name: event.username, isActive: true)
        case .userActivityChanged(let event): users[event.user.rawValue]?.isActive = event.isActive
        case .collectionCreated(let event):
            names[position] = event.collection.rawValue
            collections[event.collection.rawValue] = Collection(id: position, owner: event.owner.rawValue, changed: position)
            add(event.revision, of: event.collection.rawValue, version: event.version, to: event.collection, at: position)
        case .itemCreated(let event):
            add(event.revision, of: event.item.rawValue, version: event.version, to: event.collection, at: position)
        case .itemRevised(let event): add(event.revision, of: event.item.rawValue, version: 1, to: event.collection, at: position)
        case .memberJoined(let event):
            collections[event.collection.rawValue]?.members[event.user.rawValue] = Member(level: event.level.rawValue, stoken: position)
        case .memberLevelChanged(let event):
            collections[event.collection.rawValue]?.members[event.user.rawValue] = Member(level: event.level.rawValue, stoken: position)
        case .memberRemoved(let event): collections[event.collection.rawValue]?.members[event.user.rawValue] = nil
        case .itemRestored, .chunkStored, .revisionsPruned, .userInitialized, .passwordChanged, .userReset, .userErased, .invitationSent,
            .invitationWithdrawn, .recordsAdopted:
            preconditionFailure("nobody wishes that here")
        }
    }

    private mutating func add(
        _ revision: Domain.Revision, of item: String, version: Int, to collection: CollectionUID, at position: Int64
    ) {
        let new = Revision(id: position, uid: revision.uid.rawValue, meta: revision.meta, isDeleted: revision.isDeleted)
        collections[collection.rawValue]?.changed = position
        collections[collection.rawValue]?.items[
            item, default: Item(id: position, version: Int64(version), changed: position, revisions: [])
        ]
        .revisions.append(new)
        collections[collection.rawValue]?.items[item]?.changed = position
    }
}
