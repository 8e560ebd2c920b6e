internal import Database
public import Domain
internal import EventLog

/// A collection with those who may listen to it.
public struct Audience: Sendable {
    public let collection: CollectionAccess
    public let members: Set<UserID>
}

extension Snapshot {
    /// The collection as it is in the read model, with its members as of the end of the log: who was removed is out before
    /// the read model knows. Nil when there is no such collection.
    public func audience(of uid: CollectionUID) throws -> Audience? {
        let stream = StreamID.collection(uid)
        let rows = try connection.query(Self.selectAudience, [.text(uid.rawValue)]) { row in
            (
                collection: CollectionAccess(
                    id: row.integer(0), uid: uid, level: .readOnly, revisionStoken: Position(rawValue: row.integer(1))),
                hasTail: row.flag(2), member: row.integerOrNil(3).map(UserID.init)
            )
        }
        guard let first = rows.first else { return nil }
        var members = Set(rows.compactMap(\.member))
        for record in first.hasTail ? try tail(of: stream) : [] {
            switch record.event {
            case .memberJoined(let event): members.insert(event.user)
            case .memberRemoved(let event): members.remove(event.user)
            default: break
            }
        }
        return Audience(collection: first.collection, members: members)
    }

    /// The streams that the events after `position`, up to `end`, belong to.
    public func streams(after position: Position, upTo end: Position) throws -> [StreamID] {
        end == position ? [] : try EventLog.streams(after: position, upTo: end, connection)
    }

    private static let selectAudience = Statement(
        """
        SELECT collection.id, state.revision_stoken,
               CASE WHEN stream.head > (SELECT position FROM apus_projection) THEN 1 ELSE 0 END, member.user_id
        FROM   django_etebase_collection collection
        JOIN   apus_collection state ON state.id = collection.id
        LEFT   JOIN apus_stream stream ON stream.name = 'collection/' || collection.uid
        LEFT   JOIN django_etebase_collectionmember member ON member.collection_id = collection.id
        WHERE  collection.uid = $1
        """)
}

extension Sessions {
    /// Whose those of `tokens` are that are good: not ended, not expired, and of users who are active as of the end of the
    /// log.
    public func users(of tokens: Set<String>, at now: Timestamp, _ snapshot: Snapshot) throws -> [String: UserID] {
        let found = try snapshot.connection.query(Self.selectUsers, [.texts(Array(tokens)), .text(now.text)]) { row in
            (token: row.text(0), user: UserID(rawValue: row.integer(1)), hasTail: row.flag(2))
        }
        var inactive: Set<UserID> = []
        for user in Set(found.filter(\.hasTail).map(\.user)) {
            for case .userActivityChanged(let event) in try snapshot.tail(of: .user(user)).map(\.event) where event.user == user {
                if event.isActive { inactive.remove(user) } else { inactive.insert(user) }
            }
        }
        return Dictionary(uniqueKeysWithValues: found.filter { !inactive.contains($0.user) }.map { ($0.token, $0.user) })
    }

    private static let selectUsers = Statement(
        list: """
            SELECT token.key, token.user_id, CASE WHEN stream.head > (SELECT position FROM apus_projection) THEN 1 ELSE 0 END
            FROM   token_auth_authtoken token
            JOIN   myauth_user account ON account.id = token.user_id
            LEFT   JOIN apus_stream stream ON stream.name = 'user/' || token.user_id
            WHERE  token.key IN [$1 text] AND (token.expiry IS NULL OR token.expiry >= {moment}) AND account.is_active = TRUE
            """
    ).replacing("{moment}", sqlite: "$2", postgres: "$2::timestamptz")
}
