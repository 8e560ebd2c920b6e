package import Domain
package import EventLog
internal import Database

/// What a client has seen of a list that it follows.
package enum FollowedList: Sendable {
    case collections
    case items(of: CollectionUID)
}

extension ReadModel {
    /// Whether nothing has changed in a list since `seen`: by far the most frequent question, answered with one statement
    /// whose cost does not depend on how much there is.
    ///
    /// - Returns: whose token it is, and whether it is to be renewed; nil when something has changed, or when the answer takes a closer
    ///   look for any other reason: the token or the collection is none of the user's, or the read model is behind.
    package func unchanged(_ list: FollowedList, since seen: LogHead, token: String, at now: Timestamp, _ sessions: Sessions) async throws
        -> (user: UserID, renewal: Session.Renewal)?
    {
        let values = sessions.question(token: token, at: now) + [.integer(seen.position.rawValue), .integer(seen.epoch)]
        switch list {
        case .collections:
            return try await database.ask(Self.selectUnchangedCollections, values) { Self.holder($0) }.first
        case .items(let uid):
            return try await database.ask(Self.selectUnchangedItems, values + [.text(uid.rawValue)]) { Self.holder($0) }.first
        }
    }

    private static func holder(_ row: any Row) -> (user: UserID, renewal: Session.Renewal) {
        (UserID(rawValue: row.integer(0)), Sessions.renewal(row))
    }

    private static let selectUnchangedItems = Sessions.statement(
        withToken: """
            SELECT \(Sessions.selectedToken)
            FROM   token_auth_authtoken token
            JOIN   myauth_user account ON account.id = token.user_id AND account.is_active = TRUE
            JOIN   django_etebase_collection collection ON collection.uid = $7
            JOIN   django_etebase_collectionmember member
                   ON member.collection_id = collection.id AND member.user_id = token.user_id
            JOIN   apus_collection state ON state.id = collection.id AND state.revision_stoken <= $5
            CROSS  JOIN apus_projection
            JOIN   apus_log ON apus_log.epoch = $6 AND apus_log.position >= $5
            WHERE  \(Sessions.tokenCondition)
            AND    NOT EXISTS (SELECT 1 FROM apus_stream stream
                               WHERE  stream.name IN ('collection/' || collection.uid, 'user/' || token.user_id)
                               AND    stream.head > apus_projection.position)
            """)

    private static let selectUnchangedCollections = Sessions.statement(
        withToken: """
            SELECT \(Sessions.selectedToken)
            FROM   token_auth_authtoken token
            JOIN   myauth_user account ON account.id = token.user_id AND account.is_active = TRUE
            CROSS  JOIN apus_projection
            JOIN   apus_log ON apus_log.epoch = $6 AND apus_log.position >= $5
            WHERE  \(Sessions.tokenCondition)
            AND    NOT EXISTS (SELECT 1 FROM apus_stream stream
                               WHERE  stream.name = 'user/' || token.user_id AND stream.head > apus_projection.position)
            AND    NOT EXISTS (SELECT 1
                               FROM   django_etebase_collectionmember member
                               JOIN   django_etebase_collection collection ON collection.id = member.collection_id
                               JOIN   apus_collection state ON state.id = collection.id
                               LEFT   JOIN apus_stream stream
                                      ON stream.name = 'collection/' || collection.uid AND stream.head > apus_projection.position
                               WHERE  member.user_id = token.user_id
                               AND    (state.revision_stoken > $5 OR member.stoken_id > $5 OR stream.name IS NOT NULL))
            AND    NOT EXISTS (SELECT 1
                               FROM   django_etebase_collectionmemberremoved removed
                               WHERE  removed.user_id = token.user_id AND removed.stoken_id > $5)
            """)
}
