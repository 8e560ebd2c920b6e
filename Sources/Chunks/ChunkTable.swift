public import Database
public import Domain
internal import EventLog
internal import Sodium

/// The contents of chunks in the database, beside the log.
public enum ChunkTable {
    /// Inserts contents, each with its collection and uid.
    public static let insert = SetStatement(
        insertInto: "apus_chunk", ["collection": .text, "uid": .text, "content": .bytes])

    /// Inserts contents where others may lie that were pruned: a content is told by the newest event that names it.
    public static let replace = SetStatement(
        insertInto: "apus_chunk", ["collection": .text, "uid": .text, "content": .bytes],
        onConflict: "ON CONFLICT (collection, uid) DO UPDATE SET content = excluded.content")

    /// That no chunk's row names the content of a row of `apus_chunk`.
    package static let isUnnamed = """
        NOT EXISTS (
            SELECT 1
            FROM   django_etebase_collection owner
            JOIN   django_etebase_collectionitemchunk chunk ON chunk.collection_id = owner.id
            WHERE  owner.uid = apus_chunk.collection AND chunk.uid = apus_chunk.uid)
        """

    /// Stores a content, in the transaction of the event that names it.
    static func store(_ content: [UInt8], as chunk: ChunkUID, of collection: CollectionUID) -> Write {
        Write(insert, [.text(collection.rawValue), .text(chunk.rawValue), .blob(content)])
    }
}

extension StoredChunk {
    /// What is recorded of a content.
    public init(uid: ChunkUID, content: [UInt8]) {
        self.init(uid: uid, bytes: content.count, digest: Sodium.blake2b(content, length: 16))
    }
}
