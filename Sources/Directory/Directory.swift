/// The directory (LDAP) that says who may have an account here, where the operator has one.
///
/// Pattern: whoever makes a request is looked up in a ``Roll`` of what the directory has said, which waits for nothing. Only of one
/// of whom nothing is known the directory is asked on the way; of all others it is asked again behind the requests
/// (``Directory/run()``). ``DirectoryClient`` asks, over ``LDAPConnection``.
///
/// Invariants: a name stands in a filter as a value and nothing else. Nobody who was let in is thrown out because the directory does
/// not answer, before the time that the operator has set is over. No request waits for a directory that is known to be away.
///
/// Concurrency: the roll is guarded by a lock that is never held across a call of anything else; the library blocks one thread.
package import Domain
package import Logging
import ServiceLifecycle
internal import Synchronization
internal import Telemetry

/// Who is in the directory, as far as is known.
package final class Directory: Service {
    /// How often it is asked whether it answers, where nobody else asks; and how often what is due is looked for.
    private static let pulseInterval = Duration.seconds(30)
    private static let longestInterval = Duration.seconds(5)

    private let settings: DirectorySettings
    private let client: DirectoryClient
    private let name: @Sendable (UserID) async throws -> CanonicalName?
    private let kept: KeptListings
    private let tellOut: @Sendable ([UserID]) -> Void
    private let logger: Logger
    private let roll: Mutex<Roll>
    private let lastContact = Mutex<ContinuousClock.Instant?>(nil)

    /// - Parameters:
    ///   - kept: where answers outlive the process.
    ///   - name: what a user is called; nil where there is no such user.
    ///   - tellOut: told of users who may not be here any more.
    package init(
        _ settings: DirectorySettings, logger: Logger, kept: KeptListings,
        name: @escaping @Sendable (UserID) async throws -> CanonicalName?,
        tellOut: @escaping @Sendable ([UserID]) -> Void
    ) {
        self.settings = settings
        self.logger = logger
        self.kept = kept
        self.name = name
        self.tellOut = tellOut
        client = DirectoryClient(settings)
        roll = Mutex(Roll(freshness: settings.freshness, grace: settings.grace, recalls: true))
    }

    // MARK: - Who may be here

    /// What is to be done with a request of a user. Never waits.
    package func standing(of user: UserID) -> DirectoryStanding { roll.withLock { $0.use(by: user, at: .now) } }

    /// The same, once the directory was asked where that is to be done, or while it is away, what it has said before.
    ///
    /// - Throws: `DatabaseFault` where it cannot be said what the user is called, or what is kept of them.
    package func settledStanding(of user: UserID) async throws -> DirectoryStanding {
        let standing = standing(of: user)
        guard standing == .unknown else { return standing }
        // Whoever is not there any more has no session either.
        guard let name = try await name(user) else { return .refused }
        await look(user, name) { [self] in roll.withLock { $0.isToBeAsked(for: user, at: .now) } }
        if roll.withLock({ $0.isToBeRecalled(user, at: .now) }) {
            let said = try await kept.said(of: user)
            roll.withLock { $0.recall(said, of: user, at: .now) }
        }
        let settled = self.standing(of: user)
        return settled == .unknown ? .unavailable : settled
    }

    /// Whether somebody is there who has no account yet. Always asked: what is said is kept for nobody.
    ///
    /// - Throws: ``DirectoryFault``
    package func isListed(_ name: CanonicalName) async throws(DirectoryFault) -> Bool {
        guard roll.withLock({ $0.awaySince }) == nil else { throw DirectoryFault("the directory is away") }
        do throws(DirectoryFault) {
            let found = try await client.look(name) ?? nil
            answered()
            return found != nil
        } catch {
            failed(error)
            throw error
        }
    }

    /// Whether a user is in the group of those who administer the server.
    ///
    /// - Throws: `DatabaseFault` where it cannot be said what the user is called.
    package func isAdmin(_ user: UserID) async throws -> Bool {
        guard try await settledStanding(of: user) == .admitted else { return false }
        return roll.withLock { $0.isAdmin(user) }
    }

    // MARK: - How it is

    /// Whether it answers.
    package enum Condition: Hashable, Sendable {
        case well
        /// Those who were let in before still are.
        case away
        /// Nobody is let in any more.
        case awayForTooLong
    }

    package var condition: Condition {
        roll.withLock { roll in
            guard roll.awaySince != nil else { return .well }
            return roll.isGraceOver(at: .now) ? .awayForTooLong : .away
        }
    }

    // MARK: - Behind the requests

    /// Asks again for what is due, and whether the directory answers, until the program shuts down.
    package func run() async throws {
        for server in settings.unencrypted {
            logger.warning(
                "passwords and names go to the directory as they are: use ldaps:// or APUS_LDAP_STARTTLS", metadata: ["server": "\(server)"]
            )
        }
        let interval = min(Self.longestInterval, settings.freshness / 4)
        do {
            try await cancelWhenGracefulShutdown {
                while true {
                    await self.refresh()
                    try await Task.sleep(for: interval)
                }
            }
        } catch is CancellationError {}
    }

    private func refresh() async {
        let isAway = roll.withLock { $0.awaySince } != nil
        let isIdle = lastContact.withLock { $0.map { .now - $0 >= Self.pulseInterval } ?? true }
        if isAway || isIdle { await takePulse() }
        for user in roll.withLock({ $0.due(at: .now) }) {
            // What cannot be asked now is asked when it answers again.
            guard roll.withLock({ $0.awaySince }) == nil, !Task.isCancelled else { break }
            do {
                guard let name = try await name(user) else { continue }
                await look(user, name) { true }
            } catch { logger.warning("a name could not be read to ask the directory for it", metadata: ["fault": "\(error)"]) }
        }
        await keep()
        tellNewlyOut()
    }

    /// Seldom is there anything to keep.
    private func keep() async {
        let now = ContinuousClock.now
        let said = roll.withLock { $0.unkept(at: now) }
        guard !said.isEmpty else { return }
        do {
            try await kept.keep(said)
            roll.withLock { $0.kept(said, at: now) }
        } catch { logger.warning("what the directory has said could not be kept", metadata: ["fault": "\(error)"]) }
    }

    private func takePulse() async {
        do throws(DirectoryFault) {
            try await client.probe()
            answered()
        } catch { failed(error) }
    }

    private func look(_ user: UserID, _ name: CanonicalName, if isWanted: @escaping @Sendable () -> Bool) async {
        do throws(DirectoryFault) {
            guard let listing = try await client.look(name, if: isWanted) else { return }
            answered()
            roll.withLock { $0.note(listing, of: user, at: .now) }
            if listing == nil { tellNewlyOut() }
        } catch { failed(error) }
    }

    private func tellNewlyOut() {
        let out = roll.withLock { $0.newlyOut(at: .now) }
        if !out.isEmpty { tellOut(out) }
    }

    private func answered() {
        lastContact.withLock { $0 = .now }
        let wasAway = roll.withLock { roll in
            defer { roll.answered() }
            return roll.awaySince != nil
        }
        if wasAway { logger.notice("the directory answers again") }
    }

    private func failed(_ fault: DirectoryFault) {
        lastContact.withLock { $0 = .now }
        let wasAway = roll.withLock { roll in
            defer { roll.failed(at: .now) }
            return roll.awaySince != nil
        }
        if !wasAway { logger.warning("the directory does not answer", metadata: ["fault": "\(fault)"]) }
    }
}
