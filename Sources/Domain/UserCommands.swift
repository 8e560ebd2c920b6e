/// The wish for an account: a client's sign-up, or the operator's `apus user create`.
package struct CreateUser: Sendable {
    package let name: CanonicalName
    let displayName: String
    let email: String
    /// Everything that is wrong with the name and the address. Looked for here, and not when it is decided, which happens on
    /// the thread of a database that writes.
    let faults: [FieldError]
    /// Nil when the operator makes the account and a client is to initialize it.
    package let keys: UserKeys?
    /// Random characters for the unusable password.
    package let passwordSalt: String
    /// Whether an account may be made. Where not, one that the operator made can still be initialized.
    package let mayCreate: Bool

    /// - Parameters:
    ///   - username: as it was written.
    ///   - email: as it was written; may be empty.
    package init(username: String, email: String, keys: UserKeys?, passwordSalt: String, mayCreate: Bool) {
        name = CanonicalName(username)
        displayName = username
        self.email = EmailAddress.canonical(email)
        faults = Self.faults(username: name.text, displayName: displayName, email: self.email)
        self.keys = keys
        self.passwordSalt = passwordSalt
        self.mayCreate = mayCreate
    }

    /// In the order in which Django tells them (`auth-signup-long-sqlite`).
    private static func faults(username: String, displayName: String, email: String) -> [FieldError] {
        var errors: [FieldError?] = []
        errors.append(FieldRules.tooLong(displayName.unicodeScalars.count, field: .displayName, maximum: FieldLimits.username))
        if !email.isEmpty, !EmailAddress.isValid(email) {
            errors.append(FieldError(.email, .notEmailAddress))
        }
        errors.append(FieldRules.tooLong(email.unicodeScalars.count, field: .email, maximum: FieldLimits.email))
        if !Username.isValid(username) {
            errors.append(FieldError(.username, .notUsername))
        }
        errors.append(FieldRules.tooLong(username.unicodeScalars.count, field: .username, maximum: FieldLimits.username))
        return errors.compactMap { $0 }
    }
}

extension CreateUser: Command {
    package var needs: AccountNeeds { AccountNeeds(.name(name)) }

    /// Decides what a sign-up means: a new account, or the keys of one that the operator made (whose email stays).
    package func decide(_ state: UserState) throws(Refusal) -> [Decided<UserState>] {
        if let user = state.user {
            guard let keys, !state.isInitialized else { throw .userExists }
            guard state.isActive else { throw .userInactive }
            if let error = FieldRules.keys(keys) { throw .invalidFields([error]) }
            return [try state.decided(UserInitialized(user: user, keys: keys))]
        }
        guard mayCreate else { throw .signupClosed }
        guard !displayName.isEmpty else { throw .usernameMissing }
        guard state.taken[.username(state.username)] == nil else { throw .userExists }
        let errors = faults + [keys.flatMap { FieldRules.keys($0) }].compactMap { $0 }
        guard errors.isEmpty else { throw .invalidFields(errors) }
        return [
            state.decided(
                UserCreated(
                    username: state.username, displayName: displayName, email: email,
                    unusablePassword: "!" + passwordSalt, keys: keys))
        ]
    }
}

/// The wish for another password. The caller has checked the signature of the present login key.
package struct ChangePassword: Sendable {
    package let user: UserID
    package let loginPubkey: [UInt8]
    package let encryptedContent: [UInt8]

    package init(user: UserID, loginPubkey: [UInt8], encryptedContent: [UInt8]) {
        self.user = user
        self.loginPubkey = loginPubkey
        self.encryptedContent = encryptedContent
    }
}

extension ChangePassword: Command {
    package var needs: AccountNeeds { AccountNeeds(.id(user)) }

    /// Decides what a change of password means.
    package func decide(_ state: UserState) throws(Refusal) -> [Decided<UserState>] {
        guard state.user != nil, state.isInitialized else { throw .doesNotExist(.user) }
        guard state.isActive else { throw .userInactive }
        // Another one can never be logged in with.
        guard loginPubkey.count == FieldLimits.loginPubkeyBytes else {
            throw .invalidFields([FieldError(.loginPubkey, .notLoginKey)])
        }
        if let error = FieldRules.encryptedContent(encryptedContent) { throw .invalidFields([error]) }
        return [
            try state.decided(PasswordChanged(user: user, loginPubkey: loginPubkey, encryptedContent: encryptedContent))
        ]
    }
}

/// The operator's wish to disable or enable an account.
package struct ChangeUserActivity: Sendable {
    package let name: CanonicalName
    package let isActive: Bool

    /// - Parameter username: as it was written.
    package init(username: String, isActive: Bool) {
        name = CanonicalName(username)
        self.isActive = isActive
    }
}

extension ChangeUserActivity: Command {
    package var needs: AccountNeeds { AccountNeeds(.name(name)) }

    /// Decides what disabling and enabling mean; what is so already is a success and no event.
    package func decide(_ state: UserState) throws(Refusal) -> [Decided<UserState>] {
        guard let user = state.user, !Username.isErased(state.username) else { throw .doesNotExist(.user) }
        return state.isActive == isActive ? [] : [try state.decided(UserActivityChanged(user: user, isActive: isActive))]
    }
}

/// The wish of a client's test suite to have an empty account: the test reset route.
package struct ResetUser: Sendable {
    /// As it was written: in the form in which the account has it, or it is not found.
    package let username: String
    let name: CanonicalName
    package let keys: UserKeys

    package init(username: String, keys: UserKeys) {
        self.username = username
        name = CanonicalName(username)
        self.keys = keys
    }
}

extension ResetUser: Command {
    package var needs: AccountNeeds { AccountNeeds(.name(name), withCollections: true) }

    /// Decides what a reset means. For extra safety only names that begin with `test_user` are reset, as in the original, which
    /// compares with case here.
    package func decide(_ state: UserState) throws(Refusal) -> [Decided<UserState>] {
        guard let user = state.user, state.username.isExactly(username) else { throw .doesNotExist(.user) }
        guard state.username.after("test_user") != nil else { throw .notATestUser }
        if let error = FieldRules.keys(keys) { throw .invalidFields([error]) }
        return [try state.decided(UserReset(user: user, keys: keys, collections: state.collections))]
    }
}
