internal import Database
package import EventLog
internal import Foundation
internal import Glibc
package import Sodium

/// The folder of everything that is kept, and the secret in it.
package struct DataFolder {
    package let path: String

    package init(path: String) { self.path = path }

    /// Room that is left where a folder is, in bytes; nil where there is no folder, as where everything is in PostgreSQL.
    package static func freeBytes(at path: String) -> Int64? {
        do { return try (FileManager.default.attributesOfFileSystem(forPath: path)[.systemFreeSize] as? NSNumber)?.int64Value } catch {
            return nil
        }
    }

    /// Where the folder is, as somebody finds it who was surprised that it is there.
    var described: String {
        guard !path.hasPrefix("/") else { return path }
        return "\(path), which the working directory makes \(FileManager.default.currentDirectoryPath)/\(path.trimmingPrefix("./")),"
    }

    /// Makes sure that the folder can be worked in.
    ///
    /// - Parameter makes: whether it may be made.
    /// - Throws: ``OperatorFault``
    func require(makes: Bool) throws(OperatorFault) {
        var isFolder = ObjCBool(false)
        if unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
            guard isFolder.boolValue else { throw OperatorFault("the data folder \(described) is a file: --data names a folder") }
            guard unsafe access(path, R_OK | W_OK | X_OK) == 0 else {
                throw OperatorFault("the data folder \(described) cannot be read and written by this user: \(Self.reason)")
            }
            restrict()
            return
        }
        guard makes else {
            throw OperatorFault(
                "there is no data folder \(described) and none is made by this command: --data or APUS_DATA says where it is")
        }
        do { try KeptFiles.makeFolder(path) } catch { throw OperatorFault("the data folder \(described) cannot be made: \(error)") }
    }

    /// Keeps others out of a folder that was made before. Where it holds what is not ours too, somebody may have to get at that,
    /// and only our files are closed.
    private func restrict() {
        let names: [String]
        // One that cannot be listed is not ours to close.
        do { names = try FileManager.default.contentsOfDirectory(atPath: path) } catch { return }
        if names.allSatisfy({ Self.kept.contains($0) || $0.hasPrefix(".secret.") }) { KeptFiles.restrict(path) }
    }

    /// What lies in a data folder.
    private static let kept: Set<String> = [
        "apus.sqlite", "apus.sqlite-wal", "apus.sqlite-shm", "apus.sqlite-journal", "secret", "chunks", "restoring", "backups",
        "lost+found",
    ]

    /// Why nothing is done where there is no database.
    func missingDatabase(_ place: DatabasePlace) -> OperatorFault {
        switch place {
        case .sqlite(let path):
            let file = path.hasPrefix(self.path) ? "in \(described)" : path
            return OperatorFault(
                "there is no database \(file) and none is made by this command: --data, APUS_DATA or --database-url says where it is")
        case .postgres:
            return OperatorFault("the database is empty, and this command makes none: is its address, --database-url, the right one?")
        }
    }

    private static var reason: String { unsafe String(cString: strerror(errno)) }

    private var secretPath: String { path + "/secret" }

    /// The secret that is kept in the folder; nil where there is none.
    ///
    /// - Throws: ``OperatorFault`` where it is there and cannot be used.
    package func keptSecret() throws -> Hidden<[UInt8]>? {
        guard let secret = try readSecret() else { return nil }
        KeptFiles.restrict(secretPath)
        // Whoever has made it may have ended before its name was on the disk.
        do { try KeptFiles.synchronize(path) } catch { throw OperatorFault("\(error)") }
        return secret
    }

    /// The same, and nothing about its file is changed.
    ///
    /// - Throws: ``OperatorFault``
    package func readSecret() throws(OperatorFault) -> Hidden<[UInt8]>? {
        guard FileManager.default.fileExists(atPath: secretPath) else { return nil }
        guard let kept = FileManager.default.contents(atPath: secretPath) else {
            throw OperatorFault("\(secretPath) cannot be read by this user, and without the secret nothing is done")
        }
        let secret = String(decoding: kept, as: UTF8.self).trimmingCharacters(in: .newlines)
        guard !secret.isEmpty else { throw OperatorFault("\(secretPath) is empty: restore it, or stokens and logins break") }
        return Hidden(Array(secret.utf8))
    }

    /// Makes a secret, for a new database. Whoever has it can forge logins' challenges and stokens.
    package func makeSecret() throws -> Hidden<[UInt8]> {
        try require(makes: true)
        let secret = Array(Sodium.randomAlphanumerics(64).utf8)
        let isWritten: Bool
        do {
            isWritten = try KeptFiles.write(secret, to: secretPath, through: "\(path)/.secret.\(Sodium.randomAlphanumerics(8))")
        } catch { throw OperatorFault("\(error)") }
        guard isWritten else { throw OperatorFault("\(secretPath) has just been made by another process: start again") }
        return Hidden(secret)
    }

    /// Removes a secret that was just made and is of no use.
    package func removeSecret() throws { try FileManager.default.removeItem(atPath: secretPath) }

    /// Why nothing is done without a secret where there is a database already.
    package var missingSecret: SecretFault {
        SecretFault(
            """
            the secret of this database is missing: neither APUS_SECRET nor APUS_SECRET_FILE is set, and there is no \(secretPath). \
            Give the one that the database was made with, the same on every node; if it is lost, see apus secret renew --help
            """)
    }
}
