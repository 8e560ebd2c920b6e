internal import Domain

/// What is to be done with somebody's request.
package enum DirectoryStanding: Hashable, Sendable {
    case admitted
    /// They are not in the directory.
    case refused
    /// The directory is to be asked before anything is done.
    case unknown
    /// It is away, and what it said last, if anything, is too old.
    case unavailable

    /// Whether nothing goes to them any more.
    package var isOut: Bool { self == .refused || self == .unavailable }
}

/// What a directory has said of users, and what follows from it: pure, so that it can be tested without a directory or a clock.
///
/// An answer is good for ``freshness``; then it is asked for again, behind those who make requests, as long as they make some. While
/// the directory is away the last answer holds for ``grace`` beyond that.
struct Roll {
    typealias Instant = ContinuousClock.Instant

    private struct Entry {
        let listing: Listing?
        let time: Instant
        /// When somebody was last concerned with the user.
        var use: Instant
        /// Whether they were out when it was last told who is.
        var wasOut: Bool
    }

    private let freshness: Duration
    private let grace: Duration
    private var entries: [UserID: Entry] = [:]
    /// Since when the directory does not answer; nil while it does, as far as is known.
    private(set) var awaySince: Instant?

    init(freshness: Duration, grace: Duration) {
        self.freshness = freshness
        self.grace = grace
    }

    /// How late an answer may be asked for again before requests wait for it: longer than it takes to find out that nobody answers.
    private static let lateness = Duration.seconds(60)
    /// How long one who is not in the directory is so without a question: who was put into it does not wait for longer.
    private var refusalFreshness: Duration { min(.seconds(10), freshness) }
    /// How long users are followed of whom nobody has asked: so long answers may be needed.
    private var interest: Duration { max(freshness, grace) }

    /// What is to be done with a request, which is noted.
    mutating func use(by user: UserID, at now: Instant) -> DirectoryStanding {
        entries[user]?.use = now
        return standing(of: user, at: now)
    }

    func standing(of user: UserID, at now: Instant) -> DirectoryStanding {
        guard let entry = entries[user] else { return awaySince == nil ? .unknown : .unavailable }
        let age = now - entry.time
        let answer = entry.listing == nil ? DirectoryStanding.refused : .admitted
        guard awaySince == nil else { return age <= freshness + grace ? answer : .unavailable }
        return age <= (entry.listing == nil ? refusalFreshness : freshness + Self.lateness) ? answer : .unknown
    }

    func isAdmin(_ user: UserID) -> Bool { entries[user]?.listing?.isAdmin ?? false }

    /// Takes down what the directory has said of a user.
    mutating func note(_ listing: Listing?, of user: UserID, at now: Instant) {
        let before = entries[user]
        entries[user] = Entry(listing: listing, time: now, use: before?.use ?? now, wasOut: before?.wasOut ?? false)
        answered()
    }

    /// The directory answers.
    mutating func answered() { awaySince = nil }

    /// The directory does not answer.
    mutating func failed(at now: Instant) { awaySince = awaySince ?? now }

    /// Whether it has been away for longer than answers hold.
    func isGraceOver(at now: Instant) -> Bool { awaySince.map { now - $0 > grace } ?? false }

    /// The users to ask for again, those first whose answers are the oldest. Those are forgotten of whom nobody has asked for long.
    mutating func due(at now: Instant) -> [UserID] {
        entries = entries.filter { now - $0.value.use <= interest }
        return entries.filter { now - $0.value.time >= freshness }.sorted { $0.value.time < $1.value.time }.map(\.key)
    }

    /// The users who have come to be out since this was asked for the last time.
    mutating func newlyOut(at now: Instant) -> [UserID] {
        var found: [UserID] = []
        for (user, entry) in entries {
            let isOut = standing(of: user, at: now).isOut
            if isOut, !entry.wasOut { found.append(user) }
            entries[user]?.wasOut = isOut
        }
        return found
    }
}
