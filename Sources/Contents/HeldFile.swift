internal import Foundation

/// A file that others cannot come upon, or cannot remove, for as long as this lives.
///
/// A writer that relies on a file which is there already holds it together with other writers; whoever removes a file holds it alone.
/// So nobody comes upon it between the look at it and its removal, and it has its name until it is gone, whenever a process ends: the
/// system lets go of what an ended process held.
struct HeldFile: ~Copyable {
    /// Against whom it is held.
    enum Hold {
        /// Against those who remove it.
        case together
        /// Against everybody.
        case alone
    }

    private let descriptor: Int32
    /// When it was last touched (``touchedAt(_:)``).
    let touchedAt: Int64

    /// Waits for those who hold it, who only read it or look at it.
    ///
    /// - Returns: nil where there is no such file, or none any more by the time that it could be held.
    /// - Throws: `POSIXError` when it cannot be held: the file system may know no locks.
    init?(_ path: String, _ hold: Hold) throws {
        guard let descriptor = try Self.open(path) else { return nil }
        var (held, named) = (stat(), stat())
        do {
            while flock(descriptor, hold == .alone ? LOCK_EX : LOCK_SH) != 0 {
                guard errno == EINTR else { throw Self.error }
            }
            guard unsafe fstat(descriptor, &held) == 0 else { throw Self.error }
        } catch {
            close(descriptor)
            throw error
        }
        // It may have been removed meanwhile, and written anew.
        guard unsafe stat(path, &named) == 0, named.st_ino == held.st_ino, named.st_dev == held.st_dev else {
            close(descriptor)
            return nil
        }
        self.descriptor = descriptor
        touchedAt = Self.touchedAt(held)
    }

    /// When a file was last touched, in microseconds since 1970, rounded up: whoever touches it later is never taken for earlier.
    static func touchedAt(_ status: stat) -> Int64 {
        Int64(status.st_mtim.tv_sec) * 1_000_000 + (Int64(status.st_mtim.tv_nsec) + 999) / 1000
    }

    deinit { close(descriptor) }

    /// Says that it is about to be named: what is waste is looked at by its age.
    ///
    /// - Returns: false where this user may not say so.
    func touch() -> Bool { futimens(descriptor, nil) == 0 }

    /// Network shares hold a file alone only for those who may write into it; others need not.
    private static func open(_ path: String) throws -> Int32? {
        for mode in [O_RDWR, O_RDONLY] {
            let descriptor = unsafe Foundation.open(path, mode | O_CLOEXEC | O_NONBLOCK)
            if descriptor >= 0 { return descriptor }
            switch errno {
            case ENOENT, ENOTDIR: return nil
            case EACCES, EPERM, EROFS, ETXTBSY: continue
            default: throw error
            }
        }
        throw error
    }

    private static var error: POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
}
