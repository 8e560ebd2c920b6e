internal import NIOCore

/// How a request arrives: whether its head and body come as fast as they must. Only decides; time is a parameter.
struct Arrival {
    /// How long the head may take, from the connection's first moment or the head's first byte on.
    static let headTime = TimeAmount.seconds(10)
    /// How long a body may pause in all before its rate counts: of nobody, and of somebody who shows a token, perhaps a phone that
    /// loses its network in the middle of an upload. Whether the token is good is not known then; what such bodies hold is bounded
    /// with what strangers do.
    static let grace = TimeAmount.seconds(20)
    static let graceWithToken = TimeAmount.seconds(150)
    /// The lowest rate of a body, over the time that is spent waiting for it.
    static let bytesPerSecond = 1024

    enum Verdict: Equatable {
        case goesOn
        case headIsSlow
        case bodyIsSlow
    }

    private enum Phase {
        /// Nothing has come since the last request.
        case idle
        case head(since: NIODeadline)
        case body
        /// The request is there, and being answered.
        case whole
    }

    private var phase: Phase
    private var bodyBytes = 0
    private var grace = Self.grace
    /// How long the body was waited for, but for the wait that goes on.
    private var waited = TimeAmount.zero
    private var waitsSince: NIODeadline?

    /// A connection that was just opened: its first head is awaited from now on.
    init(at now: NIODeadline) { phase = .head(since: now) }

    /// Whether something is to come that must not take for ever.
    var isAwaited: Bool {
        switch phase {
        case .head, .body: true
        case .idle, .whole: false
        }
    }

    var isInHead: Bool {
        switch phase {
        case .idle, .head: true
        case .body, .whole: false
        }
    }

    mutating func bytesCame(at now: NIODeadline) { if case .idle = phase { phase = .head(since: now) } }

    mutating func headCame(at now: NIODeadline, bearsToken: Bool) {
        phase = .body
        grace = bearsToken ? Self.graceWithToken : Self.grace
        (bodyBytes, waited, waitsSince) = (0, .zero, now)
    }

    mutating func bodyCame(_ bytes: Int) { bodyBytes += bytes }
    mutating func ended() { phase = .whole }
    /// The request was answered, and the next one may come whenever it does.
    mutating func answered() { if case .whole = phase { phase = .idle } }

    /// More is asked of the client.
    mutating func reads(at now: NIODeadline) { if waitsSince == nil { waitsSince = now } }

    /// The client is not asked for more, for a reason of ours: that time is not the client's.
    mutating func pauses(at now: NIODeadline) {
        if let since = waitsSince { waited = waited + (now - since) }
        waitsSince = nil
    }

    func verdict(at now: NIODeadline) -> Verdict {
        switch phase {
        case .idle, .whole: return .goesOn
        case .head(let since): return now - since < Self.headTime ? .goesOn : .headIsSlow
        case .body:
            let waited = self.waited + (waitsSince.map { now - $0 } ?? .zero)
            return waited < grace + .seconds(Int64(bodyBytes / Self.bytesPerSecond)) ? .goesOn : .bodyIsSlow
        }
    }
}
