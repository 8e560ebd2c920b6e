internal import Database
public import Domain

/// The contents of chunks in the database, beside the log.
public enum ChunkContents {
    /// Stores a content, in the transaction of the event that names it.
    public static func store(_ content: [UInt8], as chunk: ChunkUID, of collection: CollectionUID) -> Write {
        Write(
            Statement("INSERT INTO apus_chunk (collection, uid, content) VALUES ($1, $2, $3)"),
            [.text(collection.rawValue), .text(chunk.rawValue), .blob(content)])
    }
}
