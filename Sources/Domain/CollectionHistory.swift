/// Which revisions the items of a collection have had, by whom and since when: what can be brought back is chosen from this.
///
/// Made from the collection's events in the order of the log.
package struct CollectionHistory: Sendable {
    /// A revision that became an item's current one.
    package struct Step: Hashable, Sendable {
        package let position: Position
        package let time: Timestamp
        package let actor: Actor
        package let revision: RevisionUID
        package let isDeleted: Bool
    }

    /// An item that is deleted.
    package struct Deletion: Hashable, Sendable {
        package let item: ItemUID
        package let step: Step
        /// What the item was at last; nil where it was deleted from the beginning.
        package let last: RevisionUID?
    }

    /// A point in the history.
    package enum Moment: Hashable, Sendable {
        /// With all that had happened by this time.
        case at(Timestamp)
        /// With all that had happened before the event of this position.
        case before(Position)
    }

    /// Why there is nothing to bring back.
    package enum Unrestorable: Error, Hashable, Sendable {
        /// There is no such collection, or the account that owned it was reset or erased.
        case noCollection
        /// The collection was made at `time`, after the moment.
        case collectionIsNewer(than: Moment, time: Timestamp)
        case noItem(ItemUID)
        /// The item was made at `time`, after the moment.
        case itemIsNewer(ItemUID, than: Moment, time: Timestamp)
        case itemIsNotDeleted(ItemUID)
        /// The item was deleted at that moment too.
        case itemWasDeleted(ItemUID, Moment)
        /// The item never had content.
        case itemNeverLived(ItemUID)
        /// The revision that would come back is not kept any more.
        case itemIsNotKept(ItemUID)
        case nothingIsDeleted
        /// All is as it was then.
        case nothingHasChanged(since: Moment)
    }

    package let collection: CollectionUID
    private var owner: UserID?
    private var steps: [ItemUID: [Step]] = [:]
    /// The events that carry each revision.
    private var places: [RevisionUID: [Position]] = [:]
    /// The revisions that are not kept any more.
    private var pruned: Set<RevisionUID> = []
    /// The items of adopted records, which name them by their ids.
    private var adoptedItems: [Int64: ItemUID] = [:]

    /// A collection of which no event is known.
    package init(of collection: CollectionUID) { self.collection = collection }

    /// Takes in an event that touches the collection.
    package mutating func add(_ event: Event, at position: Position, on time: Timestamp, by actor: Actor) {
        func carried(_ revision: RevisionUID, isDeleted: Bool) -> Step {
            places[revision, default: []].append(position)
            return step(revision, isDeleted: isDeleted)
        }
        func step(_ revision: RevisionUID, isDeleted: Bool) -> Step {
            Step(position: position, time: time, actor: actor, revision: revision, isDeleted: isDeleted)
        }
        switch event.content {
        case .written(.made(let made)):
            if case .collection(let owner, _) = made.new { self.owner = owner }
            steps[made.item, default: []].append(carried(made.revision.uid, isDeleted: made.revision.isDeleted))
        case .written(.restored(let item, let revision)):
            let isDeleted = steps[item]?.last { $0.revision == revision }?.isDeleted ?? false
            steps[item, default: []].append(step(revision, isDeleted: isDeleted))
        case .adopted(let adopted):
            for record in adopted.records where record.fields != nil {
                switch record.kind {
                case .collection: owner = record.number("owner_id").map(UserID.init) ?? owner
                case .item: adoptedItems[record.id] = record.text("uid").map { ItemUID($0) }
                case .revision:
                    guard let item = record.number("item_id").flatMap({ adoptedItems[$0] }), let uid = record.text("uid") else { continue }
                    let revision = RevisionUID(uid)
                    // The original may have changed the record since it was adopted first.
                    guard steps[item]?.contains(where: { $0.revision == revision }) != true else {
                        places[revision, default: []].append(position)
                        continue
                    }
                    steps[item, default: []].append(carried(revision, isDeleted: record.number("deleted") == 1))
                default: break
                }
            }
        case .pruned(let revisions): pruned.formUnion(revisions)
        // What its owner had is gone for good.
        case .lost(let collections, let owner) where collections.contains(collection) && (owner == nil || owner == self.owner):
            steps = [:]
        case .nothing, .written(.stored), .lost: break
        }
    }

    /// All items with the revisions that they have had, oldest first.
    var items: some Sequence<(key: ItemUID, value: [Step])> { steps.sorted { $0.key < $1.key } }

    /// Where the events are that carry a revision.
    func positions(of revision: RevisionUID) -> [Position] { places[revision] ?? [] }

    /// Whether a revision is not kept any more.
    func isPruned(_ revision: RevisionUID) -> Bool { pruned.contains(revision) }

    /// Whether there is such a collection, deleted or not.
    package var exists: Bool { steps[mainItem] != nil }

    /// What is deleted and can be brought back, newest deletion first.
    package var deletions: [Deletion] {
        steps.keys.compactMap { deletion(of: $0) }.filter { $0.last != nil }.sorted { $0.step.position > $1.step.position }
    }

    /// Which revisions to make current again.
    ///
    /// - Parameters:
    ///   - item: only this one; nil for the whole collection.
    ///   - moment: the items are to be what they were then. What was deleted then, or was made later, stays as it is:
    ///     nothing is ever deleted. Nil undoes the last deletion: of the item; or else of the collection itself, if it is
    ///     deleted, or of the items that were deleted last. What was deleted by the same request comes back with it.
    /// - Throws: ``Unrestorable`` when there are none.
    package func restorations(of item: ItemUID? = nil, asOf moment: Moment? = nil) throws(Unrestorable) -> [RestoreItems.Restoration] {
        guard let first = steps[mainItem]?.first else { throw .noCollection }
        if let moment, !moment.includes(first) { throw .collectionIsNewer(than: moment, time: first.time) }
        switch (item, moment) {
        case (let item?, let moment?): return [try restoration(of: item, asOf: moment)]
        case (let item?, nil): return [try restoration(of: item)]
        case (nil, let moment?):
            let all = steps.keys.sorted().compactMap { change(of: $0, asOf: moment) }
            guard !all.isEmpty else { throw .nothingHasChanged(since: moment) }
            return all
        case (nil, nil): return try lastDeletion()
        }
    }

    private var mainItem: ItemUID { ItemUID(collection.rawValue) }

    private func deletion(of item: ItemUID) -> Deletion? {
        guard let steps = steps[item], let current = steps.last, current.isDeleted else { return nil }
        let last = steps.last { !$0.isDeleted }?.revision
        return Deletion(item: item, step: current, last: last.flatMap { isPruned($0) ? nil : $0 })
    }

    private func lastDeletion() throws(Unrestorable) -> [RestoreItems.Restoration] {
        let deletions = deletions
        guard let newest = deletions.first(where: { $0.item == mainItem }) ?? deletions.first else { throw .nothingIsDeleted }
        // The events of one request have its time and its session.
        let together = deletions.filter { $0.step.time == newest.step.time && $0.step.actor == newest.step.actor }
        return together.reversed().compactMap(\.restoration)
    }

    private func restoration(of item: ItemUID) throws(Unrestorable) -> RestoreItems.Restoration {
        guard steps[item] != nil else { throw .noItem(item) }
        guard let deletion = deletion(of: item) else { throw .itemIsNotDeleted(item) }
        guard let restoration = deletion.restoration else {
            throw steps[item]?.contains { !$0.isDeleted } == true ? .itemIsNotKept(item) : .itemNeverLived(item)
        }
        return restoration
    }

    private func restoration(of item: ItemUID, asOf moment: Moment) throws(Unrestorable) -> RestoreItems.Restoration {
        guard let first = steps[item]?.first else { throw .noItem(item) }
        guard let then = step(of: item, asOf: moment) else { throw .itemIsNewer(item, than: moment, time: first.time) }
        guard !then.isDeleted else { throw .itemWasDeleted(item, moment) }
        guard !isPruned(then.revision) else { throw .itemIsNotKept(item) }
        guard let restoration = change(of: item, asOf: moment) else { throw .nothingHasChanged(since: moment) }
        return restoration
    }

    /// Nil where the item is what it was, and where it was deleted or not there.
    private func change(of item: ItemUID, asOf moment: Moment) -> RestoreItems.Restoration? {
        guard let then = step(of: item, asOf: moment), !then.isDeleted, let current = steps[item]?.last else { return nil }
        guard then.revision != current.revision, !isPruned(then.revision) else { return nil }
        return .init(item: item, revision: then.revision, replaced: current.revision)
    }

    private func step(of item: ItemUID, asOf moment: Moment) -> Step? { steps[item]?.last { moment.includes($0) } }
}

extension CollectionHistory.Moment {
    fileprivate func includes(_ step: CollectionHistory.Step) -> Bool {
        switch self {
        case .at(let time): step.time <= time
        case .before(let position): step.position < position
        }
    }
}

extension CollectionHistory.Deletion {
    fileprivate var restoration: RestoreItems.Restoration? {
        last.map { .init(item: item, revision: $0, replaced: step.revision) }
    }
}
