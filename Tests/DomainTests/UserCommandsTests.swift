import Domain
import TestSupport
import Testing

private func signUp(_ name: String, email: String = "ada@example.com", keys: UserKeys? = keys, mayCreate: Bool = true) -> CreateUser {
    CreateUser(username: name, email: email, keys: keys, passwordSalt: "salt", mayCreate: mayCreate)
}

private func created(_ username: String, keys: UserKeys? = keys) -> Event {
    .userCreated(.init(username: username, displayName: "Ada", email: "ada@example.com", unusablePassword: "!salt", keys: keys))
}

@Suite("Signing up") struct SigningUpTests {
    @Test("makes an account that keeps the name as it was written, and an unusable password") func creates() throws {
        let events = try decide(signUp("Ada", email: " ada@EXAMPLE.com"), UserState(username: "ada"))
        #expect(events == [created("ada")])
        let state = UserState("ada", given: events)
        #expect(state.user == ada)
        #expect(state.isInitialized)
    }

    @Test("gives keys to an account that the operator made, also where accounts may not be made") func initializes() throws {
        let state = UserState("ada", given: [created("ada", keys: nil)])
        #expect(!state.isInitialized)
        let events = try decide(signUp("Ada", mayCreate: false), state)
        #expect(events == [.userInitialized(.init(user: ada, keys: keys))])
        #expect(UserState("ada", given: [created("ada", keys: nil)] + events).isInitialized)
    }

    @Test("a name that is in use is refused, also when another won the race") func exists() {
        #expect(throws: Refusal.userExists) { try decide(signUp("Ada"), UserState("ada", given: [created("ada")])) }
        #expect(throws: Refusal.userExists) { try decide(signUp("Ada", keys: nil), UserState("ada", given: [created("ada", keys: nil)])) }
        var raced = UserState(username: "ada")
        raced.taken[.username("ada")] = eve
        #expect(throws: Refusal.userExists) { try decide(signUp("Ada"), raced) }
    }

    @Test("a disabled account cannot be initialized") func disabled() {
        let events = [created("ada", keys: nil), .userActivityChanged(.init(user: ada, isActive: false))]
        #expect(throws: Refusal.userInactive) { try decide(signUp("Ada"), UserState("ada", given: events)) }
    }

    @Test("where it is closed no account is made") func closed() {
        #expect(throws: Refusal.signupClosed) { try decide(signUp("Ada", mayCreate: false), UserState(username: "ada")) }
    }

    @Test("everything that is wrong is told, in Django's order") func fields() {
        #expect(throws: Refusal.usernameMissing) { try decide(signUp(""), UserState(username: "")) }
        let name = String(repeating: "a ", count: 76)
        let email = String(repeating: "x", count: 255) + "@b"
        let refusal = #expect(throws: Refusal.self) { try decide(signUp(name, email: email), UserState(username: name)) }
        #expect(
            refusal?.fieldErrors == [
                FieldError(.displayName, .tooLong(152, maximum: 150)), FieldError(.email, .notEmailAddress),
                FieldError(.email, .tooLong(257, maximum: 254)), FieldError(.username, .notUsername),
                FieldError(.username, .tooLong(152, maximum: 150)),
            ])
    }

    @Test("no email address is needed") func noEmail() throws {
        #expect(try decide(signUp("Ada", email: ""), UserState(username: "ada")).count == 1)
    }
}

@Suite("Accounts") struct AccountsTests {
    private let initialized = [created("ada")]

    @Test("a password is changed by an active account with keys") func password() throws {
        let key = [UInt8](repeating: 1, count: 32)
        let change = ChangePassword(user: ada, loginPubkey: key, encryptedContent: [2])
        #expect(
            try decide(change, UserState("ada", given: initialized)) == [
                .passwordChanged(.init(user: ada, loginPubkey: key, encryptedContent: [2]))
            ])
        #expect(throws: Refusal.doesNotExist(.user)) { try decide(change, UserState(username: "ada")) }
        #expect(throws: Refusal.doesNotExist(.user)) { try decide(change, UserState("ada", given: [created("ada", keys: nil)])) }
        let disabled = initialized + [.userActivityChanged(.init(user: ada, isActive: false))]
        #expect(throws: Refusal.userInactive) { try decide(change, UserState("ada", given: disabled)) }
        for length in [0, 31, 33] {
            let unusable = ChangePassword(user: ada, loginPubkey: [UInt8](repeating: 1, count: length), encryptedContent: [2])
            let error = FieldError(.loginPubkey, .notLoginKey)
            #expect(throws: Refusal.invalidFields([error])) { try decide(unusable, UserState("ada", given: initialized)) }
        }
    }

    @Test("disabling what is disabled is no event") func activity() throws {
        let disable = ChangeUserActivity(username: "ada", isActive: false)
        let events = try decide(disable, UserState("ada", given: initialized))
        #expect(events == [.userActivityChanged(.init(user: ada, isActive: false))])
        #expect(try decide(disable, UserState("ada", given: initialized + events)) == [])
        #expect(try decide(ChangeUserActivity(username: "ada", isActive: true), UserState("ada", given: initialized + events)).count == 1)
        #expect(throws: Refusal.doesNotExist(.user)) { try decide(disable, UserState(username: "ada")) }
    }

    @Test("only test users are reset") func reset() throws {
        let reset = ResetUser(username: "test_user1", keys: keys)
        var state = UserState("test_user1", given: [created("test_user1", keys: nil)])
        state.collections = [notes]
        let events = try decide(reset, state)
        #expect(events == [.userReset(.init(user: ada, keys: keys, collections: [notes]))])
        for event in events { state.evolve(event, at: Position(rawValue: 2)) }
        #expect(state.isInitialized && state.collections.isEmpty)
        #expect(throws: Refusal.notATestUser) {
            try decide(ResetUser(username: "ada", keys: keys), UserState("ada", given: initialized))
        }
        #expect(throws: Refusal.doesNotExist(.user), "in another case it is no name") {
            try decide(ResetUser(username: "TEST_user1", keys: keys), state)
        }
        #expect(throws: Refusal.doesNotExist(.user)) { try decide(reset, UserState(username: "test_user1")) }
    }

    @Test("a reset covers a collection that the user came into after the state was read") func resetAfterJoining() throws {
        var state = UserState("test_user1", given: [created("test_user1")])
        state.evolve(.joined(ada, .readWrite), at: Position(rawValue: 9))
        let events = try decide(ResetUser(username: "test_user1", keys: keys), state)
        #expect(events == [.userReset(.init(user: ada, keys: keys, collections: [notes]))])
    }

    @Test("what happens to one account does not touch another") func others() {
        let state = UserState("ada", given: initialized + [.userActivityChanged(.init(user: eve, isActive: false)), created("eve")])
        #expect(state.isActive && state.user == ada)
    }
}

@Suite("Fields that are too long") struct FieldLimitTests {
    private func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 1, count: count) }

    /// The one field that is too long; nil where nothing is refused.
    private func field(_ body: () throws -> [Event]) -> FieldError.Field? {
        do {
            _ = try body()
            return nil
        } catch {
            guard let errors = (error as? Refusal)?.fieldErrors, errors.count == 1, case .tooLong = errors[0].problem else {
                Issue.record("another error: \(error)")
                return nil
            }
            return errors[0].field
        }
    }

    @Test("of accounts are refused, and the longest are taken") func accounts() throws {
        let fields: [(FieldError.Field, WritableKeyPath<UserKeys, [UInt8]>, Int)] = [
            (.salt, \.salt, FieldLimits.saltBytes), (.pubkey, \.pubkey, FieldLimits.pubkeyBytes),
            (.loginPubkey, \.loginPubkey, FieldLimits.loginPubkeyBytes),
            (.encryptedContent, \.encryptedContent, FieldLimits.encryptedContentBytes),
        ]
        for (name, path, limit) in fields {
            for (length, wanted) in [(limit, nil), (limit + 1, name)] as [(Int, FieldError.Field?)] {
                var long = keys
                long[keyPath: path] = bytes(length)
                let command = CreateUser(username: "ada", email: "", keys: long, passwordSalt: "", mayCreate: true)
                #expect(field { try decide(command, UserState(username: "ada")) } == wanted)
                #expect(field { try decide(command, UserState("ada", given: [created("ada", keys: nil)])) } == wanted)
                let reset = ResetUser(username: "test_user", keys: long)
                #expect(field { try decide(reset, UserState("test_user", given: [created("test_user")])) } == wanted)
            }
        }
        for (length, wanted) in [(FieldLimits.encryptedContentBytes, nil), (FieldLimits.encryptedContentBytes + 1, .encryptedContent)]
            as [(Int, FieldError.Field?)]
        {
            let change = ChangePassword(user: ada, loginPubkey: bytes(32), encryptedContent: bytes(length))
            #expect(field { try decide(change, UserState("ada", given: [created("ada")])) } == wanted)
        }
    }

    @Test("of collections and members are refused, and the longest are taken") func collections() {
        let state = CollectionState(given: Event.adasNotes)
        let invited = CollectionState(given: Event.adasNotes + [.invited(ben, by: ada, "i")])
        func revision(meta: Int = 1, chunks: Int = 0) -> OfferedRevision {
            OfferedRevision(
                uid: "new", meta: bytes(meta), isDeleted: false,
                chunks: [OfferedChunk](repeating: .sent("c1"), count: chunks))
        }
        func write(_ revision: OfferedRevision, key: Int = 1) throws -> [Event] {
            try decide(
                CommitItems(.init(uid: "b", version: 1, encryptionKey: bytes(key), etag: nil, revision: revision)), state)
        }
        func create(_ revision: OfferedRevision, key: Int = 1) throws -> [Event] {
            try decide(
                CreateCollection(
                    author: ada, item: .init(uid: "notes", version: 1, encryptionKey: nil, etag: nil, revision: revision),
                    collectionType: [1], collectionKey: bytes(key)), CollectionState(uid: notes))
        }
        for more in [0, 1] {
            func wanted(_ name: FieldError.Field) -> FieldError.Field? { more == 0 ? nil : name }
            #expect(field { try write(revision(meta: FieldLimits.metaBytes + more)) } == wanted(.revisionMeta))
            #expect(field { try create(revision(meta: FieldLimits.metaBytes + more)) } == wanted(.revisionMeta))
            #expect(field { try write(revision(chunks: FieldLimits.chunksOfRevision + more)) } == wanted(.revisionChunks))
            #expect(field { try create(revision(chunks: FieldLimits.chunksOfRevision + more)) } == wanted(.revisionChunks))
            #expect(field { try write(revision(), key: FieldLimits.itemKeyBytes + more) } == wanted(.encryptionKey))
            #expect(field { try create(revision(), key: FieldLimits.collectionKeyBytes + more) } == wanted(.collectionKey))
            let invitation = SendInvitation(
                collection: notes, author: ada, invitation: "j", version: 1, invitee: ben, level: .readOnly,
                signedEncryptionKey: bytes(FieldLimits.signedEncryptionKeyBytes + more))
            #expect(field { try decide(invitation, state) } == wanted(.signedEncryptionKey))
            let acceptance = AcceptInvitation(
                collection: notes, author: ben, invitation: "i", collectionType: [2],
                encryptionKey: bytes(FieldLimits.collectionKeyBytes + more))
            #expect(field { try decide(acceptance, invited) } == wanted(.encryptionKey))
        }
    }

    @Test("of all items of a request, chunks are named only so often") func chunks() {
        let state = CollectionState(given: Event.adasNotes)
        func item(_ number: Int, _ count: Int) -> OfferedItem {
            OfferedItem(
                uid: ItemUID("i\(number)"), version: 1, encryptionKey: nil, etag: nil,
                revision: OfferedRevision(
                    uid: RevisionUID("r\(number)"), meta: [], isDeleted: false,
                    chunks: [OfferedChunk](repeating: .sent("c1"), count: count)))
        }
        let half = FieldLimits.chunksOfCommand / 2
        #expect(field { try decide(CommitItems(item(1, half), item(2, half)), state) } == nil)
        #expect(field { try decide(CommitItems(item(1, half), item(2, half), item(3, 1)), state) } == .revisionChunks)
    }
}
