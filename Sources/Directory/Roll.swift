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

/// What the directory has said of somebody.
struct Said: Hashable, Sendable {
    let user: UserID
    /// Nil where they are not there.
    let listing: Listing?
    /// How long ago that was.
    let age: Duration
}

/// What a directory has said of users, and what follows from it: pure, so that it can be tested without a directory or a clock.
///
/// An answer is good for ``freshness``; then it is asked for again, behind those who make requests, as long as they make some. While
/// the directory is away the last answer holds for ``grace`` beyond that, also one that was kept, which another process was given, or an
/// earlier one. While the directory answers those count for nothing: it is asked.
struct Roll {
    typealias Instant = ContinuousClock.Instant

    private struct Entry {
        let listing: Listing?
        let time: Instant
        /// When somebody was last concerned with the user.
        var use: Instant
        /// Whether they were out when it was last told who is.
        var wasOut: Bool
        /// Whether somebody else was told, and it was kept.
        var isRecalled = false
        /// What of it is kept: what was said, and when.
        var kept: (listing: Listing?, time: Instant)?
    }

    private let freshness: Duration
    private let grace: Duration
    private let recalls: Bool
    /// Of whom nothing is kept, as was found while the directory is away.
    private var unknown: Set<UserID> = []
    private var entries: [UserID: Entry] = [:]
    /// Since when the directory does not answer; nil while it does, as far as is known.
    private(set) var awaySince: Instant?

    /// - Parameter recalls: whether answers are kept where they outlive a process.
    init(freshness: Duration, grace: Duration, recalls: Bool = false) {
        self.freshness = freshness
        self.grace = grace
        self.recalls = recalls
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
        guard let entry = entries[user] else {
            return awaySince == nil || (recalls && !unknown.contains(user)) ? .unknown : .unavailable
        }
        let age = now - entry.time
        let answer = entry.listing == nil ? DirectoryStanding.refused : .admitted
        guard awaySince == nil else { return age <= freshness + grace ? answer : .unavailable }
        guard !entry.isRecalled else { return .unknown }
        return age <= (entry.listing == nil ? refusalFreshness : freshness + Self.lateness) ? answer : .unknown
    }

    func isAdmin(_ user: UserID) -> Bool { entries[user]?.listing?.isAdmin ?? false }

    /// Takes down what the directory has said of a user.
    mutating func note(_ listing: Listing?, of user: UserID, at now: Instant) {
        let before = entries[user]
        entries[user] = Entry(
            listing: listing, time: now, use: before?.use ?? now, wasOut: before?.wasOut ?? false, kept: before?.kept)
        answered()
    }

    // MARK: What is kept

    /// Whether the directory is to be asked for a user before anything is done.
    func isToBeAsked(for user: UserID, at now: Instant) -> Bool { awaySince == nil && standing(of: user, at: now) == .unknown }

    /// Whether it is to be looked up what is kept of a user.
    func isToBeRecalled(_ user: UserID, at now: Instant) -> Bool { awaySince != nil && standing(of: user, at: now) == .unknown }

    /// Takes down what was kept of a user; nil where that is nothing.
    mutating func recall(_ said: Said?, of user: UserID, at now: Instant) {
        guard let said else {
            if awaySince != nil { unknown.insert(user) }
            return
        }
        // Meanwhile it may have been said here.
        guard entries[user] == nil else { return }
        let time = now - said.age
        entries[user] = Entry(
            listing: said.listing, time: time, use: now, wasOut: false, isRecalled: true, kept: (listing: said.listing, time: time))
    }

    /// What is to be kept: what has changed, what is much older where it is kept, and while the directory is away all that is older
    /// there, for that is what a process that is started now has to go on with.
    func unkept(at now: Instant) -> [Said] {
        let span = awaySince == nil ? max(freshness, grace / 8) : .zero
        return entries.compactMap { user, entry in
            if let kept = entry.kept, kept.listing == entry.listing, entry.time - kept.time <= span { return nil }
            return Said(user: user, listing: entry.listing, age: now - entry.time)
        }
    }

    /// What was to be kept at that time is.
    mutating func kept(_ said: [Said], at time: Instant) {
        for said in said { entries[said.user]?.kept = (listing: said.listing, time: time - said.age) }
    }

    // MARK: The directory

    /// The directory answers.
    mutating func answered() {
        awaySince = nil
        unknown = []
    }

    /// The directory does not answer.
    mutating func failed(at now: Instant) { awaySince = awaySince ?? now }

    /// Whether it has been away for longer than answers hold.
    func isGraceOver(at now: Instant) -> Bool { awaySince.map { now - $0 > grace } ?? false }

    /// The users to ask for again, those first whose answers are the oldest. Those are forgotten of whom nobody has asked for long.
    mutating func due(at now: Instant) -> [UserID] {
        entries = entries.filter { now - $0.value.use <= interest }
        let due = entries.filter { $0.value.isRecalled || now - $0.value.time >= freshness }
        return due.sorted { $0.value.time < $1.value.time }.map(\.key)
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
