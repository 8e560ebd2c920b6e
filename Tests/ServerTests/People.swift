import Domain
import NIOCore
import ReadModel
import Sodium
import Testing

@testable import API
@testable import Server

/// A uid that nobody has.
func newUID() -> String { Sodium.randomAlphanumerics(22) }

extension Client {
    /// What logins are signed with.
    var key: SigningKey { SigningKey(seed: Sodium.blake2b(Array(name.utf8))) }

    /// The body of a sign-up.
    var signUp: Value {
        [
            "user": ["username": .text(name), "email": .text("\(name)@example.com")], "salt": .bytes([1]),
            "loginPubkey": .bytes(key.publicKey), "pubkey": .bytes([2]), "encryptedContent": .bytes([3]),
        ]
    }

    /// What a client signs to log in, with a challenge that it got just now.
    func loginResponse(_ changes: [String: Value?] = [:]) async throws -> Value {
        let challenge = try await post("/api/v1/authentication/login_challenge/", ["username": .text(name)])
        let response: Value = [
            "username": .text(name), "challenge": challenge.value["challenge"] ?? nil, "host": .text(TestServer.authority),
            "action": "login",
        ]
        return response.with(changes)
    }

    /// A message with its signature.
    func signed(_ response: Value, by other: SigningKey? = nil) -> Value {
        let message = Array(response.encoded.readableBytesView)
        return ["response": .bytes(message), "signature": .bytes((other ?? key).sign(message))]
    }
}

/// Roles in a collection, from nobody at all to its owner.
enum Role: CaseIterable, Sendable {
    case unknown
    case stranger
    case reader
    case writer
    case admin
    case owner
}

/// A collection with somebody in every role.
struct Circle: Sendable {
    let uid: String
    let people: [Role: Client]
    var path: String { "/api/v1/collection/\(uid)" }

    subscript(role: Role) -> Client {
        get throws { try #require(people[role]) }
    }

    /// How each is answered, in short.
    func answers(_ ask: (Client, Role) async throws -> Answer) async throws -> [Role: String] {
        var answers: [Role: String] = [:]
        for role in Role.allCases { answers[role] = try await "\(ask(self[role], role))" }
        return answers
    }

    func answers(_ ask: (Client) async throws -> Answer) async throws -> [Role: String] {
        try await answers { client, _ in try await ask(client) }
    }
}

extension [Role: String] {
    /// Members are answered so, others that there is nothing.
    static func members(_ answer: String) -> Self { everybody(answer, but: [:]) }
    /// Those who may write are answered so.
    static func writers(_ answer: String) -> Self { everybody(answer, but: [.reader: "403 no_write_access"]) }
    /// Admins are answered so.
    static func admins(_ answer: String) -> Self {
        everybody(answer, but: [.reader: "403 admin_access_required", .writer: "403 admin_access_required"])
    }

    private static func everybody(_ answer: String, but others: Self) -> Self {
        var answers: Self = [.unknown: #"403 {"detail":"Not authenticated"}"#, .stranger: "404 does_not_exist"]
        for role in [Role.reader, .writer, .admin, .owner] { answers[role] = others[role] ?? answer }
        return answers
    }
}

extension TestServer {
    /// Gives somebody a quota.
    func limit(_ client: Client, to quota: Quota?) async throws {
        let (model, database) = (wiring.node.readModel, wiring.node.database)
        let account = try await model.snapshot { [name = client.name] in
            // Quotas hold once it is counted what there is.
            try #require(try $0.quotaStandings() != nil)
            return try $0.account(named: CanonicalName(name))
        }
        try await Quotas(database).set(quota, of: try #require(account?.user))
    }

    /// Somebody who has just signed up.
    func somebody() async throws -> Client {
        var client = try await Client(self, name: "u" + newUID().lowercased())
        let answer = try await client.post("/api/v1/authentication/signup/", client.signUp)
        client.token = try #require(answer.value["token"]?.text, "\(answer)")
        return client
    }

    /// A new collection with somebody in every role.
    func circle() async throws -> Circle {
        let owner = try await somebody()
        let uid = try await owner.makeCollection()
        var people: [Role: Client] = [.owner: owner, .unknown: try await Client(self), .stranger: try await somebody()]
        for (role, level) in [(Role.reader, AccessLevel.readOnly), (.writer, .readWrite), (.admin, .admin)] {
            let member = try await somebody()
            try await owner.letIn(member, uid, level)
            people[role] = member
        }
        return Circle(uid: uid, people: people)
    }
}

extension Client {
    /// The type of this user's collections.
    var type: Value { .bytes(Array("type of \(name)".utf8)) }

    /// The body of a creation.
    func creation(_ uid: String, chunks: Value = []) -> Value {
        ["collectionType": type, "collectionKey": .bytes([5]), "item": item(uid, chunks: chunks)]
    }

    /// An item as requests bear it.
    func item(_ uid: String, revision: String = newUID(), etag: Value = nil, chunks: Value = []) -> Value {
        [
            "uid": .text(uid), "version": 1, "encryptionKey": nil, "etag": etag,
            "content": ["uid": .text(revision), "meta": .bytes([7]), "deleted": false, "chunks": chunks],
        ]
    }

    /// Makes a collection.
    func makeCollection() async throws -> String {
        let uid = newUID()
        let answer = try await post("/api/v1/collection/", creation(uid))
        try #require(answer.status == 201, "\(answer)")
        return uid
    }

    /// Commits items.
    func commit(_ items: Value..., to uid: String) async throws {
        let answer = try await post("/api/v1/collection/\(uid)/item/batch/", ["items": .list(items)])
        try #require(answer.status == 200, "\(answer)")
    }

    /// The stoken of a collection.
    func stoken(of uid: String) async throws -> String {
        try #require(try await get("/api/v1/collection/\(uid)/").value["stoken"]?.text)
    }

    /// The body of an invitation.
    func invitation(_ uid: String, to other: Client, _ collection: String, _ level: AccessLevel = .readWrite) -> Value {
        [
            "uid": .text(uid), "version": 1, "username": .text(other.name), "collection": .text(collection),
            "accessLevel": .int(level.rawValue), "signedEncryptionKey": .bytes([6]),
        ]
    }

    /// Invites somebody.
    ///
    /// - Returns: the invitation's uid.
    func invite(_ other: Client, to collection: String, _ level: AccessLevel = .readWrite) async throws -> String {
        let uid = newUID()
        let answer = try await post("/api/v1/invitation/outgoing/", invitation(uid, to: other, collection, level))
        try #require(answer.status == 201, "\(answer)")
        return uid
    }

    var acceptance: Value { ["collectionType": type, "encryptionKey": .bytes([8])] }

    /// Makes somebody a member.
    func letIn(_ other: Client, _ collection: String, _ level: AccessLevel = .readWrite) async throws {
        let uid = try await invite(other, to: collection, level)
        let answer = try await other.post("/api/v1/invitation/incoming/\(uid)/accept/", other.acceptance)
        try #require(answer.status == 201, "\(answer)")
    }
}
