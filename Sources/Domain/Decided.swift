/// An event that was decided on a state, in a stream that this state is of. Only the state can make one, so a command cannot
/// append to a stream that it did not need to know.
package struct Decided<State: Domain.State>: Hashable, Sendable {
    package let event: Event

    fileprivate init(_ event: Event) { self.event = event }
}

extension CollectionState {
    /// What happens, in this collection.
    package func decided(_ event: some CollectionEvent) -> Decided<Self> {
        var event = event
        event.collection = uid
        return Decided(event.event)
    }
}

extension UserState {
    /// What happens, to this account.
    ///
    /// - Throws: ``Refusal/doesNotExist(_:)`` where there is none.
    package func decided(_ event: some AccountEvent) throws(Refusal) -> Decided<Self> {
        guard let user else { throw .doesNotExist(.user) }
        var event = event
        event.user = user
        return Decided(event.event)
    }

    /// An account comes to be; its stream begins with that.
    package func decided(_ event: UserCreated) -> Decided<Self> { Decided(event.event) }
}

extension ErasureState {
    /// What happens to the account.
    ///
    /// - Throws: as the account's own.
    package func decided(_ event: some AccountEvent) throws(Refusal) -> Decided<Self> { Decided(try user.decided(event).event) }

    /// What each of the collections comes to, in their order.
    package func decided(inEach decide: (CollectionState) -> [any CollectionEvent]) -> [Decided<Self>] {
        collections.flatMap { collection in decide(collection).map { Decided(collection.decided($0).event) } }
    }
}
