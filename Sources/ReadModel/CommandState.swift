internal import Database
public import Domain
internal import EventLog

extension Snapshot {
    /// Those of `claims` that are taken.
    public func taken(_ claims: [Claim]) throws -> TakenClaims { try EventLog.taken(claims, connection) }

    /// What deciding about a collection needs, as of the end of the log: what the read model says and the collection's
    /// events after that.
    ///
    /// - Parameters:
    ///   - items: the items that the command names.
    ///   - chunks: the chunks that it names.
    ///   - claims: the claims that it would make.
    public func state(
        of uid: CollectionUID, items: [ItemUID] = [], chunks: [ChunkUID] = [], claims: [Claim] = []
    ) throws -> CollectionState {
        var state = try projectedState(of: uid, items: items, chunks: chunks)
        for record in try tail(of: .collection(uid)) { state.evolve(record.event, at: record.position) }
        state.taken = try taken(claims)
        return state
    }

    /// The events of a stream that are not in the read model yet.
    func tail(of stream: StreamID) throws -> [RecordedEvent] {
        switch log {
        case .inline: []
        case .beside: try EventLog.events(touching: stream, after: position(), connection)
        case .elsewhere: preconditionFailure("what is decided is decided beside the log")
        }
    }

    private func projectedState(of uid: CollectionUID, items: [ItemUID], chunks: [ChunkUID]) throws -> CollectionState {
        var state = CollectionState(uid: uid)
        let found = try connection.first(Self.selectState, [.text(uid.rawValue)]) { row in
            (id: row.integer(0), owner: UserID(rawValue: row.integer(1)), stoken: Position(rawValue: row.integer(2)))
        }
        guard let found else { return state }
        state.owner = found.owner
        state.revisionStoken = found.stoken
        state.members = try members(of: found.id)
        state.invitations = try invitations(to: found.id)
        state.etags = try etags(of: items, in: found.id)
        state.chunks = try present(chunks, in: found.id)
        return state
    }

    private func members(of collection: Int64) throws -> [UserID: CollectionState.Membership] {
        let members = try connection.query(
            Statement(
                """
                SELECT user_id, "accessLevel", COALESCE(stoken_id, 0)
                FROM   django_etebase_collectionmember
                WHERE  collection_id = $1
                """), [.integer(collection)]
        ) { row in
            (
                UserID(rawValue: row.integer(0)),
                CollectionState.Membership(
                    level: AccessLevel(rawValue: row.integer(1)) ?? .readOnly, stoken: Position(rawValue: row.integer(2)))
            )
        }
        return Dictionary(uniqueKeysWithValues: members)
    }

    private func invitations(to collection: Int64) throws -> [CollectionState.Invitation] {
        try connection.query(
            Statement(
                """
                SELECT invitation.uid, member.user_id, invitation.user_id, invitation."accessLevel"
                FROM   django_etebase_collectionmember member
                JOIN   django_etebase_collectioninvitation invitation ON invitation."fromMember_id" = member.id
                WHERE  member.collection_id = $1
                ORDER  BY invitation.id
                """), [.integer(collection)]
        ) { row in
            CollectionState.Invitation(
                uid: InvitationUID(row.text(0)), inviter: UserID(rawValue: row.integer(1)), invitee: UserID(rawValue: row.integer(2)),
                level: AccessLevel(rawValue: row.integer(3)) ?? .readOnly)
        }
    }

    private func etags(of items: [ItemUID], in collection: Int64) throws -> [ItemUID: RevisionUID] {
        guard !items.isEmpty else { return [:] }
        let etags = try connection.query(Self.selectEtags, [.integer(collection), .texts(items.map(\.rawValue))]) { row in
            (ItemUID(row.text(0)), RevisionUID(row.text(1)))
        }
        return Dictionary(uniqueKeysWithValues: etags)
    }

    private func present(_ chunks: [ChunkUID], in collection: Int64) throws -> Set<ChunkUID> {
        guard !chunks.isEmpty else { return [] }
        return Set(
            try connection.query(Self.selectChunks, [.integer(collection), .texts(chunks.map(\.rawValue))]) { ChunkUID($0.text(0)) })
    }

    private static let selectState = Statement(
        """
        SELECT collection.id, collection.owner_id, state.revision_stoken
        FROM   django_etebase_collection collection
        JOIN   apus_collection state ON state.id = collection.id
        WHERE  collection.uid = $1
        """)

    private static let selectEtags = Statement(
        list: """
            SELECT item.uid, revision.uid
            FROM   django_etebase_collectionitem item
            JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id AND revision.current = TRUE
            WHERE  item.collection_id = $1 AND item.uid IN [$2 text]
            """)

    private static let selectChunks = Statement(
        list: "SELECT uid FROM django_etebase_collectionitemchunk WHERE collection_id = $1 AND uid IN [$2 text]")
}
