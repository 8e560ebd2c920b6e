internal import Database
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import MessagePack
internal import ReadModel

extension API {
    /// `GET invitation/incoming/` and `GET invitation/outgoing/`
    func listInvitations(_ call: Call, _ side: InvitationSide) async throws -> Response {
        var validation = Validation()
        let limit = call.query.limit(&validation)
        let checked = Result { [validation] in try validation.finish(limit) }
        let page = try await read(call) { snapshot, user in
            let page = try snapshot.invitations(
                side, of: user.user, after: call.query["iterator"].map { InvitationUID($0) }, limit: try checked.get().get())
            var answer = AnswerWriter(capacity: 512)
            answer.writer.map(count: 3)
            answer.writer.key("data")
            answer.writer.array(count: page.elements.count)
            for invitation in page.elements { answer.invitation(invitation) }
            answer.writer.pair("iterator", page.elements.last?.uid)
            answer.writer.pair("done", page.isDone)
            return answer.finish()
        }
        return try await answer(page, to: call)
    }

    /// `GET invitation/incoming/UID/`
    func getInvitation(_ call: Call) async throws -> Response {
        let invitation = try await read(call, .small) { snapshot, user in
            var writer = AnswerWriter(capacity: 512)
            writer.invitation(try snapshot.invitation(call.invitation, .incoming, of: user.user))
            return writer.finish()
        }
        return try await answer(invitation, to: call)
    }

    /// `POST invitation/outgoing/`
    func sendInvitation(_ call: Call) async throws -> Response {
        let offer = Result { try call.body.decode(NewInvitation.read) }
        let admit = { (user: Authenticated) in try await limits.invite(user.user, at: call.now) }
        try await commit(call, admit: admit) { snapshot, user in
            let new = try offer.get()
            // That there is no such collection is told before what is wrong with the invitee.
            guard try snapshot.state(CollectionNeeds(new.collection)).owner != nil else { throw Refusal.doesNotExist(.collection) }
            let invitee = try snapshot.anyAccount(of: new.invitee)
            // By email one may invite oneself, as recorded in `invitation-create`.
            guard invitee.user != user.user || new.invitee.email != nil else { throw Refusal.selfInvitation }
            return SendInvitation(
                collection: new.collection, author: user.user, invitation: new.uid, version: new.version, invitee: invitee.user,
                level: new.level, signedEncryptionKey: new.signedEncryptionKey)
        }
        return Answer.nothing(.created, to: call)
    }

    /// `POST invitation/incoming/UID/accept/`
    func acceptInvitation(_ call: Call) async throws -> Response {
        let offer = Result { try call.body.decode(Acceptance.read) }
        try await commit(call) { snapshot, user in
            let acceptance = try offer.get()
            let invitation = try snapshot.invitation(call.invitation, .incoming, of: user.user)
            return AcceptInvitation(
                collection: invitation.collection, author: user.user, invitation: call.invitation,
                collectionType: acceptance.collectionType, encryptionKey: acceptance.encryptionKey)
        }
        return Answer.nothing(.created, to: call)
    }

    /// `DELETE invitation/incoming/UID/` rejects, `DELETE invitation/outgoing/UID/` cancels.
    func withdrawInvitation(_ call: Call, _ side: InvitationSide) async throws -> Response {
        try await commit(call) { snapshot, user in
            let invitation = try snapshot.invitation(call.invitation, side, of: user.user)
            return WithdrawInvitation(collection: invitation.collection, author: user.user, invitation: call.invitation)
        }
        return Answer.nothing(.noContent, to: call)
    }

    /// `GET invitation/outgoing/fetch_user_profile/`
    func fetchUserProfile(_ call: Call) async throws -> Response {
        var validation = Validation()
        let name = call.query.required("username", &validation)
        let checked = Result { [validation] in try AccountName(validation.finish(name)) }
        let pubkey = try await prepare(call, .small) { snapshot, _ in
            guard let keys = try snapshot.anyAccount(of: try checked.get()).keys else { throw Refusal.doesNotExist(.userKeys) }
            return keys.pubkey
        }
        return Answer.messagePack { writer in
            writer.map(count: 1)
            writer.pair("pubkey", pubkey)
        }
    }
}

extension Call {
    fileprivate var invitation: InvitationUID { InvitationUID(parameter("invitation_uid")) }
}

extension Snapshot {
    /// The account of a name or email, initialized or not.
    fileprivate func anyAccount(of given: AccountName) throws -> Account {
        switch try account(of: given) {
        case .found(let account): return account
        case .unknown: throw Refusal.doesNotExist(.user)
        case .ambiguous: throw APIError(.notFound, code: "does_not_exist", "Several accounts have this email address: use the name")
        }
    }
}

/// The body of an invitation.
struct NewInvitation: Sendable {
    let uid: InvitationUID
    let version: Int
    let level: AccessLevel
    let invitee: AccountName
    let collection: CollectionUID
    let signedEncryptionKey: [UInt8]

    static func read(_ validation: inout Validation, _ value: MessagePackValue, _ location: Validation.Location) -> NewInvitation? {
        guard let fields = validation.fields(value, location) else { return nil }
        let uid = fields.text("uid", &validation)
        let version = fields.integer("version", &validation)
        let level = fields.required("accessLevel", &validation) { $0.level($1, $2) }
        let username = fields.text("username", &validation)
        let collection = fields.text("collection", &validation)
        let key = fields.bytes("signedEncryptionKey", &validation)
        guard let uid, let version, let level, let username, let collection, let key else { return nil }
        return NewInvitation(
            uid: InvitationUID(uid), version: version, level: level, invitee: AccountName(username), collection: CollectionUID(collection),
            signedEncryptionKey: key)
    }
}

/// The body of an acceptance.
struct Acceptance: Sendable {
    let collectionType: [UInt8]
    let encryptionKey: [UInt8]

    static func read(_ validation: inout Validation, _ value: MessagePackValue, _ location: Validation.Location) -> Acceptance? {
        guard let fields = validation.fields(value, location) else { return nil }
        let type = fields.bytes("collectionType", &validation)
        let key = fields.bytes("encryptionKey", &validation)
        guard let type, let key else { return nil }
        return Acceptance(collectionType: type, encryptionKey: key)
    }
}

extension AnswerWriter {
    fileprivate mutating func invitation(_ invitation: InvitationContent) {
        writer.map(count: 8)
        writer.pair("uid", invitation.uid)
        writer.pair("version", invitation.version)
        writer.pair("accessLevel", invitation.level.rawValue)
        writer.pair("username", invitation.username)
        writer.pair("collection", invitation.collection.rawValue)
        pair("signedEncryptionKey", invitation.signedEncryptionKey)
        writer.pair("fromUsername", invitation.fromUsername)
        pair("fromPubkey", invitation.fromPubkey)
    }
}
