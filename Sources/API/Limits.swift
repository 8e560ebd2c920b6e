internal import Domain
internal import Sodium

/// How often strangers may try something, and users what reaches others.
///
/// Pattern: what counts against somebody is a window (``Window``) of a name at an address, of a name, of an address, or of a user.
/// A name at an address has the strict one. Those of a name and of an address alone are wide, and none of the business of whoever has
/// logged in with this name from this address before: no stranger shuts out a user where the user is.
///
/// What succeeds counts against nobody: a login, or a challenge for a name that is there, is counted when it has failed. Between
/// looking and counting others may look too; what is tried so at one time is bounded by the connections of an address.
///
/// Each process counts for itself too. A challenge is weighed against that alone, since it is cheap and asked for often: of several
/// front ends each tells a stranger of so many names that nobody has, and a login is weighed against what all have counted.
package struct Limits: Sendable {
    /// How long an address that a name has logged in from is known as its own.
    static let knownFor = Duration.seconds(30 * 86_400)

    private let settings: LimitSettings
    private let key: [UInt8]
    private let local = LocalWindows()
    private let shared: (any SharedWindows)?

    /// - Parameters:
    ///   - secret: the server's secret.
    ///   - shared: what other processes weigh against too; none where this process is alone.
    package init(_ settings: LimitSettings, secret: [UInt8], shared: (any SharedWindows)?) {
        self.settings = settings
        key = Sodium.blake2b(secret, personalization: "apus-limits")
        self.shared = shared
    }

    /// Somebody wants to log in.
    ///
    /// - Throws: ``APIError`` 429 where too many logins have failed.
    func challenge(_ attempt: Attempt, at now: Timestamp) throws(APIError) {
        let wait = local.weigh(logins(attempt, .look), mark: mark(attempt), at: now.rawValue)
        guard wait == .zero else { throw .tooManyLogins(retryAfter: wait) }
    }

    /// Somebody wanted to log in under a name that cannot.
    ///
    /// - Throws: ``APIError`` 429 where too many logins have failed, at whichever front end.
    func failedChallenge(_ attempt: Attempt, at now: Timestamp) async throws(APIError) {
        _ = local.weigh(logins(attempt, .add), mark: mark(attempt), at: now.rawValue)
        let wait = await shared?.weigh(logins(attempt, .take), mark: mark(attempt)) ?? .zero
        guard wait == .zero else { throw .tooManyLogins(retryAfter: wait) }
    }

    /// Somebody shows that they know a password, or not.
    ///
    /// - Throws: ``APIError`` 429 where too many logins have failed.
    func login(_ attempt: Attempt, at now: Timestamp) async throws(APIError) {
        let wait = await weigh(logins(attempt, .look), of: attempt, at: now)
        guard wait == .zero else { throw .tooManyLogins(retryAfter: wait) }
    }

    func failed(_ attempt: Attempt, at now: Timestamp) async {
        let (weights, mark) = (logins(attempt, .add), mark(attempt))
        _ = local.weigh(weights, mark: mark, at: now.rawValue)
        _ = await shared?.weigh(weights, mark: mark)
    }

    func succeeded(_ attempt: Attempt, at now: Timestamp) async {
        guard let mark = mark(attempt), settings.loginsOfName != nil || settings.loginsFromAddress != nil else { return }
        local.remember(mark, for: Self.knownFor, at: now.rawValue)
        await shared?.remember(mark, for: Self.knownFor)
    }

    /// Somebody wants an account. Whoever asks on the machine itself is none of the strangers'.
    ///
    /// - Throws: ``APIError`` 503 where too many from the address wanted one.
    func signUp(from address: String?, at now: Timestamp) async throws(APIError) {
        guard let limit = settings.signups, let address else { return }
        let network = Self.network(of: address)
        guard !network.hasPrefix("127."), network != Self.network(of: "::1") else { return }
        try await take(window("signup", network, limit), at: now)
    }

    /// A user invites somebody.
    ///
    /// - Throws: ``APIError`` 503 where the user has sent too many.
    func invite(_ user: UserID, at now: Timestamp) async throws(APIError) {
        guard let limit = settings.invitations else { return }
        try await take(window("invite", "\(user.rawValue)", limit), at: now)
    }

    private func take(_ window: Window, at now: Timestamp) async throws(APIError) {
        let wait = await weigh([Weight(.take, window, isForStrangers: false)], mark: nil, at: now)
        guard wait == .zero else { throw .tooMany(retryAfter: wait) }
    }

    private func logins(_ attempt: Attempt, _ action: Weight.Action) -> [Weight] {
        var weights: [Weight] = []
        func add(_ limit: RateLimit?, _ kind: String, _ of: String?, isForStrangers: Bool) {
            guard let limit, let of else { return }
            weights.append(Weight(action, window("login \(kind)", of, limit), isForStrangers: isForStrangers))
        }
        let network = attempt.address.map { Self.network(of: $0) }
        add(settings.logins, "both", network.map { "\($0) \(attempt.name)" }, isForStrangers: false)
        add(settings.loginsOfName, "name", attempt.name, isForStrangers: true)
        add(settings.loginsFromAddress, "address", network, isForStrangers: true)
        return weights
    }

    private func weigh(_ weights: [Weight], of attempt: Attempt, at now: Timestamp) async -> Duration {
        await weigh(weights, mark: mark(attempt), at: now)
    }

    /// Where the shared windows are away, those of this process count.
    private func weigh(_ weights: [Weight], mark: [UInt8]?, at now: Timestamp) async -> Duration {
        guard !weights.isEmpty else { return .zero }
        if let wait = await shared?.weigh(weights, mark: mark) { return wait }
        return local.weigh(weights, mark: mark, at: now.rawValue)
    }

    private func mark(_ attempt: Attempt) -> [UInt8]? {
        attempt.address.map { hash("known", "\(Self.network(of: $0)) \(attempt.name)") }
    }

    private func window(_ kind: String, _ of: String, _ limit: RateLimit) -> Window { Window(key: hash(kind, of), limit) }

    private func hash(_ kind: String, _ of: String) -> [UInt8] {
        Sodium.blake2b(Array("\(kind) \(of)".utf8), key: key, length: Window.keyBytes)
    }

    /// What one who has an address has: of IPv6, the first half; of IPv4, also where it is written as IPv6, all of it.
    ///
    /// - Parameter address: as this program writes it.
    static func network(of address: String) -> String {
        guard address.has(":") else { return address }
        if let last = address.split(separator: ":").last, last.contains(".") { return String(last) }
        let halves = address.prefix { $0 != "%" }.replacing("::", with: ":*:").split(separator: ":")
        // What the two colons stand for is made of zeros.
        let missing = max(8 - (halves.count - 1), 0)
        let groups = halves.flatMap { $0 == "*" ? [Substring](repeating: "0", count: missing) : [$0] }
        return groups.prefix(4).joined(separator: ":") + "/64"
    }
}

/// Who tries to log in, and from where.
struct Attempt: Sendable {
    let name: String
    /// Nil where it is not known: then the name alone counts.
    let address: String?
}
