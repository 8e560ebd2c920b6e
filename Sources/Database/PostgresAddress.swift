internal import CPostgres
internal import Foundation
internal import Sodium
internal import Synchronization

/// Where a database of PostgreSQL is, as all sessions with it know it, and since when what they know of it may be wrong.
///
/// The servers behind an address change their roles while they live. A session that finds out, because it broke, was not
/// answered or could not write, makes all others suspect: each is opened anew before its next use.
final class PostgresAddress: Sendable {
    /// How often sessions become suspect, at most: a database that cannot be written for an hour must not cost a new session
    /// for each write.
    private static let suspicionInterval = Duration.seconds(1)

    /// Bounds on how long a dead server can hold us, and what else holds unless the address says otherwise. The time limit
    /// is libpq's, for each of the servers that the address names.
    private static let defaults = [
        ("keepalives_idle", "30"), ("keepalives_interval", "10"), ("keepalives_count", "3"), ("tcp_user_timeout", "15000"),
        ("application_name", "apus"),
    ]
    private static let connectSeconds = (alone: 5, amongOthers: 2)
    /// How long a server with which a session has broken may keep those waiting who have found others, which cannot be written: one
    /// of these may be promoted meanwhile.
    private static let brokenLimit = Duration.seconds(1)

    private struct Suspicion {
        var count = 0
        var last: ContinuousClock.Instant?
    }

    /// Whether there is a server that can be used.
    private struct Absence {
        /// When the first attempt to open a session began that has not succeeded; nil while there is none such.
        var since: ContinuousClock.Instant?
        /// How long earlier ones were waited through.
        var earlier = Duration.zero
    }

    /// By libpq's keywords; nil where the address is not understood. They may hold a password.
    private let parameters: Hidden<[String: String]>?
    private let suspicion = Mutex(Suspicion())
    /// For how long an absence is waited through.
    private let moveLimit: Duration
    private let absence = Mutex(Absence())
    private let beginning = ContinuousClock.now
    /// The servers with which a session has broken, the one that did so last at the end; each as ``Host``.
    private let broken = Mutex<[Host]>([])

    /// One of the servers that an address names.
    struct Host: Hashable, Sendable {
        let name: String
        let port: String
    }

    /// - Parameter moveLimit: for how long an absence is waited through.
    init(url: String, role: PostgresDatabase.Role, moveLimit: Duration = .zero) {
        self.moveLimit = moveLimit
        parameters = Self.parse(url).map { given in
            var parameters = Dictionary(Self.defaults) { $1 }
            let isAmongOthers = ["host", "hostaddr"].contains { given[$0]?.contains(",") == true }
            parameters["connect_timeout"] = "\(isAmongOthers ? Self.connectSeconds.amongOthers : Self.connectSeconds.alone)"
            if role == .writable { parameters["target_session_attrs"] = "read-write" }
            return Hidden(parameters.merging(given) { $1 })
        }
    }

    /// Whether libpq understands the address.
    var isUnderstood: Bool { parameters != nil }

    /// What holds for the sessions, by libpq's keyword.
    func parameter(_ keyword: String) -> String? { parameters?.value[keyword] }

    /// How often sessions have become suspect: those that were opened at a lower count are.
    var suspicions: Int { suspicion.withLock { $0.count } }

    /// Makes all sessions suspect.
    func suspect(at now: ContinuousClock.Instant = .now) {
        suspicion.withLock { suspicion in
            if let last = suspicion.last, now - last < Self.suspicionInterval { return }
            suspicion.count += 1
            suspicion.last = now
        }
    }

    /// Time that stands still while an absence is waited through: what is bounded by it may take as much longer.
    var time: Duration { time(at: .now) }

    func time(at now: ContinuousClock.Instant) -> Duration {
        absence.withLock { absence in
            let present = absence.since.map { min(now - $0, moveLimit) } ?? .zero
            return now - beginning - absence.earlier - present
        }
    }

    /// Whether there is no server that can be used, for so short a time that those who need one wait for it.
    var isMoving: Bool { isMoving(at: .now) }

    func isMoving(at now: ContinuousClock.Instant) -> Bool {
        absence.withLock { absence in absence.since.map { now - $0 < moveLimit } ?? false }
    }

    /// Notes that somebody begins to open a session. Whether there is a server is known when that is done, which may take seconds.
    func isLookedFor(at now: ContinuousClock.Instant = .now) {
        absence.withLock { $0.since = $0.since ?? now }
    }

    /// Notes that a session was opened.
    func isBack(at now: ContinuousClock.Instant = .now) {
        absence.withLock { absence in
            if let since = absence.since { absence.earlier += min(now - since, moveLimit) }
            absence.since = nil
        }
    }

    /// Notes that a session with a server has broken: it is tried after the others from now on, and not for long. One that is frozen or
    /// cut off would cost each new session all the time that libpq gives it.
    func broke(_ host: Host) {
        broken.withLock { hosts in
            hosts.removeAll { $0 == host }
            hosts.append(host)
        }
    }

    /// Parameters of libpq, and whether they lead to a server with which a session has broken.
    struct Attempt: Equatable {
        var parameters: [String: String]
        let isBroken: Bool
    }

    /// The parameters as they are tried one after the other: first with all servers with which no session has broken, in their order.
    func attempts(_ parameters: [String: String]) -> [Attempt] {
        let lists = ["host", "hostaddr", "port"].reduce(into: [:]) { lists, keyword in
            lists[keyword] = parameters[keyword]?.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        guard let names = lists["host"] ?? lists["hostaddr"], names.count > 1 else {
            return [Attempt(parameters: parameters, isBroken: false)]
        }
        let ports = lists["port"] ?? []
        // One port is that of all.
        let hosts = names.indices.map { Host(name: names[$0], port: (ports.count == 1 ? ports[0] : ports.dropFirst($0).first) ?? "") }
        let broken = broken.withLock { $0 }
        func isSame(_ known: Host, _ host: Host) -> Bool { known.name == host.name && (host.port.isEmpty || known.port == host.port) }
        let rank = hosts.map { host in broken.firstIndex { isSame($0, host) } }
        let perHost = lists.filter { $0.value.count == hosts.count }
        func attempt(_ chosen: [Int], isBroken: Bool) -> Attempt {
            let lists = perHost.mapValues { list in chosen.map { list[$0] }.joined(separator: ",") }
            return Attempt(parameters: parameters.merging(lists) { $1 }, isBroken: isBroken)
        }
        let whole = hosts.indices.filter { rank[$0] == nil }
        let others = hosts.indices.filter { rank[$0] != nil }.sorted { (rank[$0] ?? 0, $0) < (rank[$1] ?? 0, $1) }
        return (whole.isEmpty ? [] : [attempt(whole, isBroken: false)]) + others.map { attempt([$0], isBroken: true) }
    }

    /// Opens a connection. Waits as long as libpq does, but less for a server with which a session has broken where others answer.
    ///
    /// Where no server can be written, one that is no standby will do: what it answers is true. (Its disk is full, say.) It is
    /// not looked for where a server was waited for in vain, which would be waited for again.
    func connect() throws(DatabaseFault) -> PostgresWire {
        guard let parameters = parameters?.value else {
            throw DatabaseFault(.unavailable, "PostgreSQL: no connection: the address is not understood")
        }
        var attempts = attempts(parameters)
        do throws(Unreachable) { return try Self.open(attempts) } catch {
            if parameters["target_session_attrs"] == "read-write", error.canOnlyBeRead, !error.isLate {
                for index in attempts.indices { attempts[index].parameters["target_session_attrs"] = "primary" }
                do throws(Unreachable) { return try Self.open(attempts) } catch {}
            }
            let hint = error.canOnlyBeRead ? " (a standby? only target_session_attrs=any in the address lets it be one)" : ""
            throw DatabaseFault(.unavailable, "PostgreSQL: no connection: \(error.reason)\(hint)", isAway: true)
        }
    }

    /// What a connection to the very server of another one is opened with.
    func parameters(of wire: PostgresWire) -> Hidden<[String: String]> {
        var parameters = parameters?.value ?? [:]
        for (keyword, value) in wire.place { parameters[keyword] = value }
        parameters["target_session_attrs"] = "any"
        return Hidden(parameters)
    }

    private struct Unreachable: Error {
        let reason: String
        /// libpq's own words for a server that is up and has another role.
        var canOnlyBeRead: Bool { reason.contains("session is read-only") }
        var isLate: Bool { reason.contains("timeout expired") }
    }

    private static func open(_ attempts: [Attempt]) throws(Unreachable) -> PostgresWire {
        var (reasons, othersAnswer) = ([String](), false)
        for attempt in attempts {
            let limit = attempt.isBroken && othersAnswer ? brokenLimit : nil
            do throws(Unreachable) { return try open(attempt.parameters, within: limit) } catch {
                reasons.append(error.reason)
                othersAnswer = othersAnswer || error.canOnlyBeRead
            }
        }
        throw Unreachable(reason: reasons.joined(separator: "; "))
    }

    /// - Parameter limit: nil for as long as libpq waits.
    private static func open(_ parameters: [String: String], within limit: Duration?) throws(Unreachable) -> PostgresWire {
        let handle = unsafe withArrays(parameters) { keywords, values in
            unsafe limit == nil ? PQconnectdbParams(keywords, values, 0) : PQconnectStartParams(keywords, values, 0)
        }
        guard let handle = unsafe handle else { throw Unreachable(reason: "out of memory") }
        let wire = unsafe PostgresWire(owning: handle)
        if let limit, wire.connect(until: .now + limit) == nil {
            let place = wire.host
            throw Unreachable(reason: "connection to server at \(place.name), port \(place.port) failed: timeout expired")
        }
        guard wire.isWhole else { throw Unreachable(reason: wire.reason) }
        return wire
    }

    /// Calls `body` with what libpq takes: keywords and values, each list ended by a null, good while it runs.
    static func withArrays<T>(
        _ parameters: [String: String], _ body: (UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<UnsafePointer<CChar>?>) -> T
    ) -> T {
        let parameters = parameters.sorted { $0.key < $1.key }
        let keywords = unsafe parameters.map { unsafe strdup($0.key) }
        let values = unsafe parameters.map { unsafe strdup($0.value) }
        defer { unsafe (keywords + values).forEach { unsafe free($0) } }
        return unsafe body(
            keywords.map { unsafe UnsafePointer($0) } + [nil], values.map { unsafe UnsafePointer($0) } + [nil])
    }

    /// What an address says, by libpq's keywords; nil where it is not understood.
    private static func parse(_ url: String) -> [String: String]? {
        guard let options = unsafe PQconninfoParse(url, nil) else { return nil }
        defer { unsafe PQconninfoFree(options) }
        var given: [String: String] = [:]
        var next = unsafe options
        while let keyword = unsafe next.pointee.keyword {
            if let value = unsafe next.pointee.val { unsafe given[String(cString: keyword)] = String(cString: value) }
            unsafe next += 1
        }
        return given
    }
}
