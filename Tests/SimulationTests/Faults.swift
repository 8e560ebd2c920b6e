/// What is built wrongly on purpose, to see that it is found.
enum Fault: String, CaseIterable, Sendable {
    /// Positions are given out by a sequence: the head row is not locked until the commit.
    case sequence
    /// A projector's transaction does not look whether the lease and the checkpoint are still its own.
    case noFence
    /// A gateway sends what hints tell it of, and never looks by itself.
    case trustsHints
    /// A reader takes the tables as they are.
    case readerDoesNotWait
    /// Whether claims are taken is looked up in another transaction than the one that makes them.
    case claimsOutside
    /// A ticket is looked up and forgotten in two steps.
    case ticketTwice
    /// A promoted standby that has lost the end of the log goes on in the same epoch.
    case epochNotBegun
}
