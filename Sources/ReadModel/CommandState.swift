internal import Database
package import Domain
internal import EventLog

extension Snapshot {
    /// Those of `claims` that are taken.
    package func taken(_ claims: [Claim]) throws -> TakenClaims { try EventLog.taken(claims, connection) }

    /// What is needed of a collection, as of the end of the log: what the read model says and the collection's events after
    /// that.
    package func state(_ needs: CollectionNeeds) throws -> CollectionState {
        let uid = needs.collection
        var state = CollectionState(uid: uid)
        let found = try connection.first(Self.selectState, [.text(uid.rawValue)]) { row in
            (id: row.integer(0), owner: UserID(rawValue: row.integer(1)), stoken: Position(rawValue: row.integer(2)))
        }
        let tail = Tail(bounds)
        var queries: [Query] = []
        if let found {
            state.owner = found.owner
            state.revisionStoken = found.stoken
            queries = [
                Query(Self.ofCollection.members, [.integer(found.id)]) { row in
                    state.members[UserID(rawValue: row.integer(0))] = CollectionState.Membership(
                        level: AccessLevel(rawValue: row.integer(1)) ?? .readOnly, stoken: Position(rawValue: row.integer(2)))
                },
                Query(Self.ofCollection.invitations, [.integer(found.id)]) { row in
                    state.invitations.append(
                        CollectionState.Invitation(
                            uid: InvitationUID(row.text(0)), inviter: UserID(rawValue: row.integer(1)),
                            invitee: UserID(rawValue: row.integer(2)), level: AccessLevel(rawValue: row.integer(3)) ?? .readOnly))
                },
            ]
            if !needs.items.isEmpty {
                queries.append(
                    Query(Self.ofCollection.etags, [.integer(found.id), .texts(needs.items.map(\.rawValue))]) { row in
                        state.etags[ItemUID(row.text(0))] = RevisionUID(row.text(1))
                    })
            }
            if !needs.revisions.isEmpty {
                queries.append(
                    Query(Self.ofCollection.holders, [.integer(found.id), .texts(needs.revisions.map(\.rawValue))]) { row in
                        state.revisions[RevisionUID(row.text(0))] = ItemUID(row.text(1))
                    })
            }
            if !needs.chunks.isEmpty {
                queries.append(
                    Query(Self.ofCollection.chunks, [.integer(found.id), .texts(needs.chunks.map(\.rawValue))]) { row in
                        state.chunks.insert(ChunkUID(row.text(0)))
                    })
            }
        }
        if !needs.claims.isEmpty { queries.append(EventLog.query(taken: needs.claims) { state.taken[$0] = $1 }) }
        var quota = needs.quota == .nobody ? .none : self.quota
        if needs.quota != .nobody {
            queries.append(Self.query(quotaOfOwnerOf: uid, or: needs.quota.maker) { quota = $0 })
        }
        if let query = try query(for: tail, of: .collection(uid)) { queries.append(query) }
        try connection.run(queries)
        let events = try tail.whole()
        if let found {
            // Also one that is current: what has happened since may have put another in its place.
            // Those of them that are taken are looked for.
            let repeated = needs.offered.filter { state.taken[.revision($0.revision.uid)] != nil }
            if !repeated.isEmpty { state.known = try known(repeated, in: found.id) }
        }
        if quota != .none {
            // Of a collection that is not in the tables yet it is not known whose others count.
            if found == nil, needs.quota.maker == nil, let last = events.last { throw Behind(position: last.position) }
            if let owner = state.owner ?? needs.quota.maker { state.allowance = try allowance(quota, of: owner, writing: uid) }
        }
        for record in events { state.evolve(record.event, at: record.position) }
        // What was taken from this collection is told by the tables alone.
        if state.allowance?.isOutdated == true, let last = events.last { throw Behind(position: last.position) }
        return state
    }

    /// Those of the offered revisions that the collection has, and that may have the same content: no more is read than was
    /// sent.
    private func known(_ items: [OfferedItem], in collection: Int64) throws -> [RevisionUID: CollectionState.KnownRevision] {
        typealias Known = CollectionState.KnownRevision
        let offered = Dictionary(items.map { ($0.revision.uid, $0.revision) }) { first, _ in first }
        let wanted = Array(offered.values)
        let found = try connection.query(
            Self.selectKnown, [.integers(wanted.map { Int64($0.meta.count) }), .texts(wanted.map(\.uid.rawValue)), .integer(collection)]
        ) { row in
            (
                id: row.integer(0), uid: RevisionUID(row.text(1)),
                known: Known(item: ItemUID(row.text(2)), meta: row.blob(3), isDeleted: row.flag(4), chunks: []), chunks: row.integer(5)
            )
        }
        let alike = found.filter { revision in revision.chunks == offered[revision.uid].map { Int64($0.chunks.count) } }
        let naming = alike.filter { $0.chunks > 0 }
        let count = naming.reduce(0) { $0 + Int($1.chunks) }
        let mentions = naming.isEmpty ? [] : try mentions(of: naming.map(\.id), .medium, limit: count)
        let chunks = Dictionary(grouping: mentions, by: \.revision).mapValues { $0.map { ChunkUID($0.chunk.uid) } }
        return Dictionary(
            alike.map { revision in
                var known = revision.known
                known.chunks = chunks[revision.id] ?? []
                return (revision.uid, known)
            }, uniquingKeysWith: { $1 })
    }

    /// The events of a stream that are not in the read model yet.
    func tail(of stream: StreamID) throws -> [RecordedEvent] {
        let tail = Tail(bounds)
        if let query = try query(for: tail, of: stream) { try connection.run([query]) }
        return try tail.whole()
    }

    /// What of a stream is not in the read model yet.
    final class Tail {
        private let bounds: ContentBounds
        private var events: [RecordedEvent] = []
        private var bytes = 0

        init(_ bounds: ContentBounds) { self.bounds = bounds }

        func append(_ event: RecordedEvent, bytes: Int) {
            events.append(event)
            self.bytes += bytes
        }

        /// - Throws: ``Behind`` where it is too much.
        func whole() throws -> [RecordedEvent] {
            guard let last = events.last, events.count >= bounds.tailEvents || bytes >= bounds.tailBytes else { return events }
            throw Behind(position: last.position)
        }
    }

    /// The question for the events of a stream that are not in the read model yet; nil where there are never any.
    func query(for tail: Tail, of stream: StreamID) throws -> Query? {
        switch log {
        case .inline: nil
        case .beside:
            EventLog.query(touching: stream, after: try position(), limit: bounds.tailEvents, bytes: bounds.tailBytes) {
                tail.append($0, bytes: $1)
            }
        case .elsewhere: preconditionFailure("what is decided is decided beside the log")
        }
    }

    /// What is asked of a collection, for the number that an expression gives.
    struct StateStatements: Sendable {
        let members: Statement
        let invitations: Statement
        let etags: Statement
        let holders: Statement
        let chunks: Statement

        init(collection: String) {
            members = Statement(
                """
                SELECT user_id, "accessLevel", COALESCE(stoken_id, 0)
                FROM   django_etebase_collectionmember
                WHERE  collection_id = \(collection)
                """)
            invitations = Statement(
                """
                SELECT invitation.uid, member.user_id, invitation.user_id, invitation."accessLevel"
                FROM   django_etebase_collectionmember member
                JOIN   django_etebase_collectioninvitation invitation ON invitation."fromMember_id" = member.id
                WHERE  member.collection_id = \(collection)
                ORDER  BY invitation.id
                """)
            // Uids of things are all but unique, and collections are large: `+ 0` keeps PostgreSQL from the index of a whole
            // collection, and SQLite from beginning with all revisions that are current.
            etags = Statement(
                """
                SELECT item.uid, revision.uid
                FROM   django_etebase_collectionitem item
                JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id + 0 AND revision.current = TRUE
                WHERE  item.uid IN [$2 text] AND item.collection_id + 0 = \(collection)
                """)
            holders = Statement(
                """
                SELECT revision.uid, item.uid
                FROM   django_etebase_collectionitemrevision revision
                JOIN   django_etebase_collectionitem item ON item.id = revision.item_id
                WHERE  item.collection_id + 0 = \(collection) AND revision.uid IN [$2 text]
                """)
            chunks = Statement(
                """
                SELECT uid
                FROM   django_etebase_collectionitemchunk
                WHERE  uid IN [$2 text] AND collection_id + 0 = \(collection)
                """)
        }
    }

    static let ofCollection = StateStatements(collection: "$1")

    static let selectState = Statement(
        """
        SELECT collection.id, collection.owner_id, state.revision_stoken
        FROM   django_etebase_collection collection
        JOIN   apus_collection state ON state.id = collection.id
        WHERE  collection.uid = $1
        """)

    static let selectKnown = Statement(
        """
        SELECT revision.id, revision.uid, item.uid, revision.meta, revision.deleted,
               (SELECT count(*) FROM django_etebase_revisionchunkrelation relation WHERE relation.revision_id = revision.id)
        FROM   PAIRS [$1 bigint, $2 text] AS wanted
        THEN JOIN django_etebase_collectionitemrevision revision
               ON revision.uid = wanted.second AND length(revision.meta) = wanted.first
        THEN JOIN django_etebase_collectionitem item ON item.id = revision.item_id AND item.collection_id + 0 = $3
        """)
}

extension CollectionNeeds.QuotaHolder {
    fileprivate var maker: UserID? {
        switch self {
        case .maker(let user): user
        case .nobody, .owner: nil
        }
    }
}
