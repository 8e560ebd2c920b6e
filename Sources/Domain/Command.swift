/// What is decided on a state.
package protocol Decision<State>: Sendable {
    associatedtype State: Domain.State

    /// Decides what it means. Pure: same state, same events.
    ///
    /// - Throws: why it is not carried out; nothing has changed then.
    func decide(_ state: State) throws(Refusal) -> [Decided<State>]
}

/// What somebody wants to happen. It says what must be known to decide it; of heads and streams it knows nothing: they follow
/// from that.
package protocol Wish: Sendable {
    associatedtype Needs: Domain.Needs

    /// What must be known to decide it. As little as that: it is read each time.
    var needs: Needs { get }
}

/// A wish that is carried out by appending what is decided. Committing one is the one way to the log, but for a
/// ``RedactingCommand``.
package protocol Command: Wish, Decision where Needs.State == State {}

/// A wish that also takes something out of the history: what earlier events say is rewritten in the transaction in which it is
/// decided, and what it comes to records that, with a proof.
package protocol RedactingCommand: Wish {}

/// What must be known of something.
package protocol Needs: Sendable {
    /// What is known when it was read.
    associatedtype State: Domain.State
}

/// What must be known of a collection: its members and invitations always, and of the rest what is named here.
package struct CollectionNeeds: Needs {
    package typealias State = CollectionState

    package var collection: CollectionUID
    /// Items, for their etags.
    package var items: [ItemUID]
    /// Revisions, current or not, for their items.
    package var revisions: [RevisionUID]
    /// Chunks, for whether they are there.
    package var chunks: [ChunkUID]
    /// Claims, for who holds them.
    package var claims: [Claim]
    /// Items whose revisions may be in the history already.
    package var offered: [OfferedItem]
    /// Whose quota it is a matter of.
    package var quota: QuotaHolder

    /// Who has the quota that a command is decided under.
    package enum QuotaHolder: Hashable, Sendable {
        /// Nobody: nothing comes into the collection.
        case nobody
        /// Whoever owns the collection.
        case owner
        /// A user who would make it.
        case maker(UserID)
    }

    package init(
        _ collection: CollectionUID, items: [ItemUID] = [], revisions: [RevisionUID] = [], chunks: [ChunkUID] = [], claims: [Claim] = [],
        offered: [OfferedItem] = [], quota: QuotaHolder = .nobody
    ) {
        self.collection = collection
        self.items = items
        self.revisions = revisions
        self.chunks = chunks
        self.claims = claims
        self.offered = offered
        self.quota = quota
    }
}

/// What must be known of an account.
package struct AccountNeeds: Needs {
    package typealias State = UserState

    /// How it is named.
    package enum Account: Hashable, Sendable {
        case name(CanonicalName)
        case id(UserID)
    }

    package var account: Account
    /// Whether also the collections that it has to do with.
    package var withCollections: Bool

    package init(_ account: Account, withCollections: Bool = false) {
        self.account = account
        self.withCollections = withCollections
    }
}

/// What must be known to erase an account: the account, and the collections that it has to do with.
package struct ErasureNeeds: Needs {
    package typealias State = ErasureState

    /// The account's.
    package var name: CanonicalName
    package init(_ name: CanonicalName) { self.name = name }
}
