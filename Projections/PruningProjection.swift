internal import Database
internal import Domain

extension Batch {
    /// Removes the rows of revisions that are not kept, and of chunks that no other revision names.
    func prune(_ event: RevisionsPruned) throws {
        let revisions = Value.texts(event.revisions.map(\.rawValue))
        let chunks = Value.texts(event.chunks.map(\.rawValue))
        let collection = try collection(event.collection).id
        try Counting.remove(revisions: revisions, chunks: chunks, of: collection, connection)
        try connection.enqueue(Self.deleteRelations, [revisions])
        try connection.enqueue(Self.deleteRevisions, [revisions])
        try connection.enqueue(Self.deleteChunks, [.integer(collection), chunks])
    }

    private static let deleteRelations = Statement(
        """
        DELETE FROM django_etebase_revisionchunkrelation
        WHERE  revision_id IN (SELECT id FROM django_etebase_collectionitemrevision WHERE uid IN [$1 text])
        """)

    private static let deleteRevisions = Statement("DELETE FROM django_etebase_collectionitemrevision WHERE uid IN [$1 text]")

    private static let deleteChunks = Statement(
        "DELETE FROM django_etebase_collectionitemchunk WHERE uid IN [$2 text] AND collection_id + 0 = $1")
}
