internal import Contents
internal import Database
internal import Domain

/// How much is read for a page. What is measured is what is stored, before it is read.
package struct ContentBounds: Sendable {
    /// A page ends with the element before it would be longer, but has one at least.
    package var pageBytes = 8 << 20
    /// Contents of a page that is no longer are read with it; those of others stay where they lie until they are sent.
    package var inlineBytes = 1 << 20
    /// A page of what is sent to sockets, which is made in one piece, ends when it would be longer, but has one item at least.
    package var frameBytes = 1 << 20
    /// Of an item in such a page no more contents come along than these; the client fetches the others.
    package var frameItemBytes = 16 << 20
    /// How many mentions of chunks are listed for a page. A revision that has more comes alone, and lists them as they are sent.
    package var mentions = 20_000
    /// How much of a stream that is not in the tables yet is read from the log to decide on a command. Of more, as it is while
    /// tables are projected anew, the tables are waited for.
    package var tailEvents = 10_000
    package var tailBytes = 32 << 20

    package init() {}
}

/// A part of a page that holds a revision.
protocol PageElement: Sendable {
    var revision: RevisionContent { get set }
    /// Passes each content that stands in it besides the revision.
    mutating func eachKey(_ body: (inout Content) -> Void)
}

extension ItemContent: PageElement {
    mutating func eachKey(_ body: (inout Content) -> Void) { Self.pass(&encryptionKey, to: body) }
}

extension CollectionContent: PageElement {
    var revision: RevisionContent {
        get { item.revision }
        set { item.revision = newValue }
    }
    mutating func eachKey(_ body: (inout Content) -> Void) {
        Self.pass(&collectionType, to: body)
        Self.pass(&collectionKey, to: body)
        item.eachKey(body)
    }
}

extension RevisionContent: PageElement {
    var revision: RevisionContent {
        get { self }
        set { self = newValue }
    }
    mutating func eachKey(_ body: (inout Content) -> Void) {}
}

extension PageElement {
    /// Roughly what it takes on the wire without contents of chunks.
    fileprivate var ownBytes: Int {
        var copy = self
        var bytes = 256 + revision.meta.count
        copy.eachKey { bytes += $0.count }
        return bytes
    }

    /// Passes every content in it.
    fileprivate mutating func eachContent(_ body: (inout Content) -> Void) {
        eachKey(body)
        body(&revision.meta)
        for index in revision.chunks.indices { Self.pass(&revision.chunks[index].content, to: body) }
    }

    fileprivate static func pass(_ content: inout Content?, to body: (inout Content) -> Void) {
        guard var present = content else { return }
        body(&present)
        content = present
    }
}

extension Snapshot {
    /// A mention of a chunk in a revision.
    struct Mention {
        let revision: Int64
        let chunk: ChunkContent
        /// The row's number, in the order of mentions.
        let id: Int64
    }

    /// The page with the chunks of its elements, cut where it holds enough. Of contents that are many only is said where they lie.
    func filled<Element: PageElement>(_ page: Page<Element>, _ prefetch: Prefetch) throws -> Page<Element> {
        let (listed, bytes) = try listed(page, upTo: bounds.pageBytes, itemBytes: .max) { revisions, limit in
            try mentions(of: revisions, prefetch, limit: limit)
        }
        guard bytes <= bounds.inlineBytes else { return listed }
        return Page(try inlined(listed.elements), isDone: listed.isDone)
    }

    /// The elements with the names of their chunks, and where the contents lie, as far as they fit.
    ///
    /// - Parameters:
    ///   - itemBytes: of an element's contents no more are told.
    ///   - look: finds the mentions of revisions, no more than so many, in their order.
    /// - Returns: also how much the page holds.
    func listed<Element: PageElement>(
        _ page: Page<Element>, upTo pageBytes: Int, itemBytes: Int, _ look: ([Int64], _ limit: Int) throws -> [Mention]
    ) throws -> (page: Page<Element>, bytes: Int) {
        let wanted = page.elements.fitting(into: pageBytes)
        guard !wanted.isEmpty else { return (page, 0) }
        var found = try look(wanted.map(\.revision.id), bounds.mentions + 1)
        var elements = wanted
        if found.count > bounds.mentions {
            // Too many to look at all of them: as many elements as have few enough together.
            let counts = try mentionCounts(of: wanted.map(\.revision.id))
            var total = 0
            elements = Array(
                wanted.prefix { element in
                    total += counts[element.revision.id] ?? 0
                    return total <= bounds.mentions
                })
            guard !elements.isEmpty else {
                guard var first = wanted.first else { return (page, 0) }
                first.revision.unlistedChunks = counts[first.revision.id] ?? 0
                return (Page([first], isDone: page.isDone && page.elements.count == 1), .max)
            }
            found = try look(elements.map(\.revision.id), bounds.mentions)
        }
        let mentions = Dictionary(grouping: found, by: \.revision).mapValues { $0.map(\.chunk) }
        var (kept, bytes): ([Element], Int) = ([], 0)
        for var element in elements {
            element.revision.chunks = Self.bounded(mentions[element.revision.id] ?? [], repeatsUpTo: pageBytes, allUpTo: itemBytes)
            let length = element.revision.chunks.reduce(element.ownBytes) { $0 + $1.uid.utf8.count + 8 + ($1.content?.count ?? 0) }
            guard kept.isEmpty || bytes + length <= pageBytes else { break }
            bytes += length
            kept.append(element)
        }
        return (Page(kept, isDone: page.isDone && kept.count == page.elements.count), bytes)
    }

    /// The chunks with contents up to a bound. One that is named again, when there is enough already, is told by its name: content
    /// that repeats itself names a chunk many times.
    private static func bounded(_ chunks: [ChunkContent], repeatsUpTo repeatBytes: Int, allUpTo itemBytes: Int) -> [ChunkContent] {
        let total = chunks.reduce(0) { $0 + ($1.content?.count ?? 0) }
        guard total > min(repeatBytes, itemBytes) else { return chunks }
        var seen: Set<ExactText> = []
        var bytes = 0
        return chunks.map { chunk in
            guard let content = chunk.content else { return chunk }
            let isRepeated = !seen.insert(ExactText(chunk.uid)).inserted
            let fits = bytes + content.count <= (isRepeated ? min(repeatBytes, itemBytes) : itemBytes)
            if fits { bytes += content.count }
            return fits ? chunk : ChunkContent(uid: chunk.uid, content: nil)
        }
    }

    /// Where revisions name chunks, in order.
    ///
    /// - Parameter last: only mentions after this one.
    func mentions(of revisions: [Int64], after last: Int64 = 0, _ prefetch: Prefetch, limit: Int) throws -> [Mention] {
        let values: [Value] = [.integers(revisions), .integer(last), .integer(Int64(limit))]
        return try connection.query(Self.selectMentions, values) { row in
            let content = prefetch == .medium ? nil : try content(row, from: 3)
            return Mention(revision: row.integer(0), chunk: ChunkContent(uid: row.text(2), content: content), id: row.integer(1))
        }
    }

    private func mentionCounts(of revisions: [Int64]) throws -> [Int64: Int] {
        let found = try connection.query(Self.selectCounts, [.integers(revisions)]) { ($0.integer(0), Int($0.integer(1))) }
        return Dictionary(uniqueKeysWithValues: found)
    }

    static let selectMentions = Statement(mentions(of: "IN [$1 bigint]", after: "$2", limit: "$3"))

    /// Where revisions name chunks, in order.
    ///
    /// - Parameters:
    ///   - revisions: what is so of the revisions' numbers.
    ///   - columns: what else is selected of each.
    static func mentions(of revisions: String, after last: String, limit: String, and columns: String = "") -> String {
        // `+ 0` keeps SQLite from going through all mentions that there are, which are in this order.
        """
        SELECT paged_mention.revision_id, paged_mention.id, chunk.uid, \(ContentStores.columns)\(columns)
        FROM   (SELECT relation.id, relation.revision_id, relation.chunk_id
                FROM   django_etebase_revisionchunkrelation relation
                WHERE  relation.revision_id \(revisions) AND relation.id + 0 > \(last)
                ORDER  BY relation.id + 0
                LIMIT  \(limit)) paged_mention
        JOIN   django_etebase_collectionitemchunk chunk ON chunk.id = paged_mention.chunk_id
        JOIN   django_etebase_collection collection ON collection.id = chunk.collection_id
        \(ContentStores.join())
        ORDER  BY paged_mention.id
        """
    }

    private static let selectCounts = Statement(
        """
        SELECT revision_id, count(*)
        FROM   django_etebase_revisionchunkrelation
        WHERE  revision_id IN [$1 bigint]
        GROUP  BY revision_id
        """)
}

extension ReadModel {
    /// A part of the chunks that a revision names, in order: of one that names too many for a page.
    ///
    /// - Parameter last: where the part before ended; 0 for the first.
    /// - Returns: the chunks, none when there are no more, and where the part ends.
    package func mentions(
        of revision: RevisionContent, after last: Int64, _ prefetch: Prefetch
    ) async throws -> (chunks: [ChunkContent], last: Int64) {
        try await answers { snapshot in
            let found = try snapshot.mentions(of: [revision.id], after: last, prefetch, limit: snapshot.bounds.mentions)
            return (found.map(\.chunk), found.last?.id ?? last)
        }
    }
}

extension Array where Element: PageElement {
    /// What their contents have left where it lies.
    var stored: Set<StoredBytes> {
        var stored: Set<StoredBytes> = []
        for var element in self {
            element.eachContent { content in if case .stored(let bytes) = content { stored.insert(bytes) } }
        }
        return stored
    }

    /// The elements with contents that were read.
    func with(_ found: [StoredBytes: [UInt8]]) -> [Element] {
        map { element in
            var element = element
            element.eachContent { content in
                if case .stored(let stored) = content, let bytes = found[stored] { content = .bytes(bytes) }
            }
            return element
        }
    }

    /// Those that fit into a page without the contents of chunks, but one at least.
    fileprivate func fitting(into pageBytes: Int) -> [Element] {
        var bytes = 0
        let count = prefix { element in
            defer { bytes += element.ownBytes }
            return bytes == 0 || bytes + element.ownBytes <= pageBytes
        }.count
        return Array(prefix(count))
    }
}
