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
        let rows = try connection.query(Self.selectAudience, [.text(uid.rawValue)]) { row in
            (
                collection: CollectionAccess(
                    id: row.integer(0), uid: uid, level: .readOnly, revisionStoken: Position(rawValue: row.integer(1))),
                member: row.integerOrNil(2).map(UserID.init)
            )
        }
        guard let first = rows.first else { return nil }
        var members = Set(rows.compactMap(\.member))
        for record in try tail(of: .collection(uid)) {
            switch record.event {
            case .memberJoined(let event): members.insert(event.user)
            case .memberRemoved(let event): members.remove(event.user)
            default: break
            }
        }
        return Audience(collection: first.collection, members: members)
    }

    private static let selectAudience = Statement(
        """
        SELECT collection.id, state.revision_stoken, member.user_id
        FROM   django_etebase_collection collection
        JOIN   apus_collection state ON state.id = collection.id
        LEFT   JOIN django_etebase_collectionmember member ON member.collection_id = collection.id
        WHERE  collection.uid = $1
        """)
}

extension Sessions {
    /// Whose those of `tokens` are that are good: not ended, not expired, and of users who are active as of the end of the
    /// log.
    public func users(of tokens: Set<String>, at now: Timestamp, _ snapshot: Snapshot) throws -> [String: UserID] {
        let found = try snapshot.connection.query(Self.selectUsers, [.texts(Array(tokens)), .text(now.text)]) { row in
            (row.text(0), UserID(rawValue: row.integer(1)))
        }
        let inactive = try snapshot.deactivated(among: Set(found.map(\.1)))
        return Dictionary(uniqueKeysWithValues: found.filter { !inactive.contains($0.1) })
    }

    private static let selectUsers = Statement(
        list: """
            SELECT token.key, token.user_id
            FROM   token_auth_authtoken token
            JOIN   myauth_user account ON account.id = token.user_id
            WHERE  token.key IN [$1 text] AND (token.expiry IS NULL OR token.expiry >= {moment}) AND account.is_active = TRUE
            """
    ).replacing("{moment}", sqlite: "$2", postgres: "$2::timestamptz")
}

extension Snapshot {
    /// Those of `users` who were deactivated after the read model's last event.
    fileprivate func deactivated(among users: Set<UserID>) throws -> Set<UserID> {
        guard !isInline, !users.isEmpty else { return [] }
        let moved = try EventLog.streams(users.map { .user($0) }, movedAfter: position(), connection)
        var inactive: Set<UserID> = []
        for stream in moved {
            for case .userActivityChanged(let event) in try tail(of: stream).map(\.event) {
                if event.isActive { inactive.remove(event.user) } else { inactive.insert(event.user) }
            }
        }
        return inactive
    }

    /// The streams that events after `position` belong to, and where the read model ends. Nil for the streams when there
    /// are more than `limit` such events.
    public func streams(after position: Position, limit: Int) throws -> (streams: [StreamID]?, position: Position) {
        let end = try self.position()
        guard end.rawValue - position.rawValue <= Int64(limit) else { return (nil, end) }
        return (end == position ? [] : try EventLog.streams(after: position, upTo: end, connection), end)
    }
}
