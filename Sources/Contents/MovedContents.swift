internal import Database
internal import Domain
internal import EventLog
internal import NIOPosix
internal import Sodium

extension ContentStores {
    /// Puts a content into another store, reads it there, and says in its row that it lies there.
    ///
    /// - Returns: false where that is not so now: it was removed or moved meanwhile, or another content lies at its place.
    /// - Throws: `DatabaseFault` when a store fails; it lies where it lay then.
    package func move(_ content: [UInt8], of reference: ContentReference, to place: ContentPlace) async throws -> Bool {
        switch place {
        case .database: return try await table.take(content, of: reference)
        case .files:
            let path = reference.name.path.rawValue
            let isThere = try await NIOThreadPool.singleton.runIfActive { [files] in
                try files.put(content, at: path) && files.read(path) == content
            }
            guard isThere else { return false }
            return try await table.leave(reference)
        case .objects:
            guard let objects = try store(.objects) as? ObjectContents else { return false }
            let digest = Sodium.sha256(content)
            let name = ObjectName(reference.name.chunk, in: reference.name.collection, digest: digest)
            let moved = ContentReference(reference.name, in: .objects, count: content.count, digest: digest)
            try await objects.put(content, digest: digest, as: name)
            guard try await objects.get([moved])[moved] == content else {
                throw DatabaseFault(.unavailable, "chunks: the S3 store does not have what was just put there")
            }
            return try await table.name(reference, digest)
        }
    }
}
