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
                owner: UserID(rawValue: row.integer(4)), hasTail: row.flag(2), member: row.integerOrNil(3).map(UserID.init)
            )
        }
        guard let first = rows.first else { return nil }
        // What happened since is the rules' to say. Of the members only who they are is asked here.
        var state = CollectionState(uid: uid)
        state.owner = first.owner
        for member in rows.compactMap(\.member) { state.members[member] = .init(level: .readOnly, stoken: .none) }
        for record in first.hasTail ? try tail(of: stream) : [] { state.evolve(record.event, at: record.position) }
        guard state.owner != nil else { return nil }
        return Audience(collection: first.collection, members: Set(state.members.keys))
    }

    /// The items that changed after a position, oldest change first and the collection's own among them, for somebody who had
    /// everything at `base`: chunks that an item had there come without their contents, all others with them.
    ///
    /// - Parameter base: ``Position/none`` for somebody who had nothing.
    public func changes(
        of collection: CollectionAccess, after position: Position, knownAt base: Position, limit: Int
    ) throws -> Page<ItemContent> {
        let page = try changes(of: collection, after: position, limit: limit, includesMain: true)
        if base == .none || page.elements.isEmpty { return Page(try filled(page.elements, .auto), isDone: page.isDone) }
        var chunks: [Int64: [ChunkContent]] = [:]
        let found = try connection.query(
            Self.selectNewContents, [.integers(page.elements.map(\.revision.id)), .integer(base.rawValue)]
        ) { row in
            let isKnown = row.flag(2)
            let content = isKnown ? nil : try present(row.blobOrNil(3), path: row.text(4))
            return (revision: row.integer(0), chunk: ChunkContent(uid: row.text(1), content: content))
        }
        for (revision, chunk) in found { chunks[revision, default: []].append(chunk) }
        return Page(filled(page.elements, chunks), isDone: page.isDone)
    }

    /// The streams that the events after `position`, up to `end`, belong to.
    public func streams(after position: Position, upTo end: Position) throws -> [StreamID] {
        end == position ? [] : try EventLog.streams(after: position, upTo: end, connection)
    }

    private static let selectAudience = Statement(
        """
        SELECT collection.id, state.revision_stoken,
               CASE WHEN stream.head > (SELECT position FROM apus_projection) THEN 1 ELSE 0 END, member.user_id,
               collection.owner_id
        FROM   django_etebase_collection collection
        JOIN   apus_collection state ON state.id = collection.id
        LEFT   JOIN apus_stream stream ON stream.name = 'collection/' || collection.uid
        LEFT   JOIN django_etebase_collectionmember member ON member.collection_id = collection.id
        WHERE  collection.uid = $1
        """)

    // Ids grow with positions, so they order the revisions of an item.
    static let selectNewContents = Statement(
        list: """
            WITH   paged_revision AS MATERIALIZED (
                   SELECT revision.id, (SELECT   earlier.id
                                        FROM     django_etebase_collectionitemrevision earlier
                                        WHERE    earlier.item_id = revision.item_id AND earlier.stoken_id <= $2
                                        ORDER BY earlier.id DESC
                                        LIMIT    1) AS known
                   FROM   django_etebase_collectionitemrevision revision
                   WHERE  revision.id IN [$1 bigint])
            SELECT named.revision_id, chunk.uid, named.is_known, stored.content, chunk."chunkFile"
            FROM   (SELECT relation.id, relation.revision_id, relation.chunk_id,
                           CASE WHEN EXISTS (SELECT 1
                                             FROM   django_etebase_revisionchunkrelation earlier
                                             WHERE  earlier.revision_id = paged_revision.known AND earlier.chunk_id = relation.chunk_id)
                                THEN 1 ELSE 0 END AS is_known
                    FROM   paged_revision
                    JOIN   django_etebase_revisionchunkrelation relation ON relation.revision_id = paged_revision.id) named
            JOIN   django_etebase_collectionitemchunk chunk ON chunk.id = named.chunk_id
            JOIN   django_etebase_collection collection ON collection.id = chunk.collection_id
            LEFT   JOIN apus_chunk stored
                   ON named.is_known = 0 AND stored.collection = collection.uid AND stored.uid = chunk.uid
            ORDER  BY named.id
            """)
}

extension Sessions {
    /// Whose those of `tokens` are that are good: not ended, not expired, and of users who are active as of the end of the
    /// log.
    public func users(of tokens: Set<String>, at now: Timestamp, _ snapshot: Snapshot) throws -> [String: UserID] {
        let found = try snapshot.connection.query(Self.selectUsers, [.texts(Array(tokens)), .text(now.text)]) { row in
            (
                token: row.text(0), user: UserID(rawValue: row.integer(1)), isActive: row.integerOrNil(2).map { $0 != 0 },
                head: Position(rawValue: row.integer(3)), checkpoint: row.integerOrNil(4).map { Position(rawValue: $0) }
            )
        }
        // Of one user's tokens each says the same.
        let known = Dictionary(found.map { ($0.user, $0) }) { first, _ in first }
        let active = try known.filter { user, row in
            guard let checkpoint = row.checkpoint else { throw Snapshot.noCheckpoint }
            return try Self.isActive(user, inTables: row.isActive, head: row.head, checkpoint: checkpoint, snapshot) == true
        }
        return Dictionary(uniqueKeysWithValues: found.filter { active[$0.user] != nil }.map { ($0.token, $0.user) })
    }

    private static let selectUsers = Statement(
        list: """
            SELECT token.key, token.user_id, account.is_active, COALESCE(stream.head, 0), apus_projection.position
            FROM   token_auth_authtoken token
            LEFT   JOIN myauth_user account ON account.id = token.user_id
            LEFT   JOIN apus_projection ON TRUE
            LEFT   JOIN apus_stream stream ON stream.name = 'user/' || token.user_id
            WHERE  token.key IN [$1 text] AND (token.expiry IS NULL OR token.expiry >= {moment})
            """
    ).replacing("{moment}", sqlite: "$2", postgres: "$2::timestamptz")
}
