internal import API
internal import Database
internal import Domain
internal import Foundation
internal import NIOPosix
internal import ReadModel
internal import Sodium
internal import Synchronization

/// What is stored of a person, made into one file for whoever asks for it on a page. The file has no name any more when it is handed out,
/// so that nothing of it stays, whatever becomes of the request or the process.
struct PageExports: Sendable {
    /// How many are made at a time: each holds a snapshot, and writes as much as the person has stored, twice.
    private static let limit = 2

    private let readModel: ReadModel
    private let count = Count()

    private final class Count: Sendable {
        private let made = Mutex(0)

        /// - Returns: false where there are enough.
        func begin() -> Bool {
            made.withLock { made in
                guard made < limit else { return false }
                made += 1
                return true
            }
        }

        func end() { made.withLock { $0 -= 1 } }
    }

    init(_ readModel: ReadModel) { self.readModel = readModel }

    /// - Returns: nil where there is no such account.
    /// - Throws: ``TooManyExports`` where enough are made just now; `BackupFault`, `DatabaseFault`, or `POSIXError`.
    func make(_ name: CanonicalName) async throws -> OpenedFile? {
        guard count.begin() else { throw TooManyExports() }
        defer { count.end() }
        // Where SQLite puts what it keeps for a while, too.
        let place = (ProcessInfo.processInfo.environment["TMPDIR"] ?? "/var/tmp") + "/apus-export-" + Sodium.randomAlphanumerics(12)
        TemporaryFiles.note(place)
        defer { TemporaryFiles.forget(place) }
        let time = Node.clock()
        do {
            let report = try await PersonExport(readModel).write(name, to: place + "/apus-export", at: time)
            var file: OpenedFile?
            if report != nil {
                file = try await NIOThreadPool.singleton.runIfActive {
                    try Archive.write(place + "/apus-export", named: "apus-export", to: place + "/archive", at: time)
                    return try OpenedFile(place + "/archive", as: "apus-export.tar")
                }
            }
            try Self.remove(place)
            return file
        } catch {
            try Self.remove(place)
            throw error
        }
    }

    private static func remove(_ place: String) throws {
        guard FileManager.default.fileExists(atPath: place) else { return }
        try FileManager.default.removeItem(atPath: place)
    }
}

/// Makes a folder one file, in the form of tar that POSIX.1-2001 describes: names that are too long for a head stand before it.
enum Archive {
    private static let blockBytes = 512
    private static let pieceBytes = 1 << 20
    private static let longestName = 100

    /// - Parameters:
    ///   - name: of the folder in the archive; ASCII, as all names in the folder are.
    ///   - path: of a file that is not there yet, which only its owner can read.
    /// - Throws: `KeptFiles.Fault`, or what Foundation throws.
    static func write(_ folder: String, named name: String, to path: String, at time: Timestamp) throws {
        guard try KeptFiles.create(path, syncs: false) else { throw POSIXError(.EEXIST) }
        let archive = try FileHandle(forWritingTo: URL(filePath: path))
        let found = FileManager.default.enumerator(atPath: folder)
        var files: [String] = []
        while let file = found?.nextObject() as? String {
            if found?.fileAttributes?[.type] as? FileAttributeType == .typeRegular { files.append(file) }
        }
        for file in files.sorted() {
            let source = try FileHandle(forReadingFrom: URL(filePath: folder + "/" + file))
            let bytes = try source.seekToEnd()
            try source.seek(toOffset: 0)
            try archive.write(contentsOf: Data(head(name + "/" + file, Int(bytes), time)))
            while let piece = try source.read(upToCount: pieceBytes), !piece.isEmpty { try archive.write(contentsOf: piece) }
            try source.close()
            try archive.write(contentsOf: Data(padding(Int(bytes))))
        }
        try archive.write(contentsOf: Data(count: 2 * blockBytes))
        try archive.close()
    }

    /// What stands before a file.
    static func head(_ name: String, _ bytes: Int, _ time: Timestamp) -> [UInt8] {
        guard name.utf8.count > longestName else { return block(name, bytes, "0", time) }
        // A record begins with how long it is, its own digits among it.
        let rest = " path=\(name)\n"
        var length = rest.utf8.count + 1
        while rest.utf8.count + "\(length)".utf8.count != length { length += 1 }
        let record = Array("\(length)\(rest)".utf8)
        return block("extended", record.count, "x", time) + record + padding(record.count)
            + block(String(name.prefix(longestName)), bytes, "0", time)
    }

    private static func block(_ name: String, _ bytes: Int, _ kind: Character, _ time: Timestamp) -> [UInt8] {
        func field(_ text: String, _ length: Int) -> [UInt8] {
            Array((Array(text.utf8) + Array(repeating: 0, count: length)).prefix(length))
        }
        func octal(_ number: Int, _ length: Int) -> [UInt8] {
            let digits = String(number, radix: 8)
            return Array((String(repeating: "0", count: max(0, length - 1 - digits.utf8.count)) + digits).utf8) + [0]
        }
        let before = field(name, 100) + octal(0o600, 8) + octal(0, 8) + octal(0, 8) + octal(bytes, 12)
        let after = Array("\(kind)".utf8) + field("", 100) + Array("ustar\u{0}00".utf8) + field("", 247)
        let dated = before + octal(Int(time.rawValue / 1_000_000), 12)
        // The sum is over the head with spaces in its own place.
        let sum = (dated + Array(repeating: 0x20, count: 8) + after).reduce(0) { $0 + Int($1) }
        return dated + Array(octal(sum, 7)) + [0x20] + after
    }

    private static func padding(_ bytes: Int) -> [UInt8] { Array(repeating: 0, count: (blockBytes - bytes % blockBytes) % blockBytes) }
}
