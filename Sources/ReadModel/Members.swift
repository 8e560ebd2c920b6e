internal import Database
package import Domain

/// A member as admins see one.
package struct MemberContent: Sendable {
    package let username: String
    package let level: AccessLevel
    /// Where the membership last changed: what the list is paged by.
    package let changed: Position
}

/// An invitation as its two sides see it.
package struct InvitationContent: Sendable {
    let id: Int64
    package let uid: String
    package let version: Int64
    package let level: AccessLevel
    package let username: String
    package let collection: CollectionUID
    package let signedEncryptionKey: Content?
    package let fromUsername: String
    /// Empty where the inviter has lost the keys to a reset by the operator.
    package let fromPubkey: Content
}

/// Which side of an invitation asks.
package enum InvitationSide: Sendable {
    case incoming
    case outgoing
}

extension Snapshot {
    /// The members of a collection, in the order in which their memberships changed: no more than fit into a page.
    package func members(of collection: CollectionAccess, after position: Position, limit: Int) throws -> Page<MemberContent> {
        Page(
            try connection.query(
                Self.selectMembers, [.integer(collection.id), .integer(position.rawValue), .integer(Int64(limit) + 1)]
            ) { row in
                MemberContent(
                    username: row.text(0), level: AccessLevel(rawValue: row.integer(1)) ?? .readOnly,
                    changed: Position(rawValue: row.integer(2)))
            }, limit: limit
        )
        // Adopted names may be of any length.
        .cut(atBytes: bounds.pageBytes) { 32 + $0.username.utf8.count }
    }

    /// The member of a name in any case.
    ///
    /// - Throws: `Refusal.doesNotExist` when no member has that name.
    package func member(named name: CanonicalName, of collection: CollectionAccess) throws -> UserID {
        let found = try account(named: name).flatMap { account in
            try connection.first(Self.selectMember, [.integer(collection.id), .integer(account.user.rawValue)]) {
                UserID(rawValue: $0.integer(0))
            }
        }
        guard let found else { throw Refusal.doesNotExist(.member) }
        return found
    }

    /// The user's invitations, oldest first: no more than fit into a page.
    ///
    /// - Parameter after: the uid of one of them; only newer ones are listed.
    /// - Throws: `Refusal.doesNotExist` when `after` is none of them.
    package func invitations(
        _ side: InvitationSide, of user: UserID, after uid: InvitationUID?, limit: Int
    ) throws -> Page<InvitationContent> {
        try require([.user(user)])
        let start = try uid.map { try invitation($0, side, of: user).id } ?? 0
        return Page(
            try connection.query(
                Self.selectInvitations(side, "invitation.id > $2 ORDER BY invitation.id LIMIT $3"),
                [.integer(user.rawValue), .integer(start), .integer(Int64(limit) + 1)], invitation), limit: limit
        )
        .cut(atBytes: bounds.pageBytes) { 512 + $0.fromPubkey.count + ($0.signedEncryptionKey?.count ?? 0) }
    }

    /// One of the user's invitations.
    ///
    /// - Throws: `Refusal.doesNotExist` when it is none of them.
    package func invitation(_ uid: InvitationUID, _ side: InvitationSide, of user: UserID) throws -> InvitationContent {
        try require([.user(user)])
        let found = try connection.first(
            Self.selectInvitations(side, "invitation.uid = $2 ORDER BY invitation.id DESC LIMIT 1"),
            [.integer(user.rawValue), .text(uid.rawValue)], invitation)
        guard let found else { throw Refusal.doesNotExist(.invitation) }
        return found
    }

    private func invitation(_ row: any Row) -> InvitationContent {
        InvitationContent(
            id: row.integer(0), uid: row.text(1), version: row.integer(2), level: AccessLevel(rawValue: row.integer(3)) ?? .readOnly,
            username: row.text(4), collection: CollectionUID(row.text(5)),
            signedEncryptionKey: row.content(6, .invitationKey, of: row.integer(0)), fromUsername: row.text(8),
            fromPubkey: row.content(9, .publicKey, of: row.integer(11)) ?? .bytes([]))
    }

    private static let selectMember = Statement(
        "SELECT user_id FROM django_etebase_collectionmember WHERE collection_id = $1 AND user_id = $2")

    private static let selectMembers = Statement(
        """
        SELECT account.username, member."accessLevel", COALESCE(member.stoken_id, 0)
        FROM   django_etebase_collectionmember member
        JOIN   myauth_user account ON account.id = member.user_id
        WHERE  member.collection_id = $1 AND COALESCE(member.stoken_id, 0) > $2
        ORDER  BY COALESCE(member.stoken_id, 0), member.id
        LIMIT  $3
        """)

    private static func selectInvitations(_ side: InvitationSide, _ rest: String) -> Statement {
        let mine = side == .incoming ? "invitation.user_id" : "member.user_id"
        return Statement(
            """
            SELECT invitation.id, invitation.uid, invitation.version, invitation."accessLevel", invitee.username, collection.uid,
                   \(StoredBytes.Column.selected("invitation.\"signedEncryptionKey\"")), inviter.username,
                   \(StoredBytes.Column.selected("info.pubkey")), inviter.id
            FROM   django_etebase_collectioninvitation invitation
            JOIN   django_etebase_collectionmember member ON member.id = invitation."fromMember_id"
            JOIN   django_etebase_collection collection ON collection.id = member.collection_id
            JOIN   myauth_user invitee ON invitee.id = invitation.user_id
            JOIN   myauth_user inviter ON inviter.id = member.user_id
            LEFT   JOIN django_etebase_userinfo info ON info.owner_id = inviter.id
            WHERE  \(mine) = $1 AND \(rest)
            """)
    }
}
