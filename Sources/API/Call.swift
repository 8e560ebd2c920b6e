internal import Database
internal import Directory
internal import Domain
internal import EventLog
internal import HTTPTypes
internal import Hummingbird
internal import MessagePack
internal import NIOCore
internal import ReadModel
internal import Sodium
internal import Telemetry

/// A request on its way through a handler.
struct Call: Sendable {
    let method: HTTPRequest.Method
    let headers: HTTPFields
    /// The request's Host.
    let authority: String
    /// What the pattern's parts in braces stand for.
    let parameters: [String: String]  // names of ours
    /// Whether it is only for those whom the directory has, where there is one.
    let isForListed: Bool
    let query: QueryString
    /// The parsed body of a route that takes one; `.absent` where it was empty or false.
    var body: Body
    /// When the request was accepted.
    let now: Timestamp
    /// The connection that the request came on.
    let channel: any Channel
    /// Its place among the others; nil when it was lost meanwhile.
    let connection: ClientConnection?
    let log: RequestLog

    func parameter(_ name: String) -> String {
        guard let value = parameters[name] else { preconditionFailure("the route has no parameter \(name)") }
        return value
    }

    var collection: CollectionUID { CollectionUID(parameter("collection_uid")) }

    /// Whether empty answers are MessagePack, which is to say empty; for all other media types they are JSON's null.
    ///
    /// Only this exact text counts, as recorded in `http-negotiation`.
    var acceptsMessagePack: Bool { headers[.accept] == MediaType.messagePack }
}

/// The directory has not said anything of a user yet.
private struct UnknownToDirectory: Error {
    let user: UserID
}

enum MediaType {
    static let messagePack = "application/msgpack"
    static let json = "application/json"
    static let text = "text/plain; charset=utf-8"
    static let html = "text/html; charset=utf-8"
    static let binary = "application/octet-stream"
}

/// What a handler may use of a user who has shown a good token.
struct Authenticated: Sendable, Unprinted {
    let session: Session
    let token: String
    /// The client's address, where the operator records it.
    let address: String?

    var user: UserID { session.user }
    var actor: Actor { Actor(user: session.user, session: session.id, address: address) }
}

extension API {
    /// The token of a request: the second word of the header, whatever the first is (`auth-tokens`).
    ///
    /// - Throws: ``APIError`` 403 without a header, 401 where there is no second word.
    func token(of call: Call) throws -> String {
        guard let header = call.headers[.authorization], !header.isEmpty else { throw APIError.notAuthenticated }
        let isASCII = header.utf8.allSatisfy { $0 < 0x80 }
        let words =
            isASCII
            ? header.utf8.split { $0 == UInt8(ascii: " ") || (0x09...0x0d).contains($0) }.map { Substring($0) }
            : header.split(whereSeparator: \.isWhitespace)
        // The longest is one of 40 characters.
        guard words.count >= 2, words[1].utf8.count <= 256 else { throw APIError.invalidToken }
        return String(words[1])
    }

    /// Looks whether the request's token is good, before more is done for it.
    ///
    /// - Throws: ``APIError`` where it is missing or bad.
    func authenticate(_ call: Call) async throws { try await prepare(call, .small, ahead: { _ in }) { _, _ in } }

    /// Asks questions on behalf of the request's user, all of one moment, for an answer. What is asked to decide on a command
    /// is ``prepare(_:_:)``'s matter.
    ///
    /// - Parameter ahead: what `body` will ask, as far as is known; nil where too little is.
    /// - Throws: ``APIError`` for a missing or bad token, before `body` is called.
    func read<T: Sendable>(
        _ call: Call, _ extent: ReadExtent = .large, ahead: ((inout Ahead) -> Void)? = nil,
        _ body: @escaping @Sendable (Snapshot, Authenticated) throws -> T
    ) async throws -> T {
        guard readModel.hasReplica else { return try await prepare(call, extent, ahead: ahead, body) }
        let user = try await prepare(call, .small, ahead: { _ in }) { _, user in user }
        return try await readModel.replicaSnapshot(extent) { try body($0, user) }
    }

    /// Asks questions on behalf of the request's user, all of one moment, where the log is: for a command, and about accounts.
    ///
    /// - Parameter ahead: what `body` will ask, as far as is known; nil where too little is.
    /// - Throws: ``APIError`` for a missing or bad token, before `body` is called.
    func prepare<T: Sendable>(
        _ call: Call, _ extent: ReadExtent = .large, ahead: ((inout Ahead) -> Void)? = nil,
        _ body: @escaping @Sendable (Snapshot, Authenticated) throws -> T
    ) async throws -> T {
        do { return try await prepareNow(call, extent, ahead: ahead, body) } catch let stranger as UnknownToDirectory {
            _ = try await directory?.settledStanding(of: stranger.user)
            return try await prepareNow(call, extent, ahead: ahead, body)
        }
    }

    private func prepareNow<T: Sendable>(
        _ call: Call, _ extent: ReadExtent, ahead: ((inout Ahead) -> Void)?,
        _ body: @escaping @Sendable (Snapshot, Authenticated) throws -> T
    ) async throws -> T {
        let token = try token(of: call)
        let address = call.clientAddress(settings.addresses)
        let (result, renewal) = try await readModel.snapshot(
            extent,
            ahead: { asked in
                guard let ahead else { return }
                asked.session(token: token, at: call.now, sessions)
                ahead(&asked)
            }
        ) { [sessions, directory] snapshot in
            guard let session = try sessions.session(token: token, at: call.now, snapshot) else { throw APIError.invalidToken }
            call.log.isOf(session.user)
            guard session.isActive else { throw APIError.inactiveUser }
            if call.isForListed, let directory { try Self.require(directory.standing(of: session.user), of: session.user) }
            return (try body(snapshot, Authenticated(session: session, token: token, address: address)), session.renewal)
        }
        recognize(call)
        try await renew(token, renewal)
        return result
    }

    /// The empty page of a list in which nothing has changed since the stoken that the client brings; nil when the list has
    /// to be read, or something is wrong with the request.
    func unchanged(_ list: FollowedList, _ query: ListQuery?, _ call: Call) async throws -> Response? {
        guard let query, let stoken = query.stoken, let seen = readModel.stokens.open(stoken), (try? query.limit.get()) != nil else {
            return nil
        }
        let token = try token(of: call)
        let found = try await readModel.unchanged(list, since: seen, token: token, at: call.now, sessions)
        guard let (user, renewal) = found else { return nil }
        call.log.isOf(user)
        if let directory { try Self.require(await directory.settledStanding(of: user), of: user) }
        recognize(call)
        try await renew(token, renewal)
        return Answer.messagePack { writer in
            writer.map(count: 3)
            writer.key("data")
            writer.array(count: 0)
            writer.pair("stoken", stoken)
            writer.pair("done", true)
        }
    }

    /// - Throws: ``APIError`` for a user who may not be here, ``UnknownToDirectory`` where it is to be asked for.
    private static func require(_ standing: DirectoryStanding, of user: UserID) throws {
        switch standing {
        case .admitted: break
        case .refused:
            Telemetry.directory.refusals.increment()
            throw APIError.notInDirectory
        case .unknown: throw UnknownToDirectory(user: user)
        case .unavailable: throw APIError.unavailable
        }
    }

    /// The token was good: the connection is that of somebody who is known.
    func recognize(_ call: Call) { call.connection.map { admission.connections.recognize($0) } }

    private func renew(_ token: String, _ renewal: Session.Renewal) async throws {
        if renewal != .notDue { renewals.note(token) }
        if renewal == .urgent { try await renewals.flush() }
    }
}
