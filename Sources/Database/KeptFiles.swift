internal import Foundation

/// Files and folders of what is kept: nobody but their owner can read them, whatever was there before, and they are on the
/// disk with their names before anything is said of them.
///
/// A name is on the disk when its folder is synced, and a folder when the one above it is: so whoever makes several levels
/// syncs each of them. A sync that fails is an error for whoever asked for it: what was written is then written anew, never
/// only synced again, since the system may have forgotten that it is not on the disk.
package enum KeptFiles {
    /// What could not be done. The description begins with the path.
    package struct Fault: Error, CustomStringConvertible, Sendable {
        let path: String
        /// Without the path, which may name a user's things.
        package let reason: String
        package var description: String { "\(path) \(reason)" }

        init(_ path: String, code: Int32 = errno, _ words: String) {
            self.path = path
            reason = "\(words): \(unsafe String(cString: strerror(code))) (\(code))"
        }
    }

    /// Who may read what is made.
    package enum Readers: Sendable {
        case owner
        /// The owner's group too, such as the web server that sends files itself. Whatever the process's mask says.
        case group

        fileprivate var folderMode: mode_t { self == .owner ? KeptFiles.folderMode : 0o750 }
        fileprivate var fileMode: mode_t { self == .owner ? KeptFiles.fileMode : 0o640 }
    }

    /// What a folder, and what a file may be read, written and entered by.
    private static let folderMode: mode_t = 0o700
    private static let fileMode: mode_t = 0o600
    private static let othersMode: mode_t = 0o077

    /// Makes a folder with those above it, as far as they are missing; their names are on the disk when this returns.
    ///
    /// - Throws: ``Fault`` when it cannot be made.
    package static func makeFolder(_ path: String, for readers: Readers = .owner) throws(Fault) {
        if isFolder(path) { return }
        let above = folder(of: path)
        if above != path { try makeFolder(above, for: readers) }
        guard unsafe mkdir(path, readers.folderMode) == 0 || errno == EEXIST else { throw Fault(path, "cannot be made") }
        if readers != .owner { try open(path, to: readers) }
        guard isFolder(path) else { throw Fault(path, code: ENOTDIR, "cannot be made") }
        try synchronize(above)
    }

    /// The folder that a name lies in.
    package static func folder(of path: String) -> String {
        let trimmed = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    /// Writes a new file and brings its content to the disk; its name is the matter of ``synchronize(_:)`` on its folder.
    ///
    /// - Parameter syncs: false where the file is synced later, once others are written too.
    /// - Returns: false where there is a file of that name, which is left as it is.
    /// - Throws: ``Fault`` when it cannot be written whole; then it is not there.
    package static func create(
        _ path: String, _ content: [UInt8] = [], for readers: Readers = .owner, syncs: Bool = true
    ) throws(Fault) -> Bool {
        let descriptor = unsafe Foundation.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, fileMode)
        guard descriptor >= 0 else {
            if errno == EEXIST { return false }
            throw Fault(path, "cannot be written")
        }
        do throws(Fault) {
            defer { close(descriptor) }
            guard readers == .owner || fchmod(descriptor, readers.fileMode) == 0 else { throw Fault(path, "cannot be shared") }
            var rest = content[...]
            while !rest.isEmpty {
                let count = unsafe rest.withUnsafeBytes { bytes in unsafe Foundation.write(descriptor, bytes.baseAddress, bytes.count) }
                guard count > 0 || errno == EINTR else { throw Fault(path, "cannot be written") }
                rest = rest.dropFirst(max(0, count))
            }
            guard !syncs || fsync(descriptor) == 0 else { throw Fault(path, "cannot be synced") }
        } catch {
            unsafe unlink(path)
            throw error
        }
        return true
    }

    /// Writes a file under a name that it gets when it is whole and on the disk.
    ///
    /// - Returns: false where there is a file of that name, which is left as it is.
    package static func write(_ content: [UInt8], to path: String, through temporary: String) throws(Fault) -> Bool {
        guard try create(temporary, content) else { throw Fault(temporary, code: EEXIST, "cannot be written") }
        TemporaryFiles.note(temporary)
        defer {
            unsafe unlink(temporary)
            TemporaryFiles.forget(temporary)
        }
        guard try publish(temporary, as: path) else { return false }
        try synchronize(folder(of: path))
        return true
    }

    /// Gives a file its name, unless another has it. The old name may stay, and goes with whoever made it.
    ///
    /// - Returns: false where there is a file of that name.
    /// - Throws: ``Fault`` when the file system does not let it.
    package static func publish(_ temporary: String, as path: String) throws(Fault) -> Bool {
        // Unlike a rename, a link replaces nothing.
        if unsafe link(temporary, path) == 0 { return true }
        switch errno {
        case EEXIST: return false
        // exFAT, vfat and many network shares have no links. There the name is taken first, by a file that only we make.
        case EPERM, ENOTSUP, EOPNOTSUPP, ENOSYS, EMLINK, EINVAL:
            guard try create(path) else { return false }
            guard unsafe rename(temporary, path) == 0 else {
                let fault = Fault(path, "cannot be made")
                unsafe unlink(path)
                throw fault
            }
            return true
        default: throw Fault(path, "cannot be made")
        }
    }

    /// Brings a file, or the names in a folder, to the disk.
    ///
    /// - Throws: ``Fault`` when it is not known to be there.
    package static func synchronize(_ path: String) throws(Fault) {
        let descriptor = unsafe Foundation.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Fault(path, "cannot be synced") }
        defer { close(descriptor) }
        if fsync(descriptor) == 0 { return }
        // Some network shares sync no folders: they keep names at once.
        guard errno == EINVAL || errno == ENOTSUP, isFolder(path) else { throw Fault(path, "cannot be synced") }
    }

    /// Takes from everybody but the owner what they may do with a file or folder, where it is there and ours.
    ///
    /// - Returns: whether nobody else can get at it now.
    @discardableResult
    package static func restrict(_ path: String) -> Bool {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return true }
        guard status.st_mode & othersMode != 0 else { return true }
        let isFolder = status.st_mode & S_IFMT == S_IFDIR
        return unsafe chmod(path, status.st_mode & (isFolder ? folderMode : fileMode)) == 0
    }

    /// Gives readers what they need of a folder, and the folder's group to what is made in it where that is so now.
    ///
    /// - Throws: ``Fault`` when it is not there, or is another's.
    package static func open(_ path: String, to readers: Readers) throws(Fault) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw Fault(path, "cannot be looked at") }
        guard status.st_mode & readers.folderMode != readers.folderMode else { return }
        guard unsafe chmod(path, status.st_mode & 0o7000 | readers.folderMode) == 0 else { throw Fault(path, "cannot be shared") }
    }

    /// What tells a file from every other, also from one that gets its name later. Nil where there is none.
    package struct Identity: Hashable, Sendable {
        let device: UInt64
        let number: UInt64

        package init?(of path: String) {
            var status = stat()
            guard unsafe stat(path, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            number = UInt64(status.st_ino)
        }
    }

    /// Whose a file or folder is, and who may do what with it. Nil where there is none.
    package struct Status: Sendable {
        package let path: String
        package let owner: UInt32
        package let group: UInt32
        package let mode: UInt32
        package let isFolder: Bool

        package init?(of path: String) {
            var status = stat()
            guard unsafe stat(path, &status) == 0 else { return nil }
            self.path = path
            (owner, group, mode) = (status.st_uid, status.st_gid, status.st_mode)
            isFolder = status.st_mode & S_IFMT == S_IFDIR
        }
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
