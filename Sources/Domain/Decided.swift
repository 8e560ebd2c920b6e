/// An event that was decided on a state, in a stream that this state is of. Only the state can make one, so a command cannot
/// append to a stream that it did not need to know.
public struct Decided<State: Domain.State>: Hashable, Sendable {
    public let event: Event

    fileprivate init(_ event: Event) { self.event = event }
}

/// What happens in one collection.
public protocol CollectionEvent: Sendable {
    var collection: CollectionUID { get set }
    /// The event itself.
    var event: Event { get }
}

/// What happens to one account that is there.
public protocol AccountEvent: Sendable {
    var user: UserID { get set }
    /// The event itself.
    var event: Event { get }
}

extension CollectionState {
    /// What happens, in this collection.
    public func decided(_ event: some CollectionEvent) -> Decided<Self> {
        var event = event
        event.collection = uid
        return Decided(event.event)
    }
}

extension UserState {
    /// What happens, to this account.
    ///
    /// - Throws: ``Refusal/doesNotExist(_:)`` where there is none.
    public func decided(_ event: some AccountEvent) throws(Refusal) -> Decided<Self> {
        guard let user else { throw .doesNotExist(.user) }
        var event = event
        event.user = user
        return Decided(event.event)
    }

    /// An account comes to be; its stream begins with that.
    public func decided(_ event: UserCreated) -> Decided<Self> { Decided(.userCreated(event)) }
}

extension ErasureState {
    /// What happens to the account.
    ///
    /// - Throws: as the account's own.
    public func decided(_ event: some AccountEvent) throws(Refusal) -> Decided<Self> { Decided(try user.decided(event).event) }

    /// What each of the collections comes to, in their order.
    public func decided(inEach decide: (CollectionState) -> [any CollectionEvent]) -> [Decided<Self>] {
        collections.flatMap { collection in decide(collection).map { Decided(collection.decided($0).event) } }
    }
}

extension CollectionCreated: CollectionEvent { public var event: Event { .collectionCreated(self) } }
extension ItemCreated: CollectionEvent { public var event: Event { .itemCreated(self) } }
extension ItemRevised: CollectionEvent { public var event: Event { .itemRevised(self) } }
extension ItemRestored: CollectionEvent { public var event: Event { .itemRestored(self) } }
extension ChunkStored: CollectionEvent { public var event: Event { .chunkStored(self) } }
extension RevisionsPruned: CollectionEvent { public var event: Event { .revisionsPruned(self) } }
extension MemberJoined: CollectionEvent { public var event: Event { .memberJoined(self) } }
extension MemberLevelChanged: CollectionEvent { public var event: Event { .memberLevelChanged(self) } }
extension MemberRemoved: CollectionEvent { public var event: Event { .memberRemoved(self) } }
extension InvitationSent: CollectionEvent { public var event: Event { .invitationSent(self) } }
extension InvitationWithdrawn: CollectionEvent { public var event: Event { .invitationWithdrawn(self) } }

extension UserInitialized: AccountEvent { public var event: Event { .userInitialized(self) } }
extension PasswordChanged: AccountEvent { public var event: Event { .passwordChanged(self) } }
extension UserActivityChanged: AccountEvent { public var event: Event { .userActivityChanged(self) } }
extension UserReset: AccountEvent { public var event: Event { .userReset(self) } }
extension UserErased: AccountEvent { public var event: Event { .userErased(self) } }
