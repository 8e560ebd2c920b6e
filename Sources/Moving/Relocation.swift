package import Contents
package import Database
internal import Domain
internal import EventLog

/// Moves contents from wherever they lie into one store, beside a running server.
///
/// Each is checked against what the log has of it, put into the other store, read there again, and only then is it said in its row that
/// it lies there: a moment before, and a moment after, whoever reads it finds it. What it leaves behind in an S3 store is waste, and goes
/// with `apus gc`. A run that was interrupted is begun again, and passes over what has been moved.
package struct Relocation: Sendable {
    package struct Report: Sendable {
        package var moved = 0
        package var bytes = 0
        /// How many lay there already.
        package var there = 0
        /// Why some were left where they are, in words.
        package var faults: [String] = []
    }

    /// How many events are looked at together, and how many bytes are moved in one go, roughly.
    private static let pageEvents = 500
    private static let pageBytes = 16 << 20

    private let database: any Database
    private let chunks: ContentStores
    private let target: ContentPlace

    /// - Parameter target: where all are to lie.
    package init(database: any Database, chunks: ContentStores, to target: ContentPlace) {
        (self.database, self.chunks, self.target) = (database, chunks, target)
    }

    private struct Wanted: Sendable {
        let reference: ContentReference
        /// As the log has it; empty where it has none.
        let digest: [UInt8]
    }

    /// Moves all that the log names, in its order.
    ///
    /// - Parameter told: how many were moved, now and then.
    /// - Throws: `DatabaseFault` when a database or store fails; what was moved until then is.
    package func run(told: (Report) -> Void) async throws -> Report {
        var report = Report()
        var last = Position.none
        while true {
            let page = try await database.read { [last] in try EventLog.events(after: last, limit: Self.pageEvents, $0) }
            guard let end = page.last?.position else { return report }
            last = end
            var (batch, bytes): ([Wanted], Int) = ([], 0)
            for content in try await wanted(of: page, &report) {
                batch.append(content)
                bytes += content.reference.count
                guard bytes >= Self.pageBytes else { continue }
                try await move(batch, &report)
                told(report)
                (batch, bytes) = ([], 0)
            }
            try await move(batch, &report)
            told(report)
        }
    }

    /// What the events have stored and lies elsewhere.
    private func wanted(of events: [RecordedEvent], _ report: inout Report) async throws -> [Wanted] {
        var digests: [CollectionUID: [ChunkUID: [UInt8]]] = [:]
        for record in events {
            guard case .collection(let collection) = record.stream else { continue }
            for chunk in record.event.storedChunks { digests[collection, default: [:]][chunk.uid] = chunk.digest }
        }
        let pairs = digests.flatMap { collection, chunks in chunks.keys.map { (collection, $0) } }
        guard !pairs.isEmpty else { return [] }
        let lists: [Value] = [.texts(pairs.map(\.0.rawValue)), .texts(pairs.map(\.1.rawValue))]
        let places = try await database.read { [chunks] connection in
            try connection.query(ContentStores.selectPlaces, lists) { try chunks.reference($0, from: 0) }.compactMap { $0 }
        }
        report.there += places.count { $0.place == target }
        return places.filter { $0.place != target }.map { reference in
            Wanted(reference: reference, digest: digests[reference.name.collection]?[reference.name.chunk] ?? [])
        }
    }

    private func move(_ batch: [Wanted], _ report: inout Report) async throws {
        for wanted in batch {
            let reference = wanted.reference
            let content: [UInt8]
            do {
                guard let found = try await chunks.get([reference])[reference] else {
                    report.note(reference, "is missing")
                    continue
                }
                content = found
            } catch let fault as DatabaseFault {
                guard case .corrupt = fault.kind else { throw fault }
                report.note(reference, "was changed")
                continue
            }
            let digest = StoredChunk(uid: reference.name.chunk, content: content).digest
            guard wanted.digest.isEmpty || wanted.digest == digest else {
                report.note(reference, "was changed")
                continue
            }
            guard try await chunks.move(content, of: reference, to: target) else {
                report.note(reference, "was not moved: it is gone, or another lies at its place")
                continue
            }
            report.moved += 1
            report.bytes += content.count
        }
    }
}

extension Relocation.Report {
    /// How many faults are told.
    private static let toldFaults = 100

    fileprivate mutating func note(_ reference: ContentReference, _ words: String) {
        guard faults.count < Self.toldFaults else { return }
        let (chunk, collection) = (reference.name.chunk.rawValue.visible, reference.name.collection.rawValue.visible)
        faults.append("chunks: the content of \(chunk) of collection \(collection) \(words)")
    }
}
