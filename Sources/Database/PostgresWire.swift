internal import CPostgres
internal import Foundation
internal import Logging
internal import Sodium

/// A connection of libpq, and the one place where anybody waits for a server: never longer than a limit of our own.
///
/// A server that is frozen, not dead, holds whoever waits for it as long as it is frozen: its own time limits stand still
/// with it, and its kernel still acknowledges what it is sent. So libpq never waits (but while it connects, where it has a
/// limit); the socket is polled here. Where a round trip is silent for ``patience``, the server's pulse is taken: it must
/// answer on another connection, and be the one that was spoken with. If it is, the wait goes on, to ``limit`` for what
/// requests ask and without end for what may take long; if not, the connection is given up. (A driver that waits for many
/// sessions at once would take over ``wait(for:)``.)
///
/// Safe: the handle is closed here, once, and lives as long as the object.
@safe final class PostgresWire {
    /// How long an answer may keep us waiting before the pulse is taken, and how long that may take.
    static let patience = Duration.seconds(2)
    private static let pulseLimit = Duration.seconds(2)
    /// The longest round trip of what is bounded by the server's `statement_timeout`, which must have its say first.
    static let limitOfStatements = Duration.seconds(35)

    let handle: OpaquePointer
    /// Asks whether the server lives: nil before it is known which it is.
    var hasPulse: (() -> Bool)?
    /// How long the round trip may take; nil where it may take as long as it likes.
    var limit: Duration? = limitOfStatements
    /// Why the connection was given up.
    private(set) var fault: DatabaseFault?
    /// When the round trip began, and when the other side gave the last sign of life.
    private var began = ContinuousClock.now
    private var lastSign = ContinuousClock.now

    init(owning handle: OpaquePointer) {
        unsafe self.handle = handle
        // What is sent waits in memory rather than here. It fails only where there is no connection.
        unsafe PQsetnonblocking(handle, 1)
        // libpq would write them to the standard error stream. It calls this only while it is called itself, by us.
        _ = unsafe PQsetNoticeReceiver(
            handle,
            { wire, notice in
                guard let wire = unsafe wire, let text = unsafe PQresultErrorMessage(notice) else { return }
                let words = unsafe String(cString: text).split(whereSeparator: \.isNewline).joined(separator: " ")
                Logger(label: "apus").warning("PostgreSQL says something", metadata: ["notice": "\(words)"])
                let source = unsafe PQresultErrorField(notice, PostgresWire.sourceFunction).map { unsafe String(cString: $0) }
                guard source == PostgresWire.waitForStandbys else { return }
                let state = unsafe PQresultErrorField(notice, PostgresWire.sqlState).map { unsafe String(cString: $0) }
                let whole = unsafe Unmanaged<PostgresWire>.fromOpaque(wire).takeUnretainedValue()
                whole.isUnreplicated = true
                whole.isCalledOff = state != PostgresWire.adminShutdown
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// `PG_DIAG_SOURCE_FUNCTION`: who in the server says something. Its words are in whatever language it speaks.
    private static let sourceFunction = Int32(UInt8(ascii: "R"))
    /// Who in the server waits until a synchronous standby has a commit. It says only that it waits no longer: the commit is then on
    /// the server's own disk, and the server calls it good all the same. It may be lost with that server, so it is not acknowledged.
    private static let waitForStandbys = "SyncRepWaitForLSN"
    private var isUnreplicated = false
    /// Whether it was called off by somebody, and not by the end of the session.
    private(set) var isCalledOff = false
    /// `PG_DIAG_SQLSTATE`, and what it is then.
    private static let sqlState = Int32(UInt8(ascii: "C"))
    private static let adminShutdown = "57P01"

    deinit { unsafe PQfinish(handle) }

    /// Whether the server can be spoken with, as far as is known.
    var isWhole: Bool { unsafe fault == nil && PQstatus(handle) == CONNECTION_OK }

    /// Whether the other side has not ended the connection, as far as has come here. Asks nobody.
    var isThere: Bool {
        while isWhole {
            var socket = pollfd(fd: unsafe PQsocket(handle), events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&socket, 1, 0) > 0 else { return true }
            guard unsafe PQconsumeInput(handle) == 1 else { return false }
        }
        return false
    }

    /// Why no connection came about: who, where and what the server said, a line for each address that was tried. Questions
    /// to the reader are indented.
    var reason: String {
        guard let message = unsafe PQerrorMessage(handle) else { return "no reason" }
        return unsafe String(cString: message).split(separator: "\n").filter { !$0.hasPrefix("\t") }.joined(separator: "; ")
    }

    /// To which of an address's servers the connection leads, by libpq's keywords.
    var place: [String: String] {
        var place: [String: String] = [:]
        if let host = unsafe PQhost(handle) { place["host"] = unsafe String(cString: host) }
        if let port = unsafe PQport(handle) { place["port"] = unsafe String(cString: port) }
        if let address = unsafe PQhostaddr(handle), unsafe address.pointee != 0, place["host"]?.hasPrefix("/") != true {
            place["hostaddr"] = unsafe String(cString: address)
        }
        return place
    }

    /// The same, in the words of the address.
    var host: PostgresAddress.Host {
        let (host, port) = unsafe (PQhost(handle), PQport(handle))
        return unsafe .init(name: host.map { unsafe String(cString: $0) } ?? "", port: port.map { unsafe String(cString: $0) } ?? "")
    }

    /// Gives the connection up, and answers with why.
    @discardableResult
    func giveUp(_ reason: String) -> DatabaseFault {
        let fault = DatabaseFault(.unavailable, "PostgreSQL: \(reason)", isAway: true)
        self.fault = self.fault ?? fault
        // Whatever libpq would still like to say is not waited for.
        unsafe _ = shutdown(PQsocket(handle), Int32(SHUT_RDWR))
        return self.fault ?? fault
    }

    /// Checks that something could be sent; where not, nothing sensible can be said on the connection any more.
    func sent(_ isSent: Int32) throws(DatabaseFault) {
        if let fault { throw fault }
        guard isSent == 1 else { throw giveUp("nothing can be sent") }
    }

    /// Begins a round trip: from here its time is counted.
    func beginTrip() {
        began = .now
        lastSign = began
    }

    /// Sends all that libpq holds.
    func flush() throws(DatabaseFault) {
        while true {
            if let fault { throw fault }
            switch unsafe PQflush(handle) {
            case 0: return
            case 1: break
            default: throw giveUp("the connection was lost")
            }
            // A server that does not take what it is sent may be waiting for us to take what it says.
            if try wait(for: Int16(POLLIN) | Int16(POLLOUT)) & Int16(POLLIN) != 0 { try consume() }
        }
    }

    /// The next answer; null behind the last one of a statement. Whoever takes it frees it.
    func answer() throws(DatabaseFault) -> OpaquePointer? {
        if let fault { throw fault }
        while unsafe PQisBusy(handle) == 1 {
            try flush()
            _ = try wait(for: Int16(POLLIN))
            try consume()
        }
        let answer = unsafe PQgetResult(handle)
        guard !isUnreplicated else {
            unsafe PQclear(answer)
            throw giveUp("a commit is on no synchronous standby")
        }
        return unsafe answer
    }

    /// Goes on with a connection that was begun with `PQconnectStartParams`.
    ///
    /// - Returns: whether it has come about; nil where neither was known in time.
    func connect(until end: ContinuousClock.Instant) -> Bool? {
        var next = PGRES_POLLING_WRITING
        while next != PGRES_POLLING_OK {
            guard next != PGRES_POLLING_FAILED else { return false }
            guard isReady(for: next == PGRES_POLLING_READING ? Int16(POLLIN) : Int16(POLLOUT), until: end) else { return nil }
            next = unsafe PQconnectPoll(handle)
        }
        unsafe PQsetnonblocking(handle, 1)
        return true
    }

    /// Waits until something of `events` is so; answers false where it is not in time.
    func isReady(for events: Int16, until end: ContinuousClock.Instant) -> Bool {
        while true {
            let left = (end - .now) / .milliseconds(1)
            guard left > 0 else { return false }
            var socket = pollfd(fd: unsafe PQsocket(handle), events: events, revents: 0)
            if unsafe poll(&socket, 1, Int32(left.rounded(.up))) > 0 { return true }
        }
    }

    private func consume() throws(DatabaseFault) {
        guard unsafe PQconsumeInput(handle) == 1 else { throw giveUp("the connection was lost") }
        lastSign = .now
    }

    /// Waits until something of `events` is so, and answers with what. Not for ever.
    private func wait(for events: Int16) throws(DatabaseFault) -> Int16 {
        while true {
            var socket = pollfd(fd: unsafe PQsocket(handle), events: events, revents: 0)
            let isReady = unsafe poll(&socket, 1, Int32((Self.patience / .milliseconds(1)).rounded(.up)))
            if isReady > 0 { return socket.revents }
            guard isReady == 0 || errno == EINTR else { throw giveUp("the connection was lost") }
            let now = ContinuousClock.now
            if let limit, now - began >= limit { throw giveUp("no answer in \(limit)") }
            guard now - lastSign >= Self.patience else { continue }
            guard hasPulse?() ?? (now - began < Self.patience + Self.pulseLimit) else {
                throw giveUp("no answer: the server stands still, or is another one by now")
            }
        }
    }
}

/// Asks whether a server lives, on a connection of its own.
struct PostgresPulse {
    /// How long the answer may take.
    private static let limit = Duration.seconds(2)

    /// They may hold a password.
    let parameters: Hidden<[String: String]>
    /// What the server must say that it is; nil where any will do, behind a pooler, who picks one for each transaction.
    let identity: String?

    /// What a server says that it is, and no other says: when it was started, to the microsecond.
    static let identity = "extract(epoch FROM pg_postmaster_start_time())::text"

    /// Whether there is an answer in time. One that refuses us lives too.
    func isThere() -> Bool {
        let end = ContinuousClock.now + Self.limit
        let handle = unsafe PostgresAddress.withArrays(parameters.value) { unsafe PQconnectStartParams($0, $1, 0) }
        guard let handle = unsafe handle else { return true }
        let wire = unsafe PostgresWire(owning: handle)
        guard let isConnected = wire.connect(until: end) else { return false }
        guard isConnected else { return true }
        guard unsafe PQsendQuery(handle, "SELECT \(Self.identity)") == 1 else { return true }
        repeat {
            guard unsafe PQflush(handle) >= 0 else { return true }
            guard wire.isReady(for: Int16(POLLIN), until: end) else { return false }
            guard unsafe PQconsumeInput(handle) == 1 else { return true }
        } while unsafe PQisBusy(handle) == 1
        guard let identity, let answer = unsafe PQgetResult(handle) else { return true }
        defer { unsafe PQclear(answer) }
        guard unsafe PQntuples(answer) == 1, let said = unsafe PQgetvalue(answer, 0, 0) else { return true }
        return unsafe String(cString: said) == identity
    }
}
