internal import Foundation
internal import Synchronization

/// What is on the disk only while something else is made of it: removed when it is done with, and also when the process is told
/// to end in the middle (``removeAll()``).
public enum TemporaryFiles {
    private static let noted = Mutex<[String]>([])

    /// Notes a file or folder that is about to be made.
    public static func note(_ path: String) { noted.withLock { $0.append(path) } }

    /// The file or folder is gone, or is to stay.
    public static func forget(_ path: String) {
        noted.withLock { noted in
            if let index = noted.lastIndex(where: { $0.utf8.elementsEqual(path.utf8) }) { noted.remove(at: index) }
        }
    }

    /// Removes everything that is noted, what was noted last first. Whoever writes it goes on, so the process is to end at once.
    ///
    /// What cannot be removed stays: nobody is left to be told.
    public static func removeAll() {
        let paths = noted.withLock { noted in
            defer { noted = [] }
            return noted
        }
        for path in paths.reversed() where FileManager.default.fileExists(atPath: path) {
            do { try FileManager.default.removeItem(atPath: path) } catch {}
        }
    }
}
