/// What a decision is made on: what was read at one position, kept up to date with the events since.
public protocol State: Sendable {
    /// Those of the claims that the command would make which are taken.
    var taken: TakenClaims { get set }

    /// Takes in an event, which happened at `position` in one of the streams that the state depends on.
    mutating func evolve(_ event: Event, at position: Position)
}
