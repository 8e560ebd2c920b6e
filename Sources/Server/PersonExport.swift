internal import Backup
package import Domain
internal import Foundation
package import ReadModel
internal import Sodium

/// Writes what is stored of a person into a folder: lines of JSON for each kind of thing, and a file for each encrypted content.
package struct PersonExport: Sendable {
    /// What was written.
    package struct Report: Sendable {
        /// How many lines there are of each kind.
        package var lines: [PersonLine.Kind: Int] = [:]
        /// How many encrypted contents, and how many bytes they have.
        package var contents = 0
        package var bytes = 0
        /// How many of those that there should be are not stored where they should.
        package var missing = 0
    }

    private let readModel: ReadModel

    package init(_ readModel: ReadModel) { self.readModel = readModel }

    /// Writes it as of one moment; the server may go on.
    ///
    /// - Parameter path: of a folder that is empty or not there yet. It is there when all is in it.
    /// - Returns: nil where there is no such account; nothing is written then.
    /// - Throws: `BackupFault` where the folder is not as it must be or cannot be written; `DatabaseFault`.
    package func write(_ name: CanonicalName, to path: String, at time: Timestamp) async throws -> Report? {
        let folder = try NewFolder(path)
        do {
            let finished = try await readModel.snapshot { snapshot in
                let lines = try snapshot.export(name) { try Lines(folder) }
                return try lines.map { (report: try $0.finish(), owed: $0.owed) }
            }
            if let owed = finished?.owed { for (file, content) in owed { try await fetch(content, into: file, of: folder) } }
            guard let report = finished?.report else {
                try folder.discard()
                return nil
            }
            try folder.create("README.txt", Array(ExportReadMe.text(of: name, at: time, report).utf8))
            try folder.publish()
            return report
        } catch {
            try folder.discard()
            throw error
        }
    }

    /// Brings a content to its file that lies where no snapshot reads.
    private func fetch(_ content: StoredBytes, into file: String, of folder: NewFolder) async throws {
        try folder.create(file)
        var reading = readModel.reading(content, pieceBytes: Lines.sliceBytes)
        while let piece = try await reading.next() { try folder.append(piece, to: file) }
    }

    /// Gathers lines until it is worth writing them.
    private final class Lines: PersonSink {
        private static let flushBytes = 1 << 20
        /// How many bytes of a content are in memory at a time, where it lies in a file.
        static let sliceBytes = 1 << 20

        private let folder: NewFolder
        private var waiting: [PersonLine.Kind: [UInt8]] = [:]
        private var report = Report()
        /// What is still to be fetched, each for a file.
        private(set) var owed: [(file: String, content: StoredBytes)] = []
        private let encoder = JSONEncoder()

        init(_ folder: NewFolder) throws {
            self.folder = folder
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            for kind in PersonLine.Kind.allCases { try folder.create(kind.file) }
        }

        func take(_ line: PersonLine) throws {
            report.lines[line.kind, default: 0] += 1
            let fields = Dictionary(line.fields.map { ($0.name, Written($0.value)) }) { first, _ in first }
            waiting[line.kind, default: []] += try Array(encoder.encode(fields)) + Array("\n".utf8)
            if waiting[line.kind, default: []].count >= Self.flushBytes { try flush(line.kind) }
        }

        func take(_ content: PersonContent) throws {
            let file = content.count.map { _ in "chunks/\(Self.name(content.collection.rawValue))/\(Self.name(content.chunk.rawValue))" }
            try take(PersonLine(chunk: content, in: file))
            guard let file, let count = content.count else {
                report.missing += 1
                return
            }
            if let elsewhere = content.elsewhere {
                owed.append((file, elsewhere))
                report.contents += 1
                report.bytes += count
                return
            }
            try folder.create(file)
            var start = 0
            while start < count {
                let slice = try content.read(start, min(Self.sliceBytes, count - start))
                guard !slice.isEmpty else { break }
                try folder.append(slice, to: file)
                start += slice.count
            }
            report.contents += 1
            report.bytes += start
        }

        func finish() throws -> Report {
            for kind in PersonLine.Kind.allCases { try flush(kind) }
            return report
        }

        private func flush(_ kind: PersonLine.Kind) throws {
            guard let bytes = waiting.removeValue(forKey: kind) else { return }
            try folder.append(bytes, to: kind.file)
        }

        /// Uids of adopted databases may be no names of files: the hash of such a one is.
        private static func name(_ uid: String) -> String {
            let isPlain = uid.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || [0x2d, 0x5f].contains(byte)
            }
            guard !isPlain || uid.isEmpty || uid.utf8.count > 200 else { return uid }
            return "uid." + Sodium.blake2b(Array(uid.utf8), length: 16).hexadecimal
        }
    }
}

extension PersonLine.Kind {
    /// The file of its lines.
    var file: String { rawValue + ".jsonl" }
}

/// A value as JSON has it: bytes are in base64.
private struct Written: Encodable {
    let value: PersonLine.Value
    init(_ value: PersonLine.Value) { self.value = value }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch value {
        case .text(let text): try container.encode(text)
        case .number(let number): try container.encode(number)
        case .flag(let flag): try container.encode(flag)
        case .bytes(let bytes): try container.encode(Data(bytes).base64EncodedString())
        case .texts(let texts): try container.encode(texts)
        }
    }
}
