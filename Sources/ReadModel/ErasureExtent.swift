internal import Contents
internal import Database
package import Domain

/// How much goes with an account that is to be erased.
package struct ErasureExtent: Sendable {
    /// One of the collections that go.
    package struct Collection: Sendable {
        package let uid: CollectionUID
        package let items: Int64
        package let revisions: Int64
        package let contents: Int64
    }

    package let email: String
    package let sessions: Int64
    /// In the order in which they were made.
    package let collections: [Collection]
    /// Contents that lie in files.
    package let files: Int
}

extension Snapshot {
    /// What goes with an account.
    ///
    /// - Parameter files: where contents may lie that go along, as ``erasure(named:)`` has them.
    package func extent(of state: ErasureState, files: [String]) throws -> ErasureExtent {
        try extent(of: state, going: state.erasure?.collections ?? [], files: files)
    }

    /// What is lost when an account is reset. Its contents stay where they lie until they are collected.
    package func extent(ofReset state: ErasureState) throws -> ErasureExtent {
        try extent(of: state, going: Set(state.lostByReset), files: [])
    }

    private func extent(of state: ErasureState, going uids: Set<CollectionUID>, files: [String]) throws -> ErasureExtent {
        let collections = try connection.query(Self.selectExtent, [.texts(uids.map(\.rawValue))]) { row in
            ErasureExtent.Collection(
                uid: CollectionUID(row.text(0)), items: row.integer(1), revisions: row.integer(2), contents: row.integer(3))
        }
        let user = Value.integer(state.user.user?.rawValue ?? 0)
        let sessions = try connection.first(Self.selectSessions, [user]) { $0.integer(0) } ?? 0
        let email = try connection.first(Self.selectEmail, [user]) { $0.text(0) } ?? ""
        return ErasureExtent(email: email, sessions: sessions, collections: collections, files: files.count { contents.files.hasFile($0) })
    }

    private static let selectSessions = Statement("SELECT count(*) FROM token_auth_authtoken WHERE user_id = $1")
    private static let selectEmail = Statement("SELECT email FROM myauth_user WHERE id = $1")

    private static let selectExtent = Statement(
        """
        SELECT collection.uid,
               (SELECT count(*) FROM django_etebase_collectionitem item WHERE item.collection_id = collection.id),
               (SELECT count(*)
                FROM   django_etebase_collectionitem item
                JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id
                WHERE  item.collection_id = collection.id),
               (SELECT count(*) FROM django_etebase_collectionitemchunk chunk WHERE chunk.collection_id = collection.id)
        FROM   django_etebase_collection collection
        WHERE  collection.uid IN [$1 text]
        ORDER  BY collection.id
        """)
}
