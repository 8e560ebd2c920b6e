internal import Database
internal import Foundation
internal import Sodium

/// A folder that gets its name when it is complete. Only its owner can look into it.
package struct NewFolder: Sendable {
    package let path: String
    private let temporaryPath: String

    /// - Throws: ``BackupFault`` where there is something in a folder of that name, or a file, or it cannot be made.
    package init(_ path: String) throws {
        self.path = path
        let url = URL(filePath: path, directoryHint: .notDirectory).standardizedFileURL
        temporaryPath = url.deletingLastPathComponent()
            .appending(path: ".\(url.lastPathComponent).\(Sodium.randomAlphanumerics(8))").path(percentEncoded: false)
        try requireEmpty()
        do {
            try TemporaryFiles.note([temporaryPath]) { [temporaryPath] in try KeptFiles.makeFolder(temporaryPath) }
        } catch let fault as KeptFiles.Fault { throw BackupFault(fault.description) }
    }

    private func requireEmpty() throws {
        var isFolder = ObjCBool(false)
        guard unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return }
        guard isFolder.boolValue else { throw BackupFault("\(path) is a file: name a folder that is empty or not there yet") }
        let found: [String]
        do { found = try FileManager.default.contentsOfDirectory(atPath: path) } catch {
            throw BackupFault("\(path) cannot be looked into: \(error.localizedDescription)")
        }
        guard found.isEmpty else {
            throw BackupFault("there is something in \(path), which is left as it is: name a folder that is empty or not there yet")
        }
    }

    /// Makes a file in it.
    ///
    /// - Parameter name: with the folders that it lies in.
    package func create(_ name: String, _ content: [UInt8] = []) throws {
        let file = temporaryPath + "/" + name
        do {
            let isMade = try TemporaryFiles.note([]) {
                try KeptFiles.makeFolder(KeptFiles.folder(of: file))
                return try KeptFiles.create(file, content, syncs: false)
            }
            guard isMade else { throw BackupFault("two things would have the name \(name)") }
        } catch let fault as KeptFiles.Fault { throw BackupFault(fault.description) }
    }

    /// Writes at the end of a file that was made.
    package func append(_ content: [UInt8], to name: String) throws {
        do {
            let handle = try FileHandle(forWritingTo: URL(filePath: temporaryPath + "/" + name))
            try handle.seekToEnd()
            try handle.write(contentsOf: Data(content))
            try handle.close()
        } catch { throw BackupFault("\(path) cannot be written: \(error.localizedDescription)") }
    }

    /// Gives the folder its name.
    package func publish() throws {
        // What is empty is replaced; where somebody has put something there meanwhile nothing is.
        guard unsafe rename(temporaryPath, path) == 0 else {
            let reason = unsafe String(cString: strerror(errno))
            throw BackupFault("\(path) cannot be made: \(reason): name a folder that is not there yet")
        }
        TemporaryFiles.forget(temporaryPath)
        do { try KeptFiles.synchronize(KeptFiles.folder(of: path)) } catch { throw BackupFault(error.description) }
    }

    /// Removes what was written.
    package func discard() throws {
        try FileManager.default.removeItem(atPath: temporaryPath)
        TemporaryFiles.forget(temporaryPath)
    }
}
