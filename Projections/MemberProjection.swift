internal import Database
internal import Domain
internal import EventLog

extension Batch {
    func join(_ event: MemberJoined, _ record: RecordedEvent) throws {
        let collection = try collection(event.collection).id
        let id = Value.integer(record.position.rawValue)
        let user = Value.integer(event.user.rawValue)
        try insertStoken(of: record)
        try connection.enqueue(
            Self.insertType,
            [id, user, .blob(event.collectionType)])
        try connection.enqueue(
            Self.insertMember,
            [id, .blob(event.encryptionKey), .integer(collection), user, .integer(event.level.rawValue), .blob(event.collectionType)])
        try connection.enqueue(
            Self.deleteRemoval,
            [user, .integer(collection)])
        try connection.enqueue(
            Self.deleteInvitationsTo, [user, .integer(collection)])
        try moveMembers(of: collection, to: record.position)
    }

    func changeLevel(_ event: MemberLevelChanged, _ record: RecordedEvent) throws {
        let collection = try collection(event.collection).id
        try insertStoken(of: record)
        try connection.enqueue(
            Self.updateLevel,
            [
                .integer(record.position.rawValue), .integer(event.level.rawValue), .integer(event.user.rawValue),
                .integer(collection),
            ])
        try moveMembers(of: collection, to: record.position)
    }

    func remove(_ event: MemberRemoved, _ record: RecordedEvent) throws {
        let collection = try collection(event.collection).id
        let user = Value.integer(event.user.rawValue)
        try insertStoken(of: record)
        try connection.enqueue(
            Self.upsertRemoval, [.integer(record.position.rawValue), .integer(collection), user])
        try connection.enqueue(Self.deleteInvitationsOfMember, [user, .integer(collection)])
        try connection.enqueue(
            Self.deleteMember,
            [user, .integer(collection)])
        try recountMembers(of: collection)
    }

    func send(_ event: InvitationSent, _ record: RecordedEvent) throws {
        try connection.enqueue(
            Self.insertInvitation,
            [
                .integer(record.position.rawValue), .text(event.invitation.rawValue), .integer(Int64(event.version)),
                .integer(event.invitee.rawValue), .blob(event.signedEncryptionKey), .integer(event.level.rawValue),
                .integer(event.inviter.rawValue), .integer(try collection(event.collection).id),
            ])
    }

    func withdraw(_ event: InvitationWithdrawn) throws {
        try connection.enqueue(
            Self.deleteInvitation,
            [
                .text(event.invitation.rawValue), .integer(event.invitee.rawValue), .integer(event.inviter.rawValue),
                .integer(try collection(event.collection).id),
            ])
    }

    private func moveMembers(of collection: Int64, to position: Position) throws {
        try connection.enqueue(
            Self.updateMemberStoken,
            [.integer(collection), .integer(position.rawValue)])
    }

    /// Without the removed member the newest membership may be an older one (QUIRKS.md 13).
    func recountMembers(of collection: Int64) throws {
        try connection.enqueue(
            Self.recountMemberStoken, [.integer(collection)])
    }

    static let deleteInvitationsOfMember = Statement(
        """
        DELETE FROM django_etebase_collectioninvitation
        WHERE  "fromMember_id" IN
               (SELECT id FROM django_etebase_collectionmember WHERE user_id = $1 AND collection_id = $2)
        """)

    private static let insertType = Statement(
        "INSERT INTO django_etebase_collectiontype (id, owner_id, uid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")

    private static let insertMember = Statement(
        """
        INSERT INTO django_etebase_collectionmember
               (id, "encryptionKey", collection_id, user_id, stoken_id, "accessLevel", "collectionType_id")
        SELECT $1, $2, $3, $4, $1, $5, id
        FROM   django_etebase_collectiontype
        WHERE  uid = $6
        """)

    private static let deleteRemoval = Statement(
        "DELETE FROM django_etebase_collectionmemberremoved WHERE user_id = $1 AND collection_id = $2")

    private static let deleteInvitationsTo = Statement(
        """
        DELETE FROM django_etebase_collectioninvitation
        WHERE  user_id = $1
        AND    "fromMember_id" IN (SELECT id FROM django_etebase_collectionmember WHERE collection_id = $2)
        """)

    private static let updateLevel = Statement(
        """
        UPDATE django_etebase_collectionmember
        SET    stoken_id = $1, "accessLevel" = $2
        WHERE  user_id = $3 AND collection_id = $4
        """)

    private static let upsertRemoval = Statement(
        """
        INSERT INTO django_etebase_collectionmemberremoved (id, collection_id, stoken_id, user_id)
        VALUES ($1, $2, $1, $3)
        ON CONFLICT (user_id, collection_id) DO UPDATE SET stoken_id = excluded.stoken_id
        """)

    private static let deleteMember = Statement(
        "DELETE FROM django_etebase_collectionmember WHERE user_id = $1 AND collection_id = $2")

    private static let insertInvitation = Statement(
        """
        INSERT INTO django_etebase_collectioninvitation
               (id, uid, version, "fromMember_id", user_id, "signedEncryptionKey", "accessLevel")
        SELECT $1, $2, $3, id, $4, $5, $6
        FROM   django_etebase_collectionmember
        WHERE  user_id = $7 AND collection_id = $8
        """)

    private static let deleteInvitation = Statement(
        """
        DELETE FROM django_etebase_collectioninvitation
        WHERE  uid = $1 AND user_id = $2
        AND    "fromMember_id" IN
               (SELECT id FROM django_etebase_collectionmember WHERE user_id = $3 AND collection_id = $4)
        """)

    private static let updateMemberStoken = Statement("UPDATE apus_collection SET member_stoken = $2 WHERE id = $1")

    private static let recountMemberStoken = Statement(
        """
        UPDATE apus_collection
        SET    member_stoken = COALESCE(
                   (SELECT max(stoken_id) FROM django_etebase_collectionmember WHERE collection_id = $1), 0)
        WHERE  id = $1
        """)
}
