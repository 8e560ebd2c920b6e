internal import Contents
internal import Database
package import Domain
internal import EventLog

/// A collection with those who may listen to it.
package struct Audience: Sendable {
    package let collection: CollectionAccess
    package let members: Set<UserID>
    /// In which stretch of history this is so.
    package let epoch: Int64
}

extension Snapshot {
    /// The collection as it is in the read model, with its members as of the end of the log: who was removed is out before
    /// the read model knows. Nil when there is no such collection.
    package func audience(of uid: CollectionUID) throws -> Audience? {
        let stream = StreamID.collection(uid)
        let rows = try connection.query(Self.selectAudience, [.text(uid.rawValue)]) { row in
            (
                collection: CollectionAccess(
                    id: row.integer(0), uid: uid, level: .readOnly, revisionStoken: Position(rawValue: row.integer(1))),
                owner: UserID(rawValue: row.integer(4)), hasTail: row.flag(2), member: row.integerOrNil(3).map(UserID.init),
                epoch: row.integer(5)
            )
        }
        guard let first = rows.first else { return nil }
        // What happened since is the rules' to say. Of the members only who they are is asked here.
        var state = CollectionState(uid: uid)
        state.owner = first.owner
        for member in rows.compactMap(\.member) { state.members[member] = .init(level: .readOnly, stoken: .none) }
        for record in first.hasTail ? try tail(of: stream) : [] { state.evolve(record.event, at: record.position) }
        guard state.owner != nil else { return nil }
        return Audience(collection: first.collection, members: Set(state.members.keys), epoch: first.epoch)
    }

    /// The items that changed after a position, oldest change first and the collection's own among them, for somebody who had
    /// everything at `base`: chunks that an item had there come without their contents, all others with them.
    ///
    /// The page is sent in one piece, once it is completed (``ReadModel/completed(_:)``). It ends where it holds enough
    /// (``ContentBounds/frameBytes``), and contents that would make an item too long are left out, to be fetched.
    ///
    /// - Parameters:
    ///   - base: ``Position/none`` for somebody who had nothing.
    ///   - limit: nothing that changed after this position.
    ///   - admit: asked before the contents are read whether so many bytes may be held; it throws when not.
    package func changes(
        of collection: CollectionAccess, after position: Position, knownAt base: Position, upTo end: Position? = nil, limit: Int,
        admit: (_ bytes: Int) throws -> Void = { _ in }
    ) throws -> Page<ItemContent> {
        let found = try changes(of: collection, after: position, limit: limit, includesMain: true)
        let wanted = found.elements.prefix { $0.changed <= end ?? $0.changed }
        let page = Page(Array(wanted), isDone: found.isDone || wanted.count < found.elements.count)
        func look(_ revisions: [Int64], _ limit: Int) throws -> [Mention] {
            if base == .none { return try mentions(of: revisions, .auto, limit: limit) }
            return try newMentions(of: revisions, knownAt: base, limit: limit)
        }
        let (listed, bytes) = try listed(page, upTo: bounds.frameBytes, itemBytes: bounds.frameItemBytes, look)
        guard let first = listed.elements.first, first.revision.unlistedChunks > 0 else {
            // While they are put together they are there twice.
            try admit(2 * bytes)
            return Page(try inlined(listed.elements), isDone: listed.isDone)
        }
        // One that no client makes any more; only names.
        try admit(first.revision.unlistedChunks * Self.mentionBytes)
        var item = first
        item.revision.chunks = try mentions(of: [first.revision.id], .medium, limit: first.revision.unlistedChunks).map(\.chunk)
        item.revision.unlistedChunks = 0
        return Page(try inlined([item]), isDone: listed.isDone)
    }

    /// What a mention takes while a message is made of it.
    private static let mentionBytes = 256

    private func newMentions(of revisions: [Int64], knownAt base: Position, limit: Int) throws -> [Mention] {
        let values: [Value] = [.integers(revisions), .integer(base.rawValue), .integer(Int64(limit))]
        return try connection.query(Self.selectNewContents, values) { row in
            let content = row.flag(3) ? nil : try content(row, from: 4)
            return Mention(revision: row.integer(0), chunk: ChunkContent(uid: row.text(2), content: content), id: row.integer(1))
        }
    }

    /// The streams that the events after `position`, up to `end`, belong to.
    package func streams(after position: Position, upTo end: Position) throws -> [StreamID] {
        end == position ? [] : try EventLog.streams(after: position, upTo: end, connection)
    }

    static let selectAudience = Statement(
        """
        SELECT collection.id, state.revision_stoken,
               CASE WHEN stream.head > (SELECT position FROM apus_projection) THEN 1 ELSE 0 END, member.user_id,
               collection.owner_id, (SELECT epoch FROM apus_log)
        FROM   django_etebase_collection collection
        JOIN   apus_collection state ON state.id = collection.id
        LEFT   JOIN apus_stream stream ON stream.name = 'collection/' || collection.uid
        LEFT   JOIN django_etebase_collectionmember member ON member.collection_id = collection.id
        WHERE  collection.uid = $1
        """)

    // Ids grow with positions, so they order the revisions of an item.
    static let selectNewContents = Statement(
        """
        WITH   paged_revision AS MATERIALIZED (
               SELECT revision.id, (SELECT   earlier.id
                                    FROM     django_etebase_collectionitemrevision earlier
                                    WHERE    earlier.item_id = revision.item_id AND earlier.stoken_id <= $2
                                    ORDER BY earlier.id DESC
                                    LIMIT    1) AS known
               FROM   django_etebase_collectionitemrevision revision
               WHERE  revision.id IN [$1 bigint])
        SELECT paged_mention.revision_id, paged_mention.id, chunk.uid, paged_mention.is_known, \(ContentStores.columns)
        FROM   (SELECT relation.id, relation.revision_id, relation.chunk_id,
                       CASE WHEN EXISTS (SELECT 1
                                         FROM   django_etebase_revisionchunkrelation earlier
                                         WHERE  earlier.revision_id = paged_revision.known AND earlier.chunk_id = relation.chunk_id)
                            THEN 1 ELSE 0 END AS is_known
                FROM   paged_revision
                JOIN   django_etebase_revisionchunkrelation relation ON relation.revision_id = paged_revision.id
                ORDER  BY relation.id + 0
                LIMIT  $3) paged_mention
        JOIN   django_etebase_collectionitemchunk chunk ON chunk.id = paged_mention.chunk_id
        JOIN   django_etebase_collection collection ON collection.id = chunk.collection_id
        \(ContentStores.join(where: "paged_mention.is_known = 0"))
        ORDER  BY paged_mention.id
        """)
}

extension Sessions {
    /// Whose those of `tokens` are that are good: not ended, not expired, and of users who are active as of the end of the
    /// log.
    package func users(of tokens: Set<ExactText>, at now: Timestamp, _ snapshot: Snapshot) throws -> [ExactText: UserID] {
        let found = try snapshot.connection.query(Self.selectUsers, [.texts(tokens.map(\.rawValue)), .text(now.text)]) { row in
            (
                token: ExactText(row.text(0)), user: UserID(rawValue: row.integer(1)), isActive: row.integerOrNil(2).map { $0 != 0 },
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

    static let selectUsers = Statement(
        """
        SELECT token.key, token.user_id, account.is_active, COALESCE(stream.head, 0), apus_projection.position
        FROM   token_auth_authtoken token
        LEFT   JOIN myauth_user account ON account.id = token.user_id
        LEFT   JOIN apus_projection ON TRUE
        LEFT   JOIN apus_stream stream ON stream.name = 'user/' || token.user_id
        WHERE  token.key IN [$1 text] AND (token.expiry IS NULL OR token.expiry >= $2{postgres: ::timestamptz})
        """)
}
