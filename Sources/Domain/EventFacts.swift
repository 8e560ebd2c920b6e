/// What everybody must know of an event, said once, where its type is. Nothing here has a default: whoever adds an event answers
/// each question, and what goes by an answer (the log, the history, redactions, projections, replays) need not know the event.
///
/// What the rules take from an event is said in the states' `evolve`.
package protocol EventFacts: Hashable, Sendable {
    /// The name of the type in the log.
    static var type: EventType { get }
    /// Where the proof stands in events that record a redaction; nil for those that record none.
    static var proof: KeyPath<Self, RedactionProof>? { get }

    /// The event itself.
    var event: Event { get }
    /// The stream that it belongs to.
    var stream: StreamID { get }
    /// The other streams that it changes; their heads move with it.
    var touches: [StreamID] { get }
    /// The keys that must be new in the whole log for it to be appended.
    var claims: [ClaimMade] { get }
    /// What it does to the content of collections.
    var content: ContentChange { get }
    /// What it is when something has gone from the history; the same where nothing in it is to go.
    ///
    /// - Parameter position: its own.
    func remains(after removal: some Removal, at position: Position) -> Self
}

extension EventFacts {
    static var recordsRedaction: Bool { proof != nil }
    var redaction: RedactionProof? { Self.proof.map { self[keyPath: $0] } }
}

/// What happens in one collection.
package protocol CollectionEvent: EventFacts {
    var collection: CollectionUID { get set }
}

extension CollectionEvent {
    package var stream: StreamID { .collection(collection) }
}

/// What happens to one account that is there.
package protocol AccountEvent: EventFacts {
    var user: UserID { get set }
}

extension AccountEvent {
    package var stream: StreamID { .user(user) }
}

/// A claim that an event makes.
package struct ClaimMade: Hashable, Sendable {
    package let claim: Claim
    /// Who holds it; nil where the event itself creates the user.
    package let holder: UserID?
    /// Whether its holder may make it again, as with a type that a user uses for several collections.
    package let isRepeatable: Bool

    package init(claim: Claim, holder: UserID?, isRepeatable: Bool) {
        self.claim = claim
        self.holder = holder
        self.isRepeatable = isRepeatable
    }
}

/// What goes from the history for good: a user with what was nobody else's, or revisions that are not kept.
package protocol Removal: Sendable {
    /// Whether everything goes that tells who the user was.
    func takes(_ user: UserID) -> Bool
    /// Whether the content of the collection goes.
    func takes(_ collection: CollectionUID) -> Bool
    /// Whether the content of the revision goes, wherever it is.
    func takes(_ revision: RevisionUID) -> Bool
    /// Whether the content of a chunk goes that came with a revision that goes.
    func takes(_ chunk: ChunkUID) -> Bool
}

extension Removal {
    /// What the event at a position is from now on; the same event where nothing in it is to go.
    package func remains(of event: Event, at position: Position) -> Event {
        func remains(_ facts: some EventFacts) -> Event { facts.remains(after: self, at: position).event }
        return remains(event.facts)
    }

    /// What is left of a revision: in what goes, that there was such a one.
    func remains(of revision: Revision, in collection: CollectionUID) -> Revision {
        guard !takes(collection) else { return revision.withoutContent(of: { _ in true }) }
        return takes(revision.uid) ? revision.withoutContent(of: { takes($0) }) : revision
    }
}
