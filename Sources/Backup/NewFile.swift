internal import Foundation
internal import Sodium

/// A file that gets its name when it is complete, and replaces none.
struct NewFile {
    let path: String
    let temporaryPath: String

    init(_ path: String) throws(BackupFault) {
        self.path = path
        let url = URL(filePath: path)
        temporaryPath = url.deletingLastPathComponent()
            .appending(path: ".\(url.lastPathComponent).\(Sodium.randomAlphanumerics(8))").path(percentEncoded: false)
        guard !FileManager.default.fileExists(atPath: path) else {
            throw BackupFault("\(path) is there already, and is left as it is: name another file")
        }
        guard FileManager.default.createFile(atPath: temporaryPath, contents: nil, attributes: [.posixPermissions: 0o600]) else {
            throw BackupFault("\(path) cannot be written")
        }
    }

    /// Gives the file its name, once all of it is on the disk.
    func publish() throws {
        try Self.synchronize(temporaryPath)
        // Unlike a rename, a link replaces nothing.
        guard unsafe link(temporaryPath, path) == 0 else {
            throw BackupFault("\(path) cannot be made: \(errno == EEXIST ? "it has come meanwhile" : "error \(errno)")")
        }
        try discard()
        try Self.synchronize(URL(filePath: path).deletingLastPathComponent().path(percentEncoded: false))
    }

    /// Removes what lies under the temporary name, with what SQLite leaves beside it.
    func discard() throws {
        for end in ["", "-wal", "-shm"] where FileManager.default.fileExists(atPath: temporaryPath + end) {
            try FileManager.default.removeItem(atPath: temporaryPath + end)
        }
    }

    /// Brings a file, or the names in a folder, to the disk.
    static func synchronize(_ path: String) throws(BackupFault) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BackupFault("\(path) cannot be synced: error \(errno)") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw BackupFault("\(path) cannot be synced: error \(errno)") }
    }
}
