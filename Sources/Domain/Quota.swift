/// How much the collections that somebody owns may hold together, whoever writes. Nil is without a limit.
package struct Quota: Hashable, Sendable {
    package var bytes: Int64?
    package var items: Int64?
    package var collections: Int64?

    package init(bytes: Int64? = nil, items: Int64? = nil, collections: Int64? = nil) {
        self.bytes = bytes
        self.items = items
        self.collections = collections
    }

    /// Without any limit.
    package static let none = Quota()

    /// The limit of one kind.
    package subscript(kind: Kind) -> Int64? {
        get { self[keyPath: kind.limit] }
        set { self[keyPath: kind.limit] = newValue }
    }

    /// What is limited.
    package enum Kind: String, CaseIterable, Hashable, Sendable {
        case bytes, items, collections

        fileprivate var limit: WritableKeyPath<Quota, Int64?> {
            switch self {
            case .bytes: \.bytes
            case .items: \.items
            case .collections: \.collections
            }
        }

        fileprivate var amount: KeyPath<Usage, Int64> {
            switch self {
            case .bytes: \.bytes
            case .items: \.items
            case .collections: \.collections
            }
        }
    }

    /// What there is no room for.
    package struct Excess: Hashable, Sendable {
        package let kind: Kind
        package let limit: Int64
        /// How much there is already.
        package let used: Int64
        /// How much more it would be.
        package let wanted: Int64

        package init(_ kind: Kind, limit: Int64, used: Int64, wanted: Int64) {
            (self.kind, self.limit, self.used, self.wanted) = (kind, limit, used, wanted)
        }
    }
}

/// What collections hold: what the server keeps, deleted items and collections and earlier revisions among it.
package struct Usage: Hashable, Sendable {
    /// Of revisions and of the contents of chunks.
    package var bytes: Int64
    /// But the main ones.
    package var items: Int64
    package var collections: Int64

    package init(bytes: Int64 = 0, items: Int64 = 0, collections: Int64 = 0) {
        self.bytes = bytes
        self.items = items
        self.collections = collections
    }

    /// How much there is of a kind.
    package subscript(kind: Quota.Kind) -> Int64 { self[keyPath: kind.amount] }

    mutating func add(_ written: ContentWritten) {
        switch written {
        case .made(let made):
            bytes += made.revision.storedBytes
            switch made.new {
            case .nothing: break
            case .item: items += 1
            case .collection: collections += 1
            }
        case .stored(let chunk): bytes += Int64(chunk.bytes)
        case .restored: break
        }
    }
}

extension Revision {
    /// How much it adds to what its collection holds, with the contents that came with it.
    package var storedBytes: Int64 { stored.reduce(Int64(meta.count)) { $0 + Int64($1.bytes) } }
}

/// What of a quota is left to decide on: the owner's limits, and what all collections of the owner hold.
package struct Allowance: Hashable, Sendable {
    package let owner: UserID
    package let quota: Quota
    /// The collections of the owner: what is decided depends on all of them.
    package let collections: Set<CollectionUID>
    package private(set) var used: Usage
    /// Whether the owner came to have, or lost, what is not counted here: it must be read again.
    package private(set) var isOutdated = false

    package init(owner: UserID, quota: Quota, collections: Set<CollectionUID>, used: Usage) {
        self.owner = owner
        self.quota = quota
        self.collections = collections
        self.used = used
    }

    var streams: [StreamID] { [.user(owner)] + collections.map { .collection($0) } }

    /// Takes in what happened to the owner's collections.
    package mutating func evolve(_ event: Event) {
        switch event.content {
        case .written(let written):
            if case .collection(let uid) = event.stream, collections.contains(uid) { used.add(written) }
        case .pruned, .lost: isOutdated = true
        // They are in the read model as soon as they are in the log.
        case .adopted: break
        case .nothing:
            // A collection is made together with its owner's membership, which is in the owner's stream too.
            if case .memberJoined(let joined) = event, joined.user == owner, joined.invitation == nil,
                !collections.contains(joined.collection)
            {
                isOutdated = true
            }
        }
    }

    /// Makes sure that there is room for what is decided. What only deletes finds room always.
    ///
    /// - Throws: ``Refusal/quotaExceeded(_:)``; ``Refusal/usageUnknown`` where it cannot be told.
    func requireRoom(for events: some Sequence<Event>) throws(Refusal) {
        let written = events.compactMap(\.written)
        guard written.contains(where: \.isMore) else { return }
        guard !isOutdated else { throw .usageUnknown }
        var wanted = Usage()
        for written in written { wanted.add(written) }
        for kind in Quota.Kind.allCases {
            guard let limit = quota[kind], wanted[kind] > 0, used[kind] + wanted[kind] > limit else { continue }
            throw .quotaExceeded(.init(kind, limit: limit, used: used[kind], wanted: wanted[kind]))
        }
    }
}

extension ContentWritten {
    /// Whether it is more than a deletion.
    fileprivate var isMore: Bool {
        switch self {
        case .made(let made): !made.revision.isDeleted || !made.revision.stored.isEmpty || made.new != .nothing
        case .stored: true
        case .restored: false
        }
    }
}

extension CollectionState {
    /// The events, where there is room for them.
    ///
    /// - Throws: as ``Allowance/requireRoom(for:)`` does.
    func withinQuota(_ events: [Decided<Self>]) throws(Refusal) -> [Decided<Self>] {
        try allowance?.requireRoom(for: events.lazy.map(\.event))
        return events
    }
}
