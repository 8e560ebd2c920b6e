internal import Foundation
internal import Synchronization

/// What is on the disk only while something else is made of it: removed when it is done with, and also when the process is told
/// to end in the middle (``removeAll(_:)``).
package enum TemporaryFiles {
    private static let noted = Mutex<[String]>([])
    /// How often is looked whether something has come again that was removed.
    private static let looks = 10

    /// Notes a file or folder that is about to be made.
    package static func note(_ path: String) { noted.withLock { $0.append(path) } }

    /// The file or folder is gone, or is to stay.
    package static func forget(_ path: String) {
        noted.withLock { noted in
            if let index = noted.lastIndex(where: { $0.utf8.elementsEqual(path.utf8) }) { noted.remove(at: index) }
        }
    }

    /// Notes a file and what lies beside it, and makes it, so that it is not made once the noted ones are being removed.
    package static func note<T>(_ paths: [String], making body: () throws -> T) rethrows -> T {
        try noted.withLock { noted in
            noted += paths
            return try body()
        }
    }

    /// Removes everything that is noted, what was noted last first, and ends the process. Meanwhile nothing new is noted, nor made.
    ///
    /// What cannot be removed stays: nobody is left to be told.
    ///
    /// - Parameter end: ends the process.
    package static func removeAll(_ end: () -> Never) -> Never {
        noted.withLock { noted in
            // SQLite makes a journal beside a copy that it is still writing, perhaps just behind the look at it.
            for _ in 0..<looks {
                let found = noted.reversed().filter { FileManager.default.fileExists(atPath: $0) }
                if found.isEmpty { break }
                for path in found { do { try FileManager.default.removeItem(atPath: path) } catch {} }
            }
            end()
        }
    }
}
