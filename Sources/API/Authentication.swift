internal import Bulletin
internal import Database
internal import Directory
internal import Domain
internal import EventLog
internal import Gateway
internal import Hummingbird
internal import HTTPTypes
internal import MessagePack
internal import NIOCore
internal import ReadModel
internal import Sodium

extension API {
    /// `POST authentication/login_challenge/`
    func loginChallenge(_ call: Call) async throws -> Response {
        let name = try call.body.decode { validation, value, location in
            validation.fields(value, location)?.text("username", &validation).map { AccountName($0) }
        }
        let account: Account, keys: UserKeys
        let attempt = attempt(name, call)
        do {
            try limits.challenge(attempt, at: call.now)
            do {
                (account, keys) = try await readModel.snapshot(.small, ahead: { $0.account(of: name) }) {
                    try $0.initializedAccount(of: name)
                }
            } catch let error as APIError where error.status.kind == .clientError {
                try await limits.failedChallenge(attempt, at: call.now)
                throw error
            }
        } catch let error as APIError {
            call.log.loginFailed(error)
            throw error
        }
        let challenge = challenges.make(for: account.user, at: call.now)
        return Answer.messagePack { writer in
            writer.map(count: 3)
            writer.pair("salt", keys.salt)
            writer.pair("challenge", challenge)
            writer.pair("version", account.keyVersion)
        }
    }

    /// `POST authentication/login/`
    func logIn(_ call: Call) async throws -> Response {
        let signed = try call.body.decode(SignedResponse.read)
        let response = try LoginResponse(signed.response)
        let (account, keys) = try await counted(attempt(response.user, call), call) {
            let (account, keys) = try await readModel.snapshot(.small, ahead: { $0.account(of: response.user) }) {
                try $0.initializedAccount(of: response.user)
            }
            try check(response, signed, for: account, keys, action: "login", call)
            return (account, keys)
        }
        call.log.isOf(account.user)
        let token = try await sessions.logIn(
            account.user, seed: challenges.seed(of: signed.response, by: account.user), device: device(of: call), at: call.now)
        guard let token else { throw APIError.expiredChallenge }
        return answer(token, for: account, keys)
    }

    /// `POST authentication/logout/`
    func logOut(_ call: Call) async throws -> Response {
        let user = try await read(call, .small, ahead: { _ in }) { _, user in user }
        try await sessions.delete(token: user.token)
        realTime.bulletin.post([.sessionEnded(user.session.id)])
        return Answer.nothing(.noContent, to: call)
    }

    /// `POST authentication/change_password/`
    func changePassword(_ call: Call) async throws -> Response {
        let offer = Result {
            let signed = try call.body.decode(SignedResponse.read)
            return (signed, try LoginResponse(signed.response))
        }
        let (user, signed, response, account, named) = try await prepare(call, .small) { snapshot, user in
            let (signed, response) = try offer.get()
            guard let account = try snapshot.account(user.user) else { throw APIError.invalidToken }
            let named = try snapshot.account(of: response.user)
            return (user, signed, response, account, named)
        }
        // A name that nobody has is let through, as recorded in `auth-change-password`; another user's is not.
        if case .found(let other) = named, other.user != account.user { throw APIError.wrongUser }
        guard let keys = account.keys else { throw APIError.userNotInitialized }
        // Whoever has found a session may not guess the password with it.
        try await counted(Attempt(name: account.username, address: call.countedAddress(settings)), call) {
            try check(response, signed, for: account, keys, action: "changePassword", call)
        }
        guard let loginPubkey = response.loginPubkey, let content = response.encryptedContent else {
            throw APIError.badLogin("A change of password needs loginPubkey and encryptedContent.")
        }
        try await door.commit(
            ChangePassword(user: user.user, loginPubkey: loginPubkey, encryptedContent: content), by: user.actor, at: call.now)
        if settings.endsSessions {
            let ended = try await sessions.deleteOthers(of: user.user, than: user.token)
            realTime.bulletin.post(ended.map { .sessionEnded($0) })
        }
        return Answer.nothing(.noContent, to: call)
    }

    /// `POST authentication/dashboard_url/`: where there is no other dashboard, a link to the page of the account, good once and for a minute.
    func dashboardURL(_ call: Call) async throws -> Response {
        let (account, token) = try await prepare(call, .small) { snapshot, user in (try snapshot.account(user.user), user.token) }
        guard let account else { throw APIError.noDashboard }
        let url: String
        if let dashboard = settings.dashboardURL {
            url = dashboard.replacing("{username}", with: account.username)
        } else {
            guard settings.hasAccountPage else { throw APIError.noDashboard }
            let secret = try await pageKeys.makeLink(to: .account, for: token, goodFor: .seconds(60), at: call.now)
            guard let secret else { throw APIError.invalidToken }
            url = "\(address(call))/account/open/\(secret)"
        }
        return Answer.messagePack { writer in
            writer.map(count: 1)
            writer.pair("url", url)
        }
    }

    /// `POST authentication/signup/`
    func signUp(_ call: Call) async throws -> Response {
        let signup = try call.body.decode(SignUp.read)
        guard signup.canLogIn else {
            throw Refusal.invalidFields([FieldError(.loginPubkey, .notLoginKey)])
        }
        try await limits.signUp(from: call.countedAddress(settings), at: call.now)
        let command = CreateUser(
            username: signup.username, email: signup.email, keys: signup.keys, passwordSalt: Sodium.randomAlphanumerics(40),
            mayCreate: settings.signup == .open || directory != nil)
        let prepared = try await readModel.snapshot(.small) { try $0.prepare(command) }
        // One that has been made already is initialized by whoever comes first.
        if prepared.state.user == nil { try await requireListed(command.name) }
        let events = try await door.commit(
            prepared, by: Actor(user: prepared.state.user), at: call.now, holding: call.body.heldBytes)
        let user = prepared.state.user ?? events.first.map { UserID(rawValue: $0.position.rawValue) }
        let account = try await readModel.snapshot(.small) { snapshot in try user.flatMap { try snapshot.account($0) } }
        guard let account, let keys = account.keys else { throw APIError.unavailable }
        call.log.isOf(account.user)
        return answer(try await sessions.create(for: account.user, device: device(of: call), at: call.now), for: account, keys)
    }

    /// `POST test/authentication/reset/`, in debug mode only.
    func resetTestUser(_ call: Call) async throws -> Response {
        let signup = try call.body.decode(SignUp.read)
        let command = ResetUser(username: signup.username, keys: signup.keys)
        let prepared = try await readModel.snapshot(.small) { try $0.prepare(command) }
        try await door.commit(prepared, by: Actor(user: prepared.state.user), at: call.now, holding: call.body.heldBytes)
        return Answer.nothing(.noContent, to: call)
    }

    /// Looks whether the directory, where there is one, has somebody of a name who has no account yet.
    ///
    /// - Throws: ``APIError`` where not, `DirectoryFault` where it does not answer.
    func requireListed(_ name: CanonicalName) async throws {
        guard let directory, try await !directory.isListed(name) else { return }
        throw APIError.nameNotInDirectory
    }

    private func attempt(_ name: AccountName, _ call: Call) -> Attempt {
        Attempt(name: name.name.text, address: call.countedAddress(settings))
    }

    /// Lets somebody show that they know a password, if not too often in vain.
    private func counted<T>(_ attempt: Attempt, _ call: Call, _ show: () async throws -> T) async throws -> T {
        do { try await limits.login(attempt, at: call.now) } catch {
            call.log.loginFailed(error)
            throw error
        }
        do {
            let shown = try await show()
            await limits.succeeded(attempt, at: call.now)
            return shown
        } catch let error as APIError {
            // What failed of the server's is not the client's fault.
            if error.status.kind == .clientError {
                call.log.loginFailed(error)
                await limits.failed(attempt, at: call.now)
            }
            throw error
        }
    }

    /// Checks, in the original's order, what a client signed (`auth-login`): the action, the challenge's age, its user, the
    /// host, the signature.
    private func check(
        _ response: LoginResponse, _ signed: SignedResponse, for account: Account, _ keys: UserKeys, action: String, _ call: Call
    ) throws(APIError) {
        guard account.isActive else { throw .inactiveUser }
        guard let challenge = challenges.open(response.challenge) else {
            throw .badLogin("The challenge is none of this server's.")
        }
        guard ["login", "changePassword"].contains(response.action) else { throw .badLogin("The action is unknown.") }
        guard response.action == action else { throw .wrongAction(expected: action) }
        guard !challenges.isExpired(madeAt: challenge.madeAt, at: call.now) else { throw .expiredChallenge }
        guard challenge.user == account.user else { throw .wrongUser }
        let served = [HostName(call.authority), settings.publicAddress?.host].compactMap { $0?.name }
        guard settings.isDebug || HostName(response.host).map({ served.contains($0.name) }) == true else {
            throw .wrongHost(given: response.host, expected: call.authority)
        }
        guard Sodium.isValid(signature: signed.signature, of: signed.response, by: keys.loginPubkey) else { throw .badSignature }
    }

    /// What the client says it is.
    private func device(of call: Call) -> String? {
        call.headers[.userAgent].map { String($0.unicodeScalars.prefix(FieldLimits.device)) }
    }

    private func answer(_ token: String, for account: Account, _ keys: UserKeys) -> Response {
        Answer.messagePack { writer in
            writer.map(count: 2)
            writer.pair("token", token)
            writer.key("user")
            writer.map(count: 4)
            writer.pair("username", account.username)
            writer.pair("email", account.email)
            writer.pair("pubkey", keys.pubkey)
            writer.pair("encryptedContent", keys.encryptedContent)
        }
    }
}

extension Ahead {
    /// What the account of a name asks; that of an address takes a closer look.
    fileprivate mutating func account(of given: AccountName) {
        if !given.isNobodys, given.email == nil { account(named: given.name) }
    }
}

extension Snapshot {
    /// The account of a name or email that can log in.
    fileprivate func initializedAccount(of given: AccountName) throws -> (Account, UserKeys) {
        switch try account(of: given) {
        case .unknown: throw APIError.userNotFound
        case .ambiguous: throw APIError.sharedEmail
        case .found(let account):
            guard account.isActive else { throw APIError.inactiveUser }
            guard let keys = account.keys else { throw APIError.userNotInitialized }
            return (account, keys)
        }
    }
}

/// A message to the server and its signature, as `login/` and `change_password/` take them.
struct SignedResponse: Sendable {
    let response: [UInt8]
    let signature: [UInt8]

    static func read(_ validation: inout Validation, _ value: MessagePackValue, _ location: Validation.Location) -> SignedResponse? {
        guard let fields = validation.fields(value, location) else { return nil }
        let response = fields.bytes("response", &validation)
        let signature = fields.bytes("signature", &validation)
        guard let response, let signature else { return nil }
        return SignedResponse(response: response, signature: signature)
    }
}

/// The message that was signed.
struct LoginResponse: Sendable {
    let user: AccountName
    let challenge: [UInt8]
    let host: String
    let action: String
    let loginPubkey: [UInt8]?
    let encryptedContent: [UInt8]?

    /// - Throws: ``APIError/badLogin(_:)``, where the original breaks (QUIRKS.md 29).
    init(_ bytes: [UInt8]) throws(APIError) {
        do {
            var validation = Validation()
            let value = try MessagePackValue(validating: ByteBuffer(bytes: bytes))
            let map = validation.fields(value, [])
            let fields = try validation.finish(map)
            let username = fields.text("username", &validation)
            let challenge = fields.bytes("challenge", &validation)
            let host = fields.text("host", &validation)
            let action = fields.text("action", &validation)
            let loginPubkey = fields.optional("loginPubkey", &validation) { $0.bytes($1, $2) }
            let encryptedContent = fields.optional("encryptedContent", &validation) { $0.bytes($1, $2) }
            user = AccountName(try validation.finish(username))
            self.challenge = try validation.finish(challenge)
            self.host = try validation.finish(host)
            self.action = try validation.finish(action)
            self.loginPubkey = loginPubkey ?? nil
            self.encryptedContent = encryptedContent ?? nil
        } catch { throw .badLogin("The response is not a map with username, challenge, host and action.") }
    }
}

/// The body of `signup/` and of the test reset.
struct SignUp: Sendable {
    let username: String
    let email: String
    let keys: UserKeys
    /// Whether the login key can be one. None at all is taken, and so is a text, which JSON has instead of bytes: both are
    /// recorded (`auth-signup-lenient`), and nobody logs in with them.
    let canLogIn: Bool

    static func read(_ validation: inout Validation, _ value: MessagePackValue, _ location: Validation.Location) -> SignUp? {
        guard let fields = validation.fields(value, location) else { return nil }
        let user = fields.required("user", &validation) { validation, value, location -> (String, String)? in
            guard let fields = validation.fields(value, location) else { return nil }
            let username = fields.text("username", &validation)
            let email = fields.text("email", &validation)
            guard let username, let email else { return nil }
            return (username, email)
        }
        let salt = fields.bytes("salt", &validation)
        var isText = false
        let loginPubkey = fields.required("loginPubkey", &validation) { validation, value, location in
            if case .string = value.kind { isText = true }
            return validation.bytes(value, location)
        }
        let pubkey = fields.bytes("pubkey", &validation)
        let encryptedContent = fields.bytes("encryptedContent", &validation)
        guard let user, let salt, let loginPubkey, let pubkey, let encryptedContent else { return nil }
        return SignUp(
            username: user.0, email: user.1,
            keys: UserKeys(salt: salt, loginPubkey: loginPubkey, pubkey: pubkey, encryptedContent: encryptedContent),
            canLogIn: isText || [0, FieldLimits.loginPubkeyBytes].contains(loginPubkey.count))
    }
}
