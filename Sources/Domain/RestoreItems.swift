/// The operator's wish to make earlier revisions of items current again: `apus undelete`.
public struct RestoreItems: Sendable {
    /// An item, and the revision that is to be current.
    public struct Restoration: Hashable, Sendable {
        public let item: ItemUID
        public let revision: RevisionUID
        /// What was current when the operator looked.
        public let replaced: RevisionUID

        public init(item: ItemUID, revision: RevisionUID, replaced: RevisionUID) {
            self.item = item
            self.revision = revision
            self.replaced = replaced
        }
    }

    public let collection: CollectionUID
    public let restorations: [Restoration]

    public init(collection: CollectionUID, restorations: [Restoration]) {
        self.collection = collection
        self.restorations = restorations
    }
}

/// Decides what bringing back earlier revisions means: all of them, or none. Revisions that are current are a success and no
/// event.
///
/// - Throws: ``Refusal/doesNotExist(model:)`` for what the collection has not, or has no more;
///   ``Refusal/itemsFailed(_:)`` for items that have moved on since the operator looked: what a client wrote in the meantime
///   is not put aside unseen.
public func decide(_ command: RestoreItems, _ state: CollectionState) throws(Refusal) -> [Event] {
    guard state.owner != nil else { throw .doesNotExist(model: "Collection") }
    var state = state
    var events: [Event] = []
    var errors: [FieldError] = []
    for restoration in command.restorations {
        guard let current = state.etags[restoration.item] else { throw .doesNotExist(model: "CollectionItem") }
        guard state.revisions[restoration.revision] == restoration.item else {
            throw .doesNotExist(model: "CollectionItemRevision")
        }
        guard current != restoration.revision else { continue }
        guard current == restoration.replaced else {
            errors.append(.wrongEtag(item: restoration.item, current: current, given: restoration.replaced))
            continue
        }
        let event = Event.itemRestored(
            .init(collection: command.collection, item: restoration.item, revision: restoration.revision))
        state.evolve(event, at: state.stoken)
        events.append(event)
    }
    guard errors.isEmpty else { throw .itemsFailed(errors) }
    return events
}
