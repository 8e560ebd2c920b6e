package import Contents
package import Database
internal import Domain
package import EventLog
internal import Projections

/// Checks a log, and that the read model is what a replay of it gives (G5). A server may go on writing meanwhile.
///
/// The log is projected into an empty database beside the read model, and at one moment the two are compared.
package struct Verification: Sendable {
    let database: any Database
    var replay: Replay
    private let chunks: ContentStores
    /// Told how many events are replayed.
    package var advanced: Advanced {
        get { replay.advanced }
        set { replay.advanced = newValue }
    }

    /// What was found.
    package struct Report: Sendable {
        /// How many events were replayed.
        package var events = 0
        /// How many rows of the read model were compared.
        package var rows = 0
        /// What is wrong, and where; empty when all is well.
        package var faults: [String] = []
    }

    /// - Parameters:
    ///   - scratch: an empty database with the schema, which is filled.
    ///   - chunks: where contents lie.
    package init(database: any Database, scratch: SQLiteDatabase, stokens: StokenSealer, chunks: ContentStores) throws {
        self.database = database
        self.chunks = chunks
        replay = try Replay(scratch: scratch, projection: DjangoProjection(stokens: stokens))
    }

    /// Checks everything.
    ///
    /// - Throws: `DatabaseFault` when a database cannot be read. What is wrong with the log is in the report.
    package func run() async throws -> Report {
        var report = Report()
        guard let comparison = try await compare(&report) else { return report }
        report.note(comparison)
        if comparison.hasUnexpected, let words = try await foreign() { report.faults.append(words) }
        try await checkBeside(&report)
        return report
    }

    /// Replays the log up to where the read model is, and compares.
    ///
    /// - Returns: nil when the log cannot be replayed; the report says why.
    func compare(_ report: inout Report) async throws -> Replay.Comparison? {
        do {
            report.faults += try await replay.follow(database)
            // The last page is replayed in the transaction that compares, where nothing moves on.
            let (faults, found, base) = try await database.read { [replay, dialect = database.dialect] connection in
                let faults = try replay.advance(upTo: replay.goal(connection), connection)
                let comparison = try replay.compare(connection, dialect)
                return (faults, try comparison.withMakers(connection), try Epochs(connection).base)
            }
            let comparison = found
            report.faults += faults
            report.events = Int(comparison.position.rawValue - base.rawValue)
            report.rows = comparison.rows
            return comparison
        } catch let stop as Replay.Stop {
            report.faults.append(stop.fault)
            return nil
        }
    }

    /// What there is in the original's tables that no event has made, and what to do about it, in words; nil where there is nothing.
    /// To be asked after a comparison.
    func foreign() async throws -> String? {
        let foreign = try await database.read { [replay] connection in try replay.foreign(connection) }
        guard !foreign.isEmpty else { return nil }
        let counts = AdoptedRecord.Kind.allCases.compactMap { kind in foreign[kind].map { "\($0.count) of \(ReadModelTable.of(kind).name)" }
        }
        return "read model: it has rows that no event has made, \(counts.joined(separator: ", ")): \(ForeignRows.remedy)"
    }

    /// Checks what lies beside the events and the tables that follow from them: heads of streams, contents of chunks.
    func checkBeside(_ report: inout Report) async throws {
        report.faults += try await database.read { [replay] connection in try replay.shortStreams(connection) }
        try await checkChunks(&report)
    }

    /// Looks whether the contents that the log says were stored are there, in the table or in their files, and are the same.
    /// Those of deleted collections are nobody's concern.
    private func checkChunks(_ report: inout Report) async throws {
        var last: Int64 = 0
        var found = 0
        while found < Self.chunkFaults {
            let page = try await replay.contents(after: last)
            guard let end = page.last?.id else { return }
            try Task.checkCancellation()
            let faults = try await faults(of: page)
            report.faults += faults
            found += faults.count
            last = end
        }
    }

    private func faults(of page: [Replay.StoredContent]) async throws -> [String] {
        struct Key: Hashable {
            let collection: CollectionUID
            let uid: ChunkUID
        }
        let lists: [Value] = [.texts(page.map(\.collection.rawValue)), .texts(page.map(\.uid.rawValue))]
        // What lies in the table may be pruned just now: it is read where it is named.
        let (places, near) = try await database.read { [chunks] connection in
            let found = try connection.query(ContentStores.selectPlaces, lists) { row in
                let key = Key(collection: CollectionUID(row.text(0)), uid: ChunkUID(row.text(1)))
                return (key, (path: row.text(2), reference: try chunks.reference(row, from: 0)))
            }
            let places = Dictionary(found) { first, _ in first }
            let references = places.values.compactMap(\.reference).filter { $0.place == .database }
            return (places, try TableContents.get(references, connection))
        }
        // An adopted chunk may have no digest.
        let far = page.compactMap { $0.digest.isEmpty ? nil : places[Key(collection: $0.collection, uid: $0.uid)]?.reference }
            .filter { near[$0] == nil }
        let (fetched, changed) = try await fetch(far)
        let contents = near.merging(fetched) { first, _ in first }
        return page.compactMap { stored in
            guard let place = places[Key(collection: stored.collection, uid: stored.uid)] else { return nil }
            let fault: String?
            if stored.digest.isEmpty {
                fault = place.reference == nil ? "is missing" : nil
            } else if let reference = place.reference, changed.contains(reference) {
                fault = "was changed"
            } else if let content = place.reference.flatMap({ contents[$0] }) {
                fault = StoredChunk(uid: stored.uid, content: content).digest == stored.digest ? nil : "was changed"
            } else {
                fault = "is missing"
            }
            let file = place.reference.map { $0.place != .files } ?? false ? "" : " (file \(place.path.visible))"
            return fault.map {
                "chunks: the content of \(stored.uid.rawValue.visible) of collection \(stored.collection.rawValue.visible) \($0)\(file)"
            }
        }
    }

    /// Contents that lie outside of the database, and those of them that are not what was stored.
    private func fetch(
        _ contents: [ContentReference]
    ) async throws -> (found: [ContentReference: [UInt8]], changed: Set<ContentReference>) {
        do { return (try await chunks.get(contents), []) } catch let fault as DatabaseFault {
            guard case .corrupt = fault.kind else { throw fault }
        }
        // One of them is: which is found by fetching each.
        var (found, changed): ([ContentReference: [UInt8]], Set<ContentReference>) = ([:], [])
        for content in contents {
            do { found.merge(try await chunks.get([content])) { first, _ in first } } catch let fault as DatabaseFault {
                guard case .corrupt = fault.kind else { throw fault }
                changed.insert(content)
            }
        }
        return (found, changed)
    }

    /// How many faults of chunks are told, roughly.
    private static let chunkFaults = 100
}

extension Verification.Report {
    mutating func note(_ comparison: Replay.Comparison) {
        if let checkpoint = comparison.checkpoint { faults.append("read model: \(checkpoint)") }
        faults += comparison.tables.map { table in
            "read model: \(table.name) differs from the log at \(table.key) \(table.first)\(table.maker): \(table.words)"
        }
    }
}

extension Replay.Comparison {
    /// The comparison with the events that have made the first rows that differ, where ids are positions.
    fileprivate func withMakers(_ connection: any Connection) throws -> Replay.Comparison {
        var comparison = self
        for index in comparison.tables.indices where comparison.tables[index].counts[.unexpected] == nil {
            let first = comparison.tables[index].first
            let line = try EventLog.lines(after: Position(rawValue: first - 1), limit: 1, connection).first
            guard let line, line.position.rawValue == first, line.type != "RecordsAdopted" else { continue }
            comparison.tables[index].maker = ", which position \(first) has made (\(line.type), \(line.occurredAt.text) UTC)"
        }
        return comparison
    }
}

extension Replay.Comparison.Table {
    /// How many rows are not as they should be.
    var words: String {
        let counted: [(ReadModelTable.Difference, one: String, many: String)] = [
            (.missing, "row is missing, which the log has", "rows are missing, which the log has"),
            (.unexpected, "row is unexpected, for no event has made it", "rows are unexpected, for no event has made them"),
            (.different, "row is not what the log says", "rows are not what the log says"),
        ]
        return counted.compactMap { difference, one, many in
            counts[difference].map { count in "\(count) \(count == 1 ? one : many)" }
        }.joined(separator: ", ")
    }
}
