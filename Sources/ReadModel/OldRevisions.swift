internal import Contents
internal import Database
package import Domain

extension Snapshot {
    /// The collections in which an item has revisions besides the current one, as far as they are projected.
    package func collectionsWithOldRevisions() throws -> [CollectionUID] {
        try connection.query(Self.selectAged, []) { CollectionUID($0.text(0)) }
    }

    /// What doing away with revisions needs.
    package struct PruningExtent: Sendable {
        /// Of those revisions that are still there, and not current.
        package let command: PruneRevisions
        /// How many of these contents have a file: those are the matter of whoever looks for files that nothing names.
        package let files: Int
    }

    /// What doing away with revisions needs.
    package func pruning(of revisions: [OldRevision], in uid: CollectionUID) throws -> PruningExtent {
        try require([.collection(uid)])
        let state = try state(CollectionNeeds(uid, items: revisions.map(\.item), revisions: revisions.map(\.revision)))
        let old = revisions.filter { state.revisions[$0.revision] == $0.item && state.etags[$0.item] != $0.revision }
        let chunks = try connection.query(Self.selectUnshared, [.texts(old.map(\.revision.rawValue))]) { row in
            (uid: ChunkUID(row.text(0)), path: row.text(1))
        }
        return PruningExtent(
            command: PruneRevisions(old, chunks: Set(chunks.map(\.uid)), in: uid), files: chunks.count { contents.files.hasFile($0.path) })
    }

    private static let selectAged = Statement(
        """
        SELECT   collection.uid
        FROM     django_etebase_collection collection
        WHERE    EXISTS (
                     SELECT 1
                     FROM   django_etebase_collectionitem item
                     JOIN   django_etebase_collectionitemrevision revision ON revision.item_id = item.id
                     WHERE  item.collection_id = collection.id AND revision.current IS NULL)
        ORDER BY collection.id
        """)

    private static let selectUnshared = Statement(
        #"""
        SELECT DISTINCT chunk.uid, chunk."chunkFile"
        FROM   django_etebase_collectionitemrevision revision
        JOIN   django_etebase_revisionchunkrelation relation ON relation.revision_id = revision.id
        JOIN   django_etebase_collectionitemchunk chunk ON chunk.id = relation.chunk_id
        WHERE  revision.uid IN [$1 text]
        AND    NOT EXISTS (
                   SELECT 1
                   FROM   django_etebase_revisionchunkrelation other
                   JOIN   django_etebase_collectionitemrevision kept ON kept.id = other.revision_id
                   WHERE  other.chunk_id = chunk.id AND NOT (kept.uid IN [$1 text]))
        """#)
}
