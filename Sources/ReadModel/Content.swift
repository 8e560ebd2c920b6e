internal import Chunks
internal import Database
public import Domain

/// How much of an item's content is wanted: `prefetch` in the protocol.
public enum Prefetch: String, Sendable {
    /// With the contents of chunks.
    case auto
    /// Chunks by name only.
    case medium
}

/// A chunk of a revision.
public struct ChunkContent: Sendable {
    public let uid: String
    /// Nil where only names were asked for.
    public let content: [UInt8]?
}

/// A revision as it is served.
public struct RevisionContent: Sendable {
    let id: Int64
    public let uid: String
    public let meta: [UInt8]
    public let isDeleted: Bool
    public internal(set) var chunks: [ChunkContent] = []
}

/// An item with its current revision, as it is served.
public struct ItemContent: Sendable {
    public let uid: String
    public let version: Int64
    public let encryptionKey: [UInt8]?
    /// Where the item last changed.
    public let changed: Position
    public internal(set) var revision: RevisionContent
}

extension Snapshot {
    /// The contents of a chunk of a collection; nil when there is no such chunk.
    public func chunk(_ uid: ChunkUID, in collection: CollectionAccess) throws -> [UInt8]? {
        let found = try connection.first(
            Statement(
                """
                SELECT stored.content, chunk."chunkFile"
                FROM   django_etebase_collectionitemchunk chunk
                LEFT   JOIN apus_chunk stored ON stored.collection = $2 AND stored.uid = chunk.uid
                WHERE  chunk.uid = $3 AND chunk.collection_id + 0 = $1
                """), [.integer(collection.id), .text(collection.uid.rawValue), .text(uid.rawValue)]
        ) { row in (content: row.blobOrNil(0), path: row.text(1)) }
        guard let found else { return nil }
        return try present(found.content, path: found.path)
    }

    /// The chunks of revisions, in their order.
    func chunks(of revisions: [Int64], _ prefetch: Prefetch) throws -> [Int64: [ChunkContent]] {
        guard !revisions.isEmpty else { return [:] }
        var chunks: [Int64: [ChunkContent]] = [:]
        let statement = prefetch == .auto ? Self.selectContents : Self.selectNames
        let found = try connection.query(statement, [.integers(revisions)]) { row in
            (
                row.integer(0),
                ChunkContent(uid: row.text(1), content: prefetch == .auto ? try present(row.blobOrNil(2), path: row.text(3)) : nil)
            )
        }
        for (revision, chunk) in found { chunks[revision, default: []].append(chunk) }
        return chunks
    }

    /// The content of a chunk's row, or of its file where it has none.
    func present(_ content: [UInt8]?, path: String) throws -> [UInt8] {
        guard let content = try content ?? chunks.read(path) else {
            throw DatabaseFault(.corrupt, "a chunk is named whose content is not stored")
        }
        return content
    }

    private static let selectNames = Statement(
        list: """
            SELECT relation.revision_id, chunk.uid
            FROM   django_etebase_revisionchunkrelation relation
            JOIN   django_etebase_collectionitemchunk chunk ON chunk.id = relation.chunk_id
            WHERE  relation.revision_id IN [$1 bigint]
            ORDER  BY relation.id
            """)

    private static let selectContents = Statement(
        list: """
            SELECT relation.revision_id, chunk.uid, stored.content, chunk."chunkFile"
            FROM   django_etebase_revisionchunkrelation relation
            JOIN   django_etebase_collectionitemchunk chunk ON chunk.id = relation.chunk_id
            JOIN   django_etebase_collection collection ON collection.id = chunk.collection_id
            LEFT   JOIN apus_chunk stored ON stored.collection = collection.uid AND stored.uid = chunk.uid
            WHERE  relation.revision_id IN [$1 bigint]
            ORDER  BY relation.id
            """)

    /// Fills in the chunks of items.
    func filled(_ items: [ItemContent], _ prefetch: Prefetch) throws -> [ItemContent] {
        filled(items, try chunks(of: items.map(\.revision.id), prefetch))
    }

    func filled(_ items: [ItemContent], _ chunks: [Int64: [ChunkContent]]) -> [ItemContent] {
        items.map { item in
            var item = item
            item.revision.chunks = chunks[item.revision.id] ?? []
            return item
        }
    }
}
