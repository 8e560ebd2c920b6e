import Domain
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
            refusal?.fieldErrors?.map { [$0.field, $0.code] } == [
                ["user.first_name", "max_length"], ["user.email", "invalid"], ["user.email", "max_length"],
                ["user.username", "invalid"], ["user.username", "max_length"],
            ])
    }

    @Test("no email address is needed") func noEmail() throws {
        #expect(try decide(signUp("Ada", email: ""), UserState(username: "ada")).count == 1)
    }
}

@Suite("Accounts") struct AccountsTests {
    private let initialized = [created("ada")]

    @Test("a password is changed by an active account with keys") func password() throws {
        let change = ChangePassword(loginPubkey: [1], encryptedContent: [2])
        #expect(
            try decide(change, UserState("ada", given: initialized)) == [
                .passwordChanged(.init(user: ada, loginPubkey: [1], encryptedContent: [2]))
            ])
        #expect(throws: Refusal.doesNotExist(model: "User")) { try decide(change, UserState(username: "ada")) }
        #expect(throws: Refusal.doesNotExist(model: "User")) { try decide(change, UserState("ada", given: [created("ada", keys: nil)])) }
        let disabled = initialized + [.userActivityChanged(.init(user: ada, isActive: false))]
        #expect(throws: Refusal.userInactive) { try decide(change, UserState("ada", given: disabled)) }
    }

    @Test("disabling what is disabled is no event") func activity() throws {
        let disable = ChangeUserActivity(isActive: false)
        let events = try decide(disable, UserState("ada", given: initialized))
        #expect(events == [.userActivityChanged(.init(user: ada, isActive: false))])
        #expect(try decide(disable, UserState("ada", given: initialized + events)) == [])
        #expect(try decide(ChangeUserActivity(isActive: true), UserState("ada", given: initialized + events)).count == 1)
        #expect(throws: Refusal.doesNotExist(model: "User")) { try decide(disable, UserState(username: "ada")) }
    }

    @Test("only test users are reset") func reset() throws {
        let reset = ResetUser(keys: keys)
        var state = UserState("test_user1", given: [created("test_user1", keys: nil)])
        state.collections = [notes]
        let events = try decide(reset, state)
        #expect(events == [.userReset(.init(user: ada, keys: keys, collections: [notes]))])
        for event in events { state.evolve(event, at: Position(rawValue: 2)) }
        #expect(state.isInitialized && state.collections.isEmpty)
        #expect(throws: Refusal.notATestUser) { try decide(reset, UserState("ada", given: initialized)) }
        #expect(throws: Refusal.doesNotExist(model: "User")) { try decide(reset, UserState(username: "test_user1")) }
    }

    @Test("a reset covers a collection that the user came into after the state was read") func resetAfterJoining() throws {
        var state = UserState("test_user1", given: [created("test_user1")])
        state.evolve(.joined(ada, .readWrite), at: Position(rawValue: 9))
        let events = try decide(ResetUser(keys: keys), state)
        #expect(events == [.userReset(.init(user: ada, keys: keys, collections: [notes]))])
    }

    @Test("what happens to one account does not touch another") func others() {
        let state = UserState("ada", given: initialized + [.userActivityChanged(.init(user: eve, isActive: false)), created("eve")])
        #expect(state.isActive && state.user == ada)
    }
}
