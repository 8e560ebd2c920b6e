internal import Foundation

/// SQLite's log of changes (`-wal`), as a file.
enum ChangesLog {
    private static let headerBytes: Int64 = 32
    private static let frameHeaderBytes: Int64 = 24
    private static let blockBytes = 1 << 20

    /// Writes what the log holds over itself and syncs it, so that it is on the disk whatever became of earlier syncs. Nobody may
    /// write into it meanwhile; whoever reads it reads the same.
    ///
    /// - Throws: ``KeptFiles/Fault`` when it is not known to be on the disk.
    static func rewrite(_ path: String) throws(KeptFiles.Fault) {
        let descriptor = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return }
            throw KeptFiles.Fault(path, "cannot be opened")
        }
        defer { close(descriptor) }
        let end = end(descriptor)
        var at: Int64 = 0
        while at < end {
            let block = read(descriptor, Int(min(Int64(blockBytes), end - at)), at: at)
            guard !block.isEmpty, unsafe pwrite(descriptor, block, block.count, off_t(at)) == block.count else {
                throw KeptFiles.Fault(path, "cannot be written")
            }
            at += Int64(block.count)
        }
        guard end == 0 || fsync(descriptor) == 0 else { throw KeptFiles.Fault(path, "cannot be synced") }
    }

    /// Where the whole frames end that belong to the header: what lies behind them is of an earlier use of the file, or of a process
    /// that was killed while it wrote a frame.
    private static func end(_ descriptor: Int32) -> Int64 {
        let header = read(descriptor, Int(headerBytes), at: 0)
        guard header.count == headerBytes else { return 0 }
        let frameBytes = frameHeaderBytes + header[8..<12].reduce(0) { $0 << 8 | Int64($1) }
        let salt = header[16..<24]
        let size = Int64(lseek(descriptor, 0, SEEK_END))
        var end = headerBytes
        while end + frameBytes <= size {
            let frame = read(descriptor, Int(frameHeaderBytes), at: end)
            guard frame.count == frameHeaderBytes, frame[8..<16].elementsEqual(salt) else { return end }
            end += frameBytes
        }
        return end
    }

    /// The bytes there; fewer at the file's end.
    private static func read(_ descriptor: Int32, _ count: Int, at offset: Int64) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: count)
        let got = unsafe pread(descriptor, &block, count, off_t(offset))
        block.removeLast(count - max(0, got))
        return block
    }
}
