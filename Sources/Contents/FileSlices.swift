internal import Database
internal import Foundation

extension FileContents {
    /// How long the content in the file at a path is; nil where there is none.
    ///
    /// - Throws: `DatabaseFault` when there is one that cannot be looked at.
    package func length(_ path: String) throws -> Int? {
        guard let file = readable(path) else { return nil }
        do { return try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int } catch CocoaError.fileReadNoSuchFile {
            return nil
        } catch { throw Self.fault(error, "read") }
    }

    /// A part of the content in the file at a path, shorter than `count` where the file ends; nil where there is none.
    ///
    /// - Throws: `DatabaseFault` when there is one that cannot be read.
    package func read(_ path: String, from start: Int, count: Int) throws -> [UInt8]? {
        guard let file = readable(path) else { return nil }
        do {
            let handle = try FileHandle(forReadingFrom: URL(filePath: file))
            defer { handle.closeFile() }
            try handle.seek(toOffset: UInt64(start))
            return try handle.read(upToCount: count).map { [UInt8]($0) } ?? []
        } catch CocoaError.fileReadNoSuchFile, CocoaError.fileNoSuchFile { return nil } catch { throw Self.fault(error, "read") }
    }

    private func readable(_ path: String) -> String? {
        guard let path = ChunkPath(row: path), isFile(path) else { return nil }
        return file(path).path(percentEncoded: false)
    }
}
