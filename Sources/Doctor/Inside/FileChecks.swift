internal import Database
internal import Foundation
internal import Glibc
internal import Server

/// Whose the files are that are kept, and who can read them.
struct FileChecks {
    let patient: Patient

    init(_ patient: Patient) { self.patient = patient }

    private typealias Status = KeptFiles.Status

    private static func name(_ user: uid_t) -> String {
        guard let entry = unsafe getpwuid(user) else { return "user \(user)" }
        return unsafe String(cString: entry.pointee.pw_name)
    }

    /// The folder is there, and everything in it is of the user who runs the server.
    func owners() -> Finding {
        guard patient.needsFolder else { return .notApplicable("nothing is kept in the data folder") }
        guard let folder = Status(of: patient.data.folder), folder.isFolder else {
            return .failure(
                "there is no folder \(patient.data.folder)",
                means: "Nothing was ever kept there, or the settings name another place than the server's.",
                mend: "Say where the data is (--data or APUS_DATA), or start the server, which makes it: apus serve.")
        }
        let others = patient.keptPaths.compactMap(Status.init(of:)).filter { $0.owner != folder.owner }
        if !others.isEmpty {
            let give: Finding.Fix = { try Self.give(others, to: folder) }
            let words = others.map { "\($0.path) belongs to \(Self.name($0.owner))" }.joined(separator: ", ")
            return .failure(
                "the folder belongs to \(Self.name(folder.owner)), but \(words)",
                means: "The server cannot read or write what belongs to another: most often apus was run once by another user, as root.",
                mend: "chown -R \(Self.name(folder.owner)) \(patient.data.folder)", fix: geteuid() == 0 ? give : nil)
        }
        let user = geteuid()
        guard folder.owner == user else {
            if user == 0 {
                return .warning(
                    "\(patient.data.folder) belongs to \(Self.name(folder.owner)), and this runs as root",
                    means: "What root makes there the server cannot write.",
                    mend: "Run apus as the server's user: apusctl doctor, or sudo -u \(Self.name(folder.owner)) apus doctor.")
            }
            return .failure(
                "\(patient.data.folder) belongs to \(Self.name(folder.owner)), and this runs as \(Self.name(user))",
                means: "Little can be seen of what is kept.",
                mend: "Run apus as the server's user: apusctl doctor, or sudo -u \(Self.name(folder.owner)) apus doctor.")
        }
        guard unsafe access(patient.data.folder, R_OK | W_OK | X_OK) == 0 else {
            return .failure(
                "\(patient.data.folder) cannot be read and written by its own user", means: "The server cannot start.",
                mend: "chmod 700 \(patient.data.folder)", fix: { try Self.open(folder) })
        }
        return .ok("everything in \(patient.data.folder) belongs to \(Self.name(folder.owner))")
    }

    private static func give(_ files: [Status], to folder: Status) throws -> String {
        for file in files {
            guard unsafe chown(file.path, folder.owner, folder.group) == 0 else { throw Unmended(file.path) }
        }
        return "\(files.count) of them were given to \(name(folder.owner))"
    }

    private static func open(_ folder: Status) throws -> String {
        guard unsafe chmod(folder.path, mode_t(folder.mode) | S_IRWXU) == 0 else { throw Unmended(folder.path) }
        return "the folder was opened to its user"
    }

    /// Nobody but their owner can read the files, or put others in their places.
    func rights() -> Finding {
        let kept = patient.keptPaths.compactMap(Status.init(of:))
        guard !kept.isEmpty else { return .notApplicable("nothing is kept in files") }
        // A folder that others may look into is no harm while they can open nothing in it.
        let open = kept.filter { $0.mode & ($0.isFolder ? 0o022 : 0o077) != 0 }
        guard !open.isEmpty else { return .ok("only \(Self.name(kept[0].owner)) can open what is kept") }
        let paths = open.map(\.path)
        return .failure(
            open.map { "\($0.path) has mode \(String($0.mode & 0o7777, radix: 8))" }.joined(separator: ", "),
            means: "Others on this machine can read the secret, sessions and ciphertext, or put other files in their places.",
            mend: "chmod 600 for files, 700 for folders: " + paths.joined(separator: " "),
            fix: {
                for path in paths where !KeptFiles.restrict(path) { throw Unmended(path) }
                return "\(paths.count) of them were closed to others"
            })
    }
}

/// What could not be mended: the path, and the system's word.
struct Unmended: Error, CustomStringConvertible {
    let description: String

    init(_ path: String) { description = "\(path): \(unsafe String(cString: strerror(errno)))" }
}
