internal import Database
package import Domain
internal import EventLog

/// A user's account.
package struct Account: Sendable {
    package let user: UserID
    package let username: String
    package let email: String
    package let isActive: Bool
    /// Nil until a client has initialized the account.
    package let keys: UserKeys?
    /// The version of the keys' derivation; 1 so far.
    package let keyVersion: Int64
}

/// What an account is looked up by, as people write it.
package enum AccountLookup: Sendable {
    case found(Account)
    case unknown
    /// Several accounts share the email address.
    case ambiguous
}

extension Snapshot {
    /// The account of an id.
    package func account(_ user: UserID) throws -> Account? {
        try require([.user(user)])
        return try accounts(Self.selectAccount, .integer(user.rawValue)).first
    }

    /// The account of a name in any case.
    package func account(named name: CanonicalName) throws -> Account? {
        // Whoever has the name has claimed it.
        guard let holder = try taken([.username(name.text)]).values.first else { return nil }
        try require([.user(holder)])
        if let account = try accounts(Self.selectAccountsByName, .text(name.text)).first { return account }
        // An adopted name may be stored in another case, or be the former one of its holder.
        return try accounts(Self.selectAccount, .integer(holder.rawValue)).first { CanonicalName($0.username) == name }
    }

    /// The account of a name or an email address: with an @ by email first, then by name (QUIRKS.md 30). One that was erased
    /// is nobody's.
    package func account(of given: AccountName) throws -> AccountLookup {
        guard !given.isNobodys else { return .unknown }
        if let email = given.email {
            // SQLite's lower() knows ASCII only; the domain was stored in lower case.
            try requireAll()
            let sharing = try accounts(Self.selectAccountsByEmail, .text(email))
            if sharing.count > 1 { return .ambiguous }
            if let account = sharing.first { return .found(account) }
        }
        return try account(named: given.name).map { .found($0) } ?? .unknown
    }

    /// The accounts in the order of their ids, for the operator.
    package func accounts(limit: Int) throws -> [Account] {
        try requireAll()
        return try Array(accounts(Self.selectAllAccounts, .integer(0)).prefix(limit))
    }

    /// What is needed of an account.
    package func state(_ needs: AccountNeeds) throws -> UserState {
        var state: UserState
        switch needs.account {
        case .name(let name):
            state = UserState(try account(named: name), called: name.text)
            state.taken = try taken([.username(name.text)])
        case .id(let user):
            let account = try account(user)
            state = UserState(account, called: account?.username ?? "")
        }
        if needs.withCollections, let user = state.user { state.collections = try collections(concerning: user) }
        return state
    }

    /// What is needed to erase an account.
    package func state(_ needs: ErasureNeeds) throws -> ErasureState {
        let user = try state(AccountNeeds(.name(needs.name)))
        guard let id = user.user else { return ErasureState(of: user, in: []) }
        try require([.user(id)])
        let states = try collections(concerning: id).map { try state(CollectionNeeds($0)) }
        return ErasureState(of: user, in: states, reset: try collections(resetOf: id))
    }

    /// The collections that went when the user's account was reset.
    private func collections(resetOf user: UserID) throws -> Set<CollectionUID> {
        let positions = try connection.query(
            Self.selectResets, [.text(StreamID.user(user).name.rawValue), .text(EventType.userReset.rawValue)]
        ) {
            Position(rawValue: $0.integer(0))
        }
        var found: Set<CollectionUID> = []
        for position in positions {
            let events = try EventLog.events(after: Position(rawValue: position.rawValue - 1), limit: 1, connection)
            for case .userReset(let event) in events.map(\.event) where event.keys == nil { found.formUnion(event.collections) }
        }
        return found
    }

    private static let selectResets = Statement(
        """
        SELECT event.position
        FROM   apus_stream_event touched
        JOIN   apus_event event ON event.position = touched.position AND event.type = $2
        WHERE  touched.stream = $1
        ORDER  BY event.position
        """)

    /// The collections in which a reset of the user would change something.
    private func collections(concerning user: UserID) throws -> [CollectionUID] {
        try connection.query(
            Self.selectCollectionsConcerning, [.integer(user.rawValue)]
        ) { CollectionUID($0.text(0)) }
    }

    /// What deciding about an erasure needs, and the files in which contents lie that go with it.
    package func erasure(named name: CanonicalName) throws -> (state: ErasureState, files: [String]) {
        let state = try state(ErasureNeeds(name))
        let erased = state.erasure?.collections ?? []
        let files = try connection.query(Self.selectFiles, [.texts(erased.map(\.rawValue))]) { $0.text(0) }
        return (state, files)
    }

    /// Those of `files` that a chunk's row names.
    package func named(_ files: [String]) throws -> [String] {
        try connection.query(Self.selectNamed, [.texts(files)]) { $0.text(0) }
    }

    private static let selectNamed = Statement(
        #"SELECT "chunkFile" FROM django_etebase_collectionitemchunk WHERE "chunkFile" IN [$1 text]"#)

    private static let selectFiles = Statement(
        """
        SELECT chunk."chunkFile"
        FROM   django_etebase_collection collection
        JOIN   django_etebase_collectionitemchunk chunk ON chunk.collection_id = collection.id
        WHERE  collection.uid IN [$1 text]
        """)

    private static let selectAccount = selectAccounts("account.id = $1")
    private static let selectAllAccounts = selectAccounts("account.id > $1")
    private static let selectAccountsByEmail = selectAccounts("lower(account.email) = lower($1)")
    static let selectAccountsByName = selectAccounts("account.username = $1")

    private static func selectAccounts(_ condition: String) -> Statement {
        Statement(
            """
            SELECT account.id, account.username, account.email, account.is_active,
                   info.version, info.salt, info."loginPubkey", info.pubkey, info."encryptedContent"
            FROM   myauth_user account
            LEFT   JOIN django_etebase_userinfo info ON info.owner_id = account.id
            WHERE  \(condition)
            ORDER  BY account.id
            """)
    }

    private func accounts(_ statement: Statement, _ value: Value) throws -> [Account] {
        try connection.query(statement, [value]) { row in
            let version = row.integerOrNil(4)
            return Account(
                user: UserID(rawValue: row.integer(0)), username: row.text(1), email: row.text(2), isActive: row.flag(3),
                keys: version.map { _ in
                    UserKeys(salt: row.blob(5), loginPubkey: row.blob(6), pubkey: row.blob(7), encryptedContent: row.blob(8))
                }, keyVersion: version ?? 1)
        }
    }

    private static let selectCollectionsConcerning = Statement(
        """
        SELECT uid
        FROM   django_etebase_collection
        WHERE  id IN (SELECT id FROM django_etebase_collection WHERE owner_id = $1
                      UNION
                      SELECT collection_id FROM django_etebase_collectionmember WHERE user_id = $1
                      UNION
                      SELECT member.collection_id
                      FROM   django_etebase_collectioninvitation invitation
                      JOIN   django_etebase_collectionmember member ON member.id = invitation."fromMember_id"
                      WHERE  invitation.user_id = $1)
        ORDER  BY id
        """)
}

extension UserState {
    fileprivate init(_ account: Account?, called username: String) {
        self.init(username: username)
        guard let account else { return }
        user = account.user
        isActive = account.isActive
        isInitialized = account.keys != nil
    }
}
