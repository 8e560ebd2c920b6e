package import Database
package import Domain
package import EventLog
package import S3
package import Sodium

/// Contents in an S3 store, as objects `COLLECTION/CHUNK/SHA-256`. They are put there before the events that name them; which of them
/// are named stands in the table of contents, in rows that come with the events.
///
/// Nothing is ever overwritten with something else, whoever puts what when: the name follows from the content. So what was put may be
/// put again, and is when it is not sure that it still lies there.
package struct ObjectContents: ContentStore {
    private let bucket: S3Bucket
    /// Where the rows are that name objects.
    private let database: any Database

    /// How many objects of a command, or of a page, are on their way at once.
    private static let together = 8
    /// How long whoever has put an object may take to name it: no longer is anybody kept from naming one that is removed, and
    /// whoever took longer puts it again.
    package static let namingTime = Duration.seconds(60)
    /// A content is not longer than this, whatever a limit was set to: what an answer of the store may take.
    private static let longestBytes = 1 << 30

    package init(_ bucket: S3Bucket, database: any Database) { (self.bucket, self.database) = (bucket, database) }

    package var place: ContentPlace { .objects }
    package var isBeforeAppend: Bool { true }

    package func put(
        _ contents: [ChunkUID: [UInt8]], of collection: CollectionUID, ownedBy owner: UserID
    ) async throws -> [ChunkUID: Write] {
        let digests = contents.mapValues { Sodium.sha256($0) }
        _ = try await Self.each(Array(contents)) { chunk, content in
            guard let digest = digests[chunk] else { return }
            try await self.put(content, digest: digest, as: ObjectName(chunk, in: collection, digest: digest))
        }
        return digests.reduce(into: [:]) { writes, digest in
            writes[digest.key] = TableContents.write(
                naming: digest.value, ofBytes: contents[digest.key]?.count ?? 0, for: digest.key, of: collection)
        }
    }

    func put(_ content: [UInt8], digest: [UInt8], as name: ObjectName) async throws {
        try await asked { try await bucket.put(name.text, content, digest: digest) }
    }

    package func get(_ contents: [ContentReference]) async throws -> [ContentReference: [UInt8]] {
        let fetched = try await Self.each(contents) { content in try await self.get(content) }
        var found: [ContentReference: [UInt8]] = [:]
        for (content, bytes) in fetched { found[content] = bytes }
        return found
    }

    private func get(_ content: ContentReference) async throws -> (ContentReference, [UInt8]?) {
        guard let name = ObjectName(content) else { return (content, nil) }
        guard let bytes = try await asked({ try await bucket.get(name.text, limit: content.count + 1) }) else { return (content, nil) }
        guard bytes.count == content.count, Sodium.sha256(bytes) == content.digest else { throw Self.changed }
        return (content, bytes)
    }

    /// The last piece is given when the hash of all of them is right.
    package func piece(_ range: Range<Int>, of content: ContentReference, _ hash: inout SHA256) async throws -> [UInt8]? {
        guard let name = ObjectName(content) else { return nil }
        guard let piece = try await asked({ try await bucket.get(name.text, range, limit: range.count) }) else { return nil }
        hash.update(piece)
        guard range.upperBound < content.count || hash.finish() == content.digest else { throw Self.changed }
        return piece
    }

    package func list(
        of collections: Set<CollectionUID>?, before time: Timestamp, _ body: ([HeldContent]) async throws -> Void
    ) async throws {
        for beginning in collections.map({ $0.map { ObjectName.folder(of: $0) } }) ?? [""] {
            do {
                try await bucket.list(beginning, pageContents) { page in
                    // What has another name is not ours.
                    let contents = page.compactMap { object -> HeldContent? in
                        guard object.putAt < time.rawValue, let name = ObjectName(object.name) else { return nil }
                        return HeldContent(key: .object(name), bytes: object.bytes)
                    }
                    if !contents.isEmpty { try await body(contents) }
                }
            } catch let fault as S3Fault { throw Self.fault(fault) }
        }
    }

    /// Until ``conclude(_:)`` nobody can name what was removed: who has put it just before does so again.
    package func remove(_ content: HeldContent, before time: Timestamp) async throws -> Bool {
        guard case .object(let name) = content.key else { return false }
        guard try await database.write({ try TableContents.mark(name, $0) }) else { return false }
        guard let object = try await asked({ try await bucket.first(name.text) }), object.name == name.text, object.putAt < time.rawValue
        else {
            try await conclude([content])
            return false
        }
        try await asked { try await bucket.remove(name.text) }
        return true
    }

    package func conclude(_ removed: [HeldContent]) async throws {
        let names = removed.compactMap { content in if case .object(let name) = content.key { name } else { nil } }
        try await database.write { connection in for name in names { try TableContents.unmark(name, connection) } }
    }

    /// Path and query with which a program that has them gets an object from the store, until some minutes have gone by; nil where it lies
    /// elsewhere.
    func sent(_ content: ContentReference, to method: String) -> String? {
        ObjectName(content).map { bucket.signed(method, $0.text) }
    }

    /// Looks whether the store answers.
    ///
    /// - Throws: `DatabaseFault` where it does not.
    package func check() async throws { try await asked { try await bucket.check() } }

    private func asked<T>(_ body: () async throws -> T) async throws -> T {
        do { return try await body() } catch let fault as S3Fault { throw Self.fault(fault) }
    }

    private static func fault(_ fault: S3Fault) -> DatabaseFault { DatabaseFault(.unavailable, "chunks: \(fault)") }
    private static let changed = DatabaseFault(.corrupt, "chunks: an object is not what was stored")

    /// Does something for each element, for a bounded number of them at once.
    private static func each<Element: Sendable, T: Sendable>(
        _ elements: [Element], _ body: @escaping @Sendable (Element) async throws -> T
    ) async throws -> [T] {
        try await withThrowingTaskGroup(of: T.self) { group in
            var (results, rest): ([T], ArraySlice<Element>) = ([], elements[...])
            for element in rest.prefix(together) { group.addTask { try await body(element) } }
            rest = rest.dropFirst(together)
            while let result = try await group.next() {
                results.append(result)
                if let element = rest.popFirst() { group.addTask { try await body(element) } }
            }
            return results
        }
    }
}

/// What an object is called, below the prefix of all contents.
package struct ObjectName: Hashable, Sendable {
    package let collection: CollectionUID
    package let chunk: ChunkUID
    package let digest: [UInt8]

    init(_ chunk: ChunkUID, in collection: CollectionUID, digest: [UInt8]) {
        (self.chunk, self.collection, self.digest) = (chunk, collection, digest)
    }

    /// Nil where the content lies elsewhere.
    init?(_ content: ContentReference) {
        guard let digest = content.digest else { return nil }
        self.init(content.name.chunk, in: content.name.collection, digest: digest)
    }

    /// Reads a name; nil for one that is none of ours.
    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, let collection = Self.uid(parts[0]), let chunk = Self.uid(parts[1]), parts[2].utf8.count == 64,
            let digest = [UInt8](hexadecimal: parts[2])
        else { return nil }
        self.init(ChunkUID(chunk), in: CollectionUID(collection), digest: digest)
        guard self.text == text else { return nil }
    }

    package var text: String { Self.folder(of: collection) + Self.part(chunk.rawValue) + "/" + digest.hexadecimal }

    /// How the names of a collection's contents begin.
    static func folder(of collection: CollectionUID) -> String { part(collection.rawValue) + "/" }

    /// A uid as it is, or where it is one of an adopted row that names of objects cannot have, a tilde and its bytes in hexadecimal.
    private static func part(_ uid: String) -> String { isPlain(uid) ? uid : "~" + Array(uid.utf8).hexadecimal }

    private static func uid(_ part: String) -> String? {
        guard part.hasPrefix("~") else { return isPlain(part) ? part : nil }
        return [UInt8](hexadecimal: String(part.dropFirst())).flatMap { String(validating: $0, as: UTF8.self) }
    }

    private static func isPlain(_ uid: String) -> Bool {
        !uid.isEmpty
            && uid.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == 0x2d || byte == 0x5f
            }
    }
}
