internal import Database
internal import Foundation
internal import Sodium

/// A file that gets its name when it is complete, and replaces none.
struct NewFile {
    let path: String
    let temporaryPath: String

    init(_ path: String) throws {
        self.path = path
        let url = URL(filePath: path)
        temporaryPath = url.deletingLastPathComponent()
            .appending(path: ".\(url.lastPathComponent).\(Sodium.randomAlphanumerics(8))").path(percentEncoded: false)
        do {
            guard !FileManager.default.fileExists(atPath: path) else { throw Self.isThere(path) }
            let isMade = try TemporaryFiles.note(Self.ends.map { temporaryPath + $0 }) { [temporaryPath] in
                try KeptFiles.create(temporaryPath)
            }
            guard isMade else { throw BackupFault("\(temporaryPath) is there already") }
        } catch let fault as KeptFiles.Fault { throw BackupFault(fault.description) }
    }

    private static func isThere(_ path: String) -> BackupFault {
        BackupFault("\(path) is there already, and is left as it is: name another file")
    }

    /// Gives the file its name, once all of it is on the disk.
    func publish() throws {
        do {
            try KeptFiles.synchronize(temporaryPath)
            guard try KeptFiles.publish(temporaryPath, as: path) else { throw Self.isThere(path) }
            try discard()
            try KeptFiles.synchronize(KeptFiles.folder(of: path))
        } catch let fault as KeptFiles.Fault { throw BackupFault(fault.description) }
    }

    private static let ends = ["", "-journal", "-wal", "-shm"]

    /// Removes what lies under the temporary name, with what SQLite leaves beside it.
    func discard() throws {
        for end in Self.ends {
            if FileManager.default.fileExists(atPath: temporaryPath + end) {
                try FileManager.default.removeItem(atPath: temporaryPath + end)
            }
            TemporaryFiles.forget(temporaryPath + end)
        }
    }
}
