internal import API
internal import Backup
internal import Database
internal import Domain
internal import EventLog
internal import Foundation
internal import Pages
internal import ReadModel
internal import Sodium

extension Node {
    /// Whether everything lies on this machine.
    var isAlone: Bool {
        switch database.engine {
        case .sqlite: true
        case .postgres: false
        }
    }

    /// What the admins' page knows of backups.
    var pageBackups: PageBackups { PageBackups(folder: data.folder + "/backups") }
}

/// The backup that was made on the admins' page: a file in the data folder, which the next one takes the place of.
struct PageBackups: Sendable {
    /// A backup that is there.
    struct Found: Sendable {
        let name: String
        let bytes: Int64
        let madeAt: Timestamp
    }

    let folder: String

    private static let (start, end, unfinished, trial) = ("apus-", ".backup", ".apus-", ".trial-")

    /// Nil while there is none.
    func newest() throws -> Found? {
        guard let name = try names().last else { return nil }
        let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")
        let time = attributes[.modificationDate] as? Date ?? .distantPast
        return Found(
            name: name, bytes: attributes[.size] as? Int64 ?? 0, madeAt: Timestamp(rawValue: Int64(time.timeIntervalSince1970 * 1_000_000)))
    }

    /// Nil while there is none.
    func open() throws -> OpenedFile? { try names().last.map { try OpenedFile("\(folder)/\($0)", as: $0) } }

    /// Makes one, and removes those before it, unless it lacks something.
    func make(_ node: Node, _ advanced: @escaping Advanced) async throws -> JobRunner.Outcome {
        try KeptFiles.makeFolder(folder)
        try remove(Self.unfinished)
        let time = Node.clock()
        let digits = time.text.prefix(19).filter { $0.isNumber || $0 == " " }.replacing(" ", with: "-")
        let name = Self.start + digits + Self.end
        let (report, unnoted) = try await node.backUp(to: "\(folder)/\(name)", at: time, advanced)
        let isWhole = report.missing + report.changed == 0
        // One that lacks something is no reason to give up one that may have it.
        for former in try names() where isWhole && former < name {
            try FileManager.default.removeItem(atPath: "\(folder)/\(former)")
        }
        var found = JobWords.backup(end: report.head.position.rawValue, files: report.files, objects: report.objects)
        if report.missing > 0 { found.append(JobWords.missing(report.missing)) }
        if report.changed > 0 { found.append(JobWords.different(report.changed)) }
        if let unnoted { found.append(JobWords.unnoted("\(unnoted)")) }
        return .init(isWhole ? .done : .faulty, found)
    }

    /// Restores it beside, which looks at all of it, and removes that again.
    func verify() async throws -> JobRunner.Outcome {
        guard let name = try names().last else { return .init(.failed, [JobWords.noBackup]) }
        try remove(Self.trial)
        let place = "\(folder)/\(Self.trial)\(Sodium.randomAlphanumerics(8))"
        let restore = Restore(into: place, server: nil, secret: nil)
        do {
            let report = try await withScratch { scratch in
                try await restore.run("\(folder)/\(name)", scratch: scratch, toleratesFaults: false, at: Node.clock())
            }
            try remove(Self.trial)
            return .init(.done, [JobWords.restored(name, events: report.events, files: report.files)])
        } catch {
            try remove(Self.trial)
            guard !Task.isCancelled else { throw error }
            switch error {
            case let fault as BackupFault: return .init(.faulty, [fault.description])
            case let fault as DatabaseFault where fault.isDamage: return .init(.faulty, [fault.description])
            default: throw error
            }
        }
    }

    /// The backups that are there, the newest last.
    private func names() throws -> [String] {
        try content().filter { $0.hasPrefix(Self.start) && $0.hasSuffix(Self.end) }.sorted()
    }

    private func content() throws -> [String] {
        guard FileManager.default.fileExists(atPath: folder) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: folder)
    }

    /// Removes what is there only while something is done, also what a killed process has left: of each kind of work there is one at a
    /// time.
    private func remove(_ start: String) throws {
        for name in try content() where name.hasPrefix(start) {
            try FileManager.default.removeItem(atPath: "\(folder)/\(name)")
        }
    }
}

extension PageBackups.Found {
    var shown: AdminPages.Backup { .init(name: name, size: bytes.shownAsBytes, made: madeAt.shown) }
}

extension DatabaseFault {
    /// Whether what was read is not what it should be.
    fileprivate var isDamage: Bool {
        switch kind {
        case .corrupt, .constraint: true
        case .unavailable, .conflict, .raised: false
        }
    }
}
