/// The wish to make earlier revisions of items current again: of the operator, with `apus undelete`, or of a member.
package struct RestoreItems: Sendable {
    /// An item, and the revision that is to be current.
    package struct Restoration: Hashable, Sendable {
        package let item: ItemUID
        package let revision: RevisionUID
        /// What was current when somebody looked.
        package let replaced: RevisionUID

        package init(item: ItemUID, revision: RevisionUID, replaced: RevisionUID) {
            self.item = item
            self.revision = revision
            self.replaced = replaced
        }
    }

    package let collection: CollectionUID
    package let restorations: [Restoration]
    /// The member whose wish it is; nil for the operator.
    package let author: UserID?

    package init(collection: CollectionUID, restorations: [Restoration], author: UserID? = nil) {
        self.collection = collection
        self.restorations = restorations
        self.author = author
    }
}

extension RestoreItems: Command {
    package var needs: CollectionNeeds {
        CollectionNeeds(collection, items: restorations.map(\.item), revisions: restorations.map(\.revision))
    }

    /// Decides what bringing back earlier revisions means: all of them, or none. Revisions that are current are a success and no
    /// event.
    ///
    /// - Throws: ``Refusal/doesNotExist(_:)`` for what the collection has not, or has no more;
    ///   ``Refusal/itemsFailed(_:)`` for items that have moved on since somebody looked: what a client wrote in the meantime
    ///   is not put aside unseen; ``Refusal/noWriteAccess`` for members who could not have written it either.
    package func decide(_ state: CollectionState) throws(Refusal) -> [Decided<CollectionState>] {
        guard state.owner != nil else { throw .doesNotExist(.collection) }
        if let author { try state.requireWriteAccess(author) }
        var state = state
        var events: [Decided<CollectionState>] = []
        var errors: [FieldError] = []
        for restoration in restorations {
            guard let current = state.etags[restoration.item] else { throw .doesNotExist(.item) }
            guard state.revisions[restoration.revision] == restoration.item else {
                throw .doesNotExist(.revision)
            }
            guard current != restoration.revision else { continue }
            guard current == restoration.replaced else {
                errors.append(FieldError(.item(restoration.item), .wrongEtag(current: current, given: restoration.replaced)))
                continue
            }
            let event = state.decided(
                ItemRestored(collection: collection, item: restoration.item, revision: restoration.revision))
            state.evolve(event.event, at: state.stoken)
            events.append(event)
        }
        guard errors.isEmpty else { throw .itemsFailed(errors) }
        return events
    }
}
