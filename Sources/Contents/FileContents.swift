package import Database
package import Domain
package import EventLog
internal import Foundation
internal import NIOPosix
package import Sodium

/// Contents in files, each where the original server would put it. They are written before the events that name them.
package struct FileContents: ContentStore {
    /// How the names of files begin that are not complete yet. No chunk's name has a dot.
    private static let unfinished = ".new-"

    let folder: String
    private let readers: KeptFiles.Readers

    /// - Parameters:
    ///   - folder: of all chunks, the same for all front ends; it is made with its first file.
    ///   - readers: who may read what is put there.
    package init(folder: String, readers: KeptFiles.Readers = .owner) { (self.folder, self.readers) = (folder, readers) }

    package var place: ContentPlace { .files }
    package var isBeforeAppend: Bool { true }

    /// Where another content lies at its path, a content goes into the table.
    package func put(
        _ contents: [ChunkUID: [UInt8]], of collection: CollectionUID, ownedBy owner: UserID
    ) async throws -> [ChunkUID: Write] {
        guard !contents.isEmpty else { return [:] }
        let written = try await NIOThreadPool.singleton.runIfActive {
            let files = contents.map { chunk, content in
                (chunk: chunk, path: ChunkPath(of: chunk, in: collection, ownedBy: owner), content: content)
            }
            let written = try write(files.map { ($0.path, $0.content) })
            return Set(zip(files, written).filter(\.1).map(\.0.chunk))
        }
        return TableContents.writes(contents.filter { !written.contains($0.key) }, of: collection)
    }

    package func get(_ contents: [ContentReference]) async throws -> [ContentReference: [UInt8]] {
        try await NIOThreadPool.singleton.runIfActive {
            var found: [ContentReference: [UInt8]] = [:]
            for content in contents { found[content] = try read(content.name.path.rawValue) }
            return found
        }
    }

    package func piece(_ range: Range<Int>, of content: ContentReference, _ hash: inout SHA256) async throws -> [UInt8]? {
        try await NIOThreadPool.singleton.runIfActive {
            try read(content.name.path.rawValue, from: range.lowerBound, count: range.count)
        }
    }

    /// Those that have a chunk's name, and those that a writer has left unfinished.
    package func list(
        of collections: Set<CollectionUID>?, before time: Timestamp, _ body: ([HeldContent]) async throws -> Void
    ) async throws {
        var waiting = try await NIOThreadPool.singleton.runIfActive { try folders(of: collections) }
        var page: [HeldContent] = []
        while let next = waiting.popLast() {
            let (folders, files) = try await NIOThreadPool.singleton.runIfActive { try entries(of: next, before: time) }
            waiting += folders
            page += files
            if page.count >= pageContents {
                try await body(page)
                page = []
            }
        }
        if !page.isEmpty { try await body(page) }
    }

    package func remove(_ content: HeldContent, before time: Timestamp) async throws -> Bool {
        guard case .path(let path) = content.key else { return false }
        return try await NIOThreadPool.singleton.runIfActive { try remove(path.rawValue, before: time) }
    }

    /// The content in the file that a row names; nil where there is none, or the name is not one.
    ///
    /// - Throws: `DatabaseFault` when there is one that cannot be read.
    package func read(_ row: String) throws -> [UInt8]? { try ChunkPath(row: row).flatMap { try read($0) } }

    private func read(_ path: ChunkPath) throws -> [UInt8]? {
        guard isFile(path) else { return nil }
        do { return [UInt8](try Data(contentsOf: file(path))) } catch CocoaError.fileReadNoSuchFile { return nil } catch {
            throw Self.fault(error, "read")
        }
    }

    /// Writes a content at the path that its row has, durably: what a restored backup brings along.
    ///
    /// - Throws: `DatabaseFault` when it cannot be written, leaves the folder, or another content lies there.
    package func write(_ content: [UInt8], at row: String) throws {
        guard let path = ChunkPath(row: row), try write([(path, content)]) == [true] else {
            throw DatabaseFault(.corrupt, "chunks: a content does not belong where its row says")
        }
    }

    /// Writes a content at the path that its row has, durably.
    ///
    /// - Returns: false where that is no place for it, or another content lies there.
    func put(_ content: [UInt8], at row: String) throws -> Bool {
        guard let path = ChunkPath(row: row) else { return false }
        return try write([(path, content)]) == [true]
    }

    /// Those of some paths at which other contents lie than these.
    package func occupied(_ contents: [(path: String, content: [UInt8])]) async throws -> [String] {
        try await NIOThreadPool.singleton.runIfActive {
            try contents.filter { path, content in try read(path).map { $0 != content } ?? false }.map(\.path)
        }
    }

    /// Puts contents at their paths, over files that lie there: for whoever reads only files. Durable when this returns.
    ///
    /// - Returns: the paths at which nothing was put: they leave the folder, or a folder lies there, or a file where a folder
    ///   would have to be.
    /// - Throws: `DatabaseFault` when one cannot be written.
    package func place(_ contents: [(path: String, content: [UInt8])]) async throws -> [String] {
        try await NIOThreadPool.singleton.runIfActive {
            let inside = contents.compactMap { row, content in ChunkPath(row: row).map { (path: $0, content: content) } }
            for (path, content) in inside {
                guard let present = try read(path), present != content else { continue }
                do { try FileManager.default.removeItem(at: file(path)) } catch CocoaError.fileNoSuchFile {}
            }
            let written = try write(inside)
            return contents.map(\.path).filter { ChunkPath(row: $0) == nil }
                + zip(inside, written).filter { !$0.1 }.map(\.0.path.text)
        }
    }

    /// Whether there is the file that a row names.
    package func hasFile(_ row: String) -> Bool { ChunkPath(row: row).map(isFile) ?? false }

    func isFile(_ path: ChunkPath) -> Bool { Self.kind(of: file(path)) == S_IFREG }

    /// What lies at a place: `S_IFREG` and the like; nil where nothing does, or nothing can. Links are followed: only the
    /// operator can make one.
    private static func kind(of file: URL) -> mode_t? {
        var status = stat()
        return unsafe stat(file.name, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    /// Whether something else than folders lies on the way to a file, or a file where a folder would be: adopted rows may have
    /// left that.
    private func isObstructed(_ path: ChunkPath) -> Bool {
        if let kind = Self.kind(of: file(path)) { return kind != S_IFREG }
        // Where the folder of all chunks is none, nothing can be written at all, and that is a fault.
        return errno == ENOTDIR && Self.kind(of: URL(filePath: folder)) == S_IFDIR
    }

    /// The one way from a path to a file.
    func file(_ path: ChunkPath) -> URL { URL(filePath: folder).appending(path: path.text) }

    /// Writes contents at their paths, durably. All are written before the first is synced, and all have their names before
    /// the first folder is: much of it is on the disk then when its turn comes.
    ///
    /// - Returns: for each whether its file has the content: false where another one was there first, or something is in the way.
    private func write(_ contents: [(path: ChunkPath, content: [UInt8])]) throws -> [Bool] {
        do { return try writeFiles(contents) } catch let fault as KeptFiles.Fault {
            // Without the path, which names a user's things.
            throw DatabaseFault(.unavailable, "chunks: a file \(fault.reason)")
        }
    }

    private func writeFiles(_ contents: [(path: ChunkPath, content: [UInt8])]) throws -> [Bool] {
        var new: [(index: Int, file: String)] = []
        defer {
            for (_, file) in new {
                unsafe unlink(file)
                TemporaryFiles.forget(file)
            }
        }
        var written = try contents.enumerated().map { index, item in
            let file = file(item.path)
            guard !isObstructed(item.path) else { return false }
            if let isSame = try rely(on: item.path, for: item.content) { return isSame }
            let folder = file.deletingLastPathComponent()
            let unfinished = folder.appending(path: Self.unfinished + Sodium.randomAlphanumerics(16)).name
            try KeptFiles.makeFolder(folder.name, for: readers)
            TemporaryFiles.note(unfinished)
            new.append((index, unfinished))
            guard try KeptFiles.create(unfinished, item.content, for: readers, syncs: false) else {
                throw DatabaseFault(.unavailable, "chunks: a random name is taken")
            }
            return true
        }
        for (_, file) in new { try KeptFiles.synchronize(file) }
        for (index, unfinished) in new where try !KeptFiles.publish(unfinished, as: file(contents[index].path).name) {
            written[index] = try rely(on: contents[index].path, for: contents[index].content) ?? false
        }
        // The names are durable with their folders, also with those that somebody else has made just now.
        for folder in Set(zip(contents, written).filter(\.1).flatMap { folders(above: file($0.0.path)) }) {
            try KeptFiles.synchronize(folder)
        }
        return written
    }

    /// Relies on a file that is there for a content that is about to be named, so that nobody takes it for waste.
    ///
    /// - Returns: nil where there is none; false where it holds another content, or cannot be relied on.
    private func rely(on path: ChunkPath, for content: [UInt8]) throws -> Bool? {
        guard let held = try hold(path, .together) else { return nil }
        // It is held until it has been read: whoever removes it then sees that it was touched.
        guard held.touch() else { return false }
        return try read(path) == content
    }

    private func hold(_ path: ChunkPath, _ hold: HeldFile.Hold) throws -> HeldFile? {
        do { return try HeldFile(file(path).name, hold) } catch { throw Self.fault(error, "held") }
    }

    /// The folders in which contents of collections are put, whoever owned them; the one folder of all for nil. Each is named relative
    /// to that.
    private func folders(of collections: Set<CollectionUID>?) throws -> [String] {
        guard let collections else { return [""] }
        guard !collections.isEmpty, Self.kind(of: URL(filePath: folder)) != nil else { return [] }
        let owners: [String]
        do { owners = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix(ChunkPath.owner) } } catch {
            throw Self.fault(error, "read")
        }
        return owners.flatMap { owner in collections.map { "\(owner)/\(ChunkPath.folder(of: $0))" } }
    }

    /// What lies in a folder: folders, and files that nobody has touched since `time`.
    private func entries(of below: String, before time: Timestamp) throws -> (folders: [String], files: [HeldContent]) {
        let place = below.isEmpty ? folder : "\(folder)/\(below)"
        guard Self.kind(of: URL(filePath: place)) == S_IFDIR else { return ([], []) }
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: place) } catch { throw Self.fault(error, "read") }
        var (folders, files): ([String], [HeldContent]) = ([], [])
        for name in names {
            let path = below.isEmpty ? name : "\(below)/\(name)"
            var status = stat()
            // A link is not ours.
            guard unsafe lstat("\(folder)/\(path)", &status) == 0 else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: folders.append(path)
            case S_IFREG where HeldFile.touchedAt(status) < time.rawValue:
                files.append(HeldContent(key: .path(ExactText(path)), bytes: Int(status.st_size)))
            default: break
            }
        }
        return (folders, files)
    }

    /// Removes a file that no event names, unless a writer has come upon it since `time` and is about to name it. One that stays
    /// has its name at every moment, whenever the process ends.
    ///
    /// What is no file stays: a folder holds the contents of others.
    ///
    /// - Returns: whether it was removed.
    package func remove(_ row: String, before time: Timestamp) throws -> Bool {
        guard let path = ChunkPath(row: row), isFile(path), let held = try hold(path, .alone) else { return false }
        guard held.touchedAt < time.rawValue else { return false }
        guard unsafe unlink(file(path).name) == 0 else {
            throw Self.fault(POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO), "removed")
        }
        return true
    }

    /// The folders whose entries a file's name hangs on, with the one that holds the folder of all chunks.
    private func folders(above file: URL) -> [String] {
        var folders: [String] = []
        var next = file.deletingLastPathComponent()
        let top = URL(filePath: folder).deletingLastPathComponent().name
        while next.name.utf8.count > top.utf8.count {
            folders.append(next.name)
            next = next.deletingLastPathComponent()
        }
        return folders + [top]
    }

    /// Without the path, which names a user's things.
    static func fault(_ error: any Error, _ done: String) -> DatabaseFault {
        DatabaseFault(.unavailable, "chunks: a file cannot be \(done) (\((error as NSError).domain) \((error as NSError).code))")
    }
}

extension URL {
    /// The file's name as the system has it: nothing in it is escaped.
    fileprivate var name: String { path(percentEncoded: false) }
}
