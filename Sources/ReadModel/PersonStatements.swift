internal import Contents
internal import Database

extension Person {
    static let selectAccount = moments(
        """
        SELECT account.id, account.username, account.first_name, account.last_name, account.email, account.is_active, account.is_staff,
               account.is_superuser, {date_joined}, {last_login},
               info.version, info.salt, info."loginPubkey", info.pubkey, info."encryptedContent",
               quota.bytes, quota.items, quota.collections
        FROM   myauth_user account
        LEFT   JOIN apus_quota quota ON quota.user_id = account.id
        LEFT   JOIN django_etebase_userinfo info ON info.owner_id = account.id
        WHERE  account.id = $1
        """, ["date_joined", "last_login"])

    static let selectTokens = moments(
        "SELECT key, {created}, {expiry} FROM token_auth_authtoken WHERE user_id = $1 ORDER BY created", ["created", "expiry"])

    static let selectSessions = Statement(
        "SELECT session, device, created_at FROM apus_session WHERE user_id = $1 ORDER BY created_at, session")

    static let selectCollections = Statement(
        """
        SELECT collection.id, collection.uid, collection.owner_id, owner.username, member."accessLevel", member."encryptionKey", type.uid
        FROM   django_etebase_collection collection
        JOIN   myauth_user owner ON owner.id = collection.owner_id
        LEFT   JOIN django_etebase_collectionmember member ON member.collection_id = collection.id AND member.user_id = $1
        LEFT   JOIN django_etebase_collectiontype type ON type.id = member."collectionType_id"
        WHERE  collection.id IN (SELECT id FROM django_etebase_collection WHERE owner_id = $1
                                 UNION
                                 SELECT collection_id FROM django_etebase_collectionmember WHERE user_id = $1)
        ORDER  BY collection.id
        """)

    static let selectMembers = Statement(
        """
        SELECT member.id, member.user_id, account.username, member."accessLevel"
        FROM   django_etebase_collectionmember member
        JOIN   myauth_user account ON account.id = member.user_id
        WHERE  member.collection_id = $1 AND member.id > $2
        ORDER  BY member.id
        LIMIT  $3
        """)

    static let selectItems = Statement(
        """
        SELECT id, uid, version, "encryptionKey"
        FROM   django_etebase_collectionitem
        WHERE  collection_id = $1 AND id > $2
        ORDER  BY id
        LIMIT  $3
        """)

    static let measureRevisions = Statement(
        """
        SELECT revision.id, length(revision.meta)
        FROM   django_etebase_collectionitem item
        JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id
        WHERE  item.collection_id = $1 AND revision.id > $2
        ORDER  BY revision.id
        LIMIT  $3
        """)

    static let selectRevisions = Statement(
        """
        SELECT revision.id, item.uid, revision.uid, revision.current, revision.deleted, revision.meta
        FROM   django_etebase_collectionitemrevision revision
        JOIN   django_etebase_collectionitem item ON item.id = revision.item_id
        WHERE  revision.id IN [$1 bigint]
        ORDER  BY revision.id
        """)

    static let selectChunksOfRevisions = Statement(
        """
        SELECT relation.revision_id, chunk.uid
        FROM   django_etebase_revisionchunkrelation relation
        JOIN   django_etebase_collectionitemchunk chunk ON chunk.id = relation.chunk_id
        WHERE  relation.revision_id IN [$1 bigint]
        ORDER  BY relation.id
        """)

    static let selectChunks = Statement(
        """
        SELECT \(ContentStores.columns), chunk.id
        FROM   django_etebase_collectionitemchunk chunk
        JOIN   django_etebase_collection collection ON collection.id = chunk.collection_id
        \(ContentStores.join())
        WHERE  chunk.collection_id = $1 AND chunk.id > $2
        ORDER  BY chunk.id
        LIMIT  $3
        """)

    static let selectInvitations = Statement(
        """
        SELECT invitation.uid, collection.uid, sender.username, invitee.username, invitation."accessLevel",
               invitation."signedEncryptionKey", invitation.user_id
        FROM   django_etebase_collectioninvitation invitation
        JOIN   django_etebase_collectionmember member ON member.id = invitation."fromMember_id"
        JOIN   django_etebase_collection collection ON collection.id = member.collection_id
        JOIN   myauth_user sender ON sender.id = member.user_id
        JOIN   myauth_user invitee ON invitee.id = invitation.user_id
        WHERE  invitation.user_id = $1 OR member.user_id = $1
        ORDER  BY invitation.id
        """)

    static let selectLeft = Statement(
        """
        SELECT collection.uid
        FROM   django_etebase_collectionmemberremoved removed
        JOIN   django_etebase_collection collection ON collection.id = removed.collection_id
        WHERE  removed.user_id = $1
        ORDER  BY removed.id
        """)

    /// SQLite has Django's texts for moments, PostgreSQL a type.
    private static func moments(_ sql: String, _ columns: [String]) -> Statement {
        Statement(
            columns.reduce(sql) {
                $0.replacing(
                    "{\($1)}",
                    with: "{sqlite: \($1)}{postgres: to_char(\($1) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')}")
            })
    }
}
