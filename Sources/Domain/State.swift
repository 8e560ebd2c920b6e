/// What a decision is made on: what was read at one position, kept up to date with the events since.
package protocol State: Sendable {
    /// Those of the claims that the command would make which are taken.
    var taken: TakenClaims { get set }

    /// The streams that it is of: what happens in them it takes in, and what is decided on it happens in one of them.
    var streams: [StreamID] { get }

    /// Takes in an event, which happened at `position` in one of the streams that the state depends on.
    mutating func evolve(_ event: Event, at position: Position)
}
