internal import Contents
internal import Database
internal import Domain
internal import EventLog

extension Batch {
    func create(_ event: UserCreated, _ record: RecordedEvent) throws {
        try connection.enqueue(
            Self.insertUser,
            [
                .integer(record.position.rawValue), .text(event.unusablePassword), .text(event.username), .text(event.displayName),
                .text(event.email), .text(record.occurredAt.text),
            ])
        if let keys = event.keys { try setKeys(keys, of: UserID(rawValue: record.position.rawValue)) }
    }

    func setKeys(_ keys: UserKeys, of user: UserID) throws {
        try connection.enqueue(
            Self.insertKeys,
            [
                .integer(user.rawValue), .blob(keys.salt), .blob(keys.loginPubkey), .blob(keys.encryptedContent), .blob(keys.pubkey),
            ])
    }

    func changePassword(_ event: PasswordChanged) throws {
        try connection.enqueue(
            Self.updatePassword,
            [.integer(event.user.rawValue), .blob(event.loginPubkey), .blob(event.encryptedContent)])
    }

    func changeActivity(_ event: UserActivityChanged) throws {
        try connection.enqueue(
            Self.updateActivity,
            [.integer(event.user.rawValue), .flag(event.isActive)])
    }

    /// Removes what Django's cascades remove when the original's test route deletes a user's data. Without keys no session is left
    /// either; one of a later sign-up is made when this is done.
    func reset(_ event: UserReset) throws {
        let user = Value.integer(event.user.rawValue)
        let joined = try connection.query(
            Self.selectMemberships, [user]
        ) { $0.integer(0) }
        try connection.enqueue(
            Self.deleteInvitationsTo, [user])
        for collection in joined {
            try connection.enqueue(Self.deleteInvitationsOfMember, [user, .integer(collection)])
            try connection.enqueue(
                Self.deleteMember,
                [user, .integer(collection)])
            try recountMembers(of: collection)
        }
        let owned = try connection.query(
            Self.selectOwned, [user]
        ) { ($0.integer(0), CollectionUID($0.text(1))) }.filter { event.collections.contains($0.1) }.map(\.0)
        for collection in owned { try delete(collection: collection) }
        try connection.enqueue(Self.deleteKeys, [user])
        guard let keys = event.keys else {
            return try connection.enqueue(Self.deleteSessions, [user])
        }
        try setKeys(keys, of: event.user)
    }

    /// Removes the account's rows and the collections that go with it, contents of chunks included. The row of the account
    /// itself stays, without a name: it may own collections of which others are members.
    func erase(_ event: UserErased) throws {
        for collection in try collections(Set(event.collections)).values.sorted(by: { $0.id < $1.id }) {
            try delete(collection: collection.id)
        }
        try TableContents.delete(allOf: event.collections, connection)
        let user = Value.integer(event.user.rawValue)
        for statement in Self.deleteUser { try connection.enqueue(statement, [user]) }
        // The original lets somebody else's membership name a user's type: an adopted one may still be needed.
        try connection.enqueue(Self.eraseTypes, [user, .text(Erasure.mark)])
        try connection.enqueue(Self.eraseUser, [user, .text(Username.ofErased(event.user)), .text(Erasure.password)])
    }

    private static let deleteUser = [
        "DELETE FROM django_etebase_collectioninvitation WHERE user_id = $1",
        "DELETE FROM django_etebase_collectionmemberremoved WHERE user_id = $1",
        """
        DELETE FROM django_etebase_collectiontype
        WHERE  owner_id = $1
        AND    NOT EXISTS (
                   SELECT 1 FROM django_etebase_collectionmember WHERE "collectionType_id" = django_etebase_collectiontype.id)
        """,
        "DELETE FROM django_etebase_userinfo WHERE owner_id = $1",
        "DELETE FROM token_auth_authtoken WHERE user_id = $1",
        "DELETE FROM myauth_user_groups WHERE user_id = $1",
        "DELETE FROM myauth_user_user_permissions WHERE user_id = $1",
        "DELETE FROM django_admin_log WHERE user_id = $1",
    ].map { Statement($0) }

    private static let eraseTypes = Statement(
        """
        UPDATE django_etebase_collectiontype
        SET    uid = {sqlite: CAST($2 || id AS BLOB)}{postgres: convert_to($2::text || id, 'UTF8')}
        WHERE  owner_id = $1
        """)

    private static let eraseUser = Statement(
        """
        UPDATE myauth_user
        SET    username = $2, password = $3, first_name = '', last_name = '', email = '', last_login = NULL,
               is_active = FALSE, is_staff = FALSE, is_superuser = FALSE
        WHERE  id = $1
        """)

    /// Deletes a collection's rows, however many: it takes as long as it takes.
    private func delete(collection: Int64) throws {
        try connection.set(.mayTakeLong)
        for statement in Counting.removeCollection + Self.deleteCollection { try connection.enqueue(statement, [.integer(collection)]) }
    }

    private static let insertUser = Statement(
        """
        INSERT INTO myauth_user
               (id, password, last_login, is_superuser, username, last_name, email, is_staff, is_active, date_joined, first_name)
        VALUES ($1, $2, NULL, FALSE, $3, '', $5, FALSE, TRUE, $6{postgres: ::timestamptz}, $4)
        """)

    /// Rows before those that they refer to.
    private static let deleteCollection = [
        """
        DELETE FROM django_etebase_collectioninvitation
        WHERE  "fromMember_id" IN (SELECT id FROM django_etebase_collectionmember WHERE collection_id = $1)
        """,
        "DELETE FROM django_etebase_collectionmember WHERE collection_id = $1",
        "DELETE FROM django_etebase_collectionmemberremoved WHERE collection_id = $1",
        """
        DELETE FROM django_etebase_revisionchunkrelation
        WHERE  chunk_id IN (SELECT id FROM django_etebase_collectionitemchunk WHERE collection_id = $1)
        """,
        "DELETE FROM django_etebase_collectionitemchunk WHERE collection_id = $1",
        """
        DELETE FROM django_etebase_collectionitemrevision
        WHERE  item_id IN (SELECT id FROM django_etebase_collectionitem WHERE collection_id = $1)
        """,
        "UPDATE django_etebase_collection SET main_item_id = NULL WHERE id = $1",
        "DELETE FROM django_etebase_collectionitem WHERE collection_id = $1",
        "DELETE FROM django_etebase_collection WHERE id = $1",
        "DELETE FROM apus_item WHERE collection_id = $1",
        "DELETE FROM apus_collection WHERE id = $1",
    ].map { Statement($0) }

    private static let insertKeys = Statement(
        """
        INSERT INTO django_etebase_userinfo (owner_id, version, salt, "loginPubkey", "encryptedContent", pubkey)
        VALUES ($1, 1, $2, $3, $4, $5)
        """)

    private static let updatePassword = Statement(
        #"UPDATE django_etebase_userinfo SET "loginPubkey" = $2, "encryptedContent" = $3 WHERE owner_id = $1"#)

    private static let updateActivity = Statement("UPDATE myauth_user SET is_active = ($2 <> 0) WHERE id = $1")

    private static let selectMemberships = Statement("SELECT collection_id FROM django_etebase_collectionmember WHERE user_id = $1")

    private static let deleteInvitationsTo = Statement("DELETE FROM django_etebase_collectioninvitation WHERE user_id = $1")

    private static let deleteMember = Statement(
        "DELETE FROM django_etebase_collectionmember WHERE user_id = $1 AND collection_id = $2")

    private static let selectOwned = Statement("SELECT id, uid FROM django_etebase_collection WHERE owner_id = $1")

    private static let deleteKeys = Statement("DELETE FROM django_etebase_userinfo WHERE owner_id = $1")

    private static let deleteSessions = Statement("DELETE FROM token_auth_authtoken WHERE user_id = $1")
}
