/// How often something may happen: `count` times at once, and as often again over each window that follows, evenly.
package struct RateLimit: Hashable, Sendable {
    package let count: Int
    package let window: Duration

    /// - Precondition: both are above 0.
    package init(_ count: Int, in window: Duration) {
        precondition(count > 0 && window > .zero, "a limit allows something, within some time")
        self.count = count
        self.window = window
    }

    /// Of the window, in microseconds.
    package var windowMicroseconds: Int64 { window.microseconds }
    /// After how many microseconds what has happened once is forgotten.
    package var intervalMicroseconds: Int64 { max(window.microseconds / Int64(count), 1) }
}

extension Duration {
    fileprivate var microseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }
}

/// What an operator can set about how often strangers may try something. Nil is for as often as they like.
package struct LimitSettings: Sendable {
    /// Failed logins of a name from an address.
    package var logins: RateLimit? = RateLimit(50, in: .seconds(3600))
    /// Failed logins of a name, from all addresses that it has not logged in from.
    package var loginsOfName: RateLimit? = RateLimit(500, in: .seconds(3600))
    /// Failed logins from an address, of all names that have not logged in from it.
    package var loginsFromAddress: RateLimit? = RateLimit(500, in: .seconds(3600))
    /// Sign-ups from an address.
    package var signups: RateLimit? = RateLimit(300, in: .seconds(3600))
    /// Invitations that a user sends.
    package var invitations: RateLimit? = RateLimit(1000, in: .seconds(3600))

    package init() {}
}
