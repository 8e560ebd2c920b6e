import CSQLite
import Database
import Foundation
import Testing

@Suite("SQLite's log of changes") struct ChangesLogTests {
    private static let pageBytes = 4096

    /// A page that tells where and in which turn it was written.
    private static func page(_ number: Int, _ turn: String = "first") -> [UInt8] {
        var page = [UInt8](repeating: 0, count: pageBytes)
        for (index, byte) in "\(turn) \(number)".utf8.enumerated() { page[index] = byte }
        return page
    }

    /// Runs `body` with the path of a database's log of changes, which is there and empty.
    private func log(_ body: (String) throws -> Void) async throws {
        try await Engine.sqlite.place { place in
            try SQLiteDatabase(path: place.folder + "/one").close()
            let path = place.folder + "/one-wal"
            try Data().write(to: URL(filePath: path))
            try body(path)
        }
    }

    @Test("is read without a call for each page, whoever has written it")
    func calls() async throws {
        try await log { path in
            let (writing, reading) = (try OpenLog(path), try OpenLog(path))
            for number in 0..<100 { try writing.write(Self.page(number), at: number * Self.pageBytes) }
            try OtherProgram.write(Self.page(100), to: path, at: 100 * Self.pageBytes)
            let before = try readingCalls()
            for number in (0...100).reversed() {
                #expect(try reading.read(Self.pageBytes, at: number * Self.pageBytes) == Self.page(number))
            }
            let calls = try readingCalls() - before
            #expect(calls < 10, "one for the page that another program wrote, and those for counting")
            #expect(calls > 0, "they are counted")
        }
    }

    @Test("is read as it is after another program has written over what was read")
    func writtenOver() async throws {
        try await log { path in
            let (writing, reading) = (try OpenLog(path), try OpenLog(path))
            try writing.write(Self.page(0), at: 0)
            for turn in 0..<10 {
                #expect(try reading.read(Self.pageBytes, at: 0) == (turn == 0 ? Self.page(0) : Self.page(turn - 1, "other")))
                try OtherProgram.write(Self.page(turn, "other"), to: path, at: 0)
            }
        }
    }

    @Test("has nothing behind its end, also where it was cut off after it had been read", arguments: [true, false])
    func cutOff(byUs: Bool) async throws {
        try await log { path in
            let (writing, reading) = (try OpenLog(path), try OpenLog(path))
            for number in 0..<10 { try writing.write(Self.page(number), at: number * Self.pageBytes) }
            #expect(try reading.read(Self.pageBytes, at: 9 * Self.pageBytes) == Self.page(9))
            let left = 2 * Self.pageBytes + 100
            if byUs {
                try writing.truncate(to: left)
            } else {
                try OtherProgram.truncate(path, to: left)
                // As SQLite asks before it looks at what is left of a log.
                #expect(try reading.size() == left)
            }
            #expect(try reading.read(Self.pageBytes, at: Self.pageBytes) == Self.page(1))
            #expect(throws: OpenLog.Failure.short) { try reading.read(Self.pageBytes, at: 2 * Self.pageBytes) }
            #expect(throws: OpenLog.Failure.short) { try reading.read(Self.pageBytes, at: 9 * Self.pageBytes) }
            try writing.write(Self.page(9, "second"), at: 9 * Self.pageBytes)
            #expect(try reading.read(Self.pageBytes, at: 9 * Self.pageBytes) == Self.page(9, "second"))
            #expect(try reading.read(Self.pageBytes, at: 5 * Self.pageBytes).allSatisfy { $0 == 0 }, "what was cut off stays away")
        }
    }

    @Test("is read where it is longer than it is by plan")
    func long() async throws {
        try await log { path in
            let (writing, reading) = (try OpenLog(path), try OpenLog(path))
            for at in [(32 << 20) - 4096, (32 << 20) - 2048, 32 << 20, 100 << 20] {
                try writing.write(Self.page(at), at: at)
                #expect(try reading.read(Self.pageBytes, at: at) == Self.page(at))
            }
            #expect(try reading.size() == (100 << 20) + Self.pageBytes)
        }
    }

    @Test("is emptied when the file is made anew, also beside somebody who moves it into the file all the time")
    func emptied() async throws {
        try await Engine.sqlite.place { place in
            let path = place.folder + "/one"
            let (one, other) = (try SQLiteDatabase(path: path), try SQLiteDatabase(path: path))
            try await one.write { _ = try $0.execute(Statement("CREATE TABLE kept (content BLOB)"), []) }
            let moving = Task {
                while !Task.isCancelled {
                    try await other.write { _ = try $0.execute(Statement("INSERT INTO kept VALUES (zeroblob(200000))"), []) }
                    try await other.checkpoint()
                }
            }
            for _ in 1...5 { try await one.compact() }
            moving.cancel()
            _ = await moving.result
            try one.close()
            try other.close()
        }
    }

    @Test("is another one when it lies in the place of one that was removed")
    func replaced() async throws {
        try await log { path in
            let first = try OpenLog(path)
            try first.write(Self.page(0), at: 0)
            try FileManager.default.removeItem(atPath: path)
            let second = try OpenLog(path)
            try second.write(Self.page(0, "second"), at: 0)
            #expect(try OpenLog(path).read(Self.pageBytes, at: 0) == Self.page(0, "second"))
            #expect(try second.read(Self.pageBytes, at: 0) == Self.page(0, "second"))
            #expect(try first.read(Self.pageBytes, at: 0) == Self.page(0))
        }
    }

    @Test("gives what a long transaction has put there before it is committed, and after it was moved into the file")
    func longTransaction() async throws {
        try await Engine.sqlite.place { place in
            let database = try SQLiteDatabase(path: place.folder + "/one")
            let sum = Statement("SELECT COALESCE(SUM(id * LENGTH(content)), 0) FROM made")
            try await database.write { try $0.run(script: "CREATE TABLE made (id INTEGER PRIMARY KEY, content BLOB)") }
            // More than the writer keeps of pages.
            let rows = 6000
            let expected = Int64(rows * (rows + 1) / 2 * 3000)
            try await database.write { connection in
                try connection.run(
                    script: """
                        INSERT INTO made SELECT value, ZEROBLOB(3000) FROM
                        (WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT \(rows)) SELECT value FROM n)
                        """)
                #expect(try connection.first(sum, []) { $0.integer(0) } == expected)
            }
            for _ in 0..<2 {
                #expect(try await database.read { try $0.first(sum, []) { $0.integer(0) } } == expected)
                try await database.checkpoint()
            }
            let check = try await database.read { try $0.first(Statement("PRAGMA integrity_check"), []) { $0.text(0) } }
            #expect(check == "ok")
            try database.close()
        }
    }

    /// How often this thread has asked the system to read.
    private func readingCalls() throws -> Int {
        let lines = try String(contentsOfFile: "/proc/thread-self/io", encoding: .utf8).split(separator: "\n")
        return try #require(lines.first { $0.hasPrefix("syscr: ") }.flatMap { Int($0.dropFirst("syscr: ".count)) })
    }
}

/// What a program does that does not go through SQLite, or ours.
private enum OtherProgram {
    static func write(_ bytes: [UInt8], to path: String, at offset: Int) throws {
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: bytes)
        try file.close()
    }

    static func truncate(_ path: String, to size: Int) throws {
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        try file.truncate(atOffset: UInt64(size))
        try file.close()
    }
}

/// A log of changes as a connection of SQLite has it open; closed with the last reference.
///
/// Safe: SQLite's part of the file is as long as its VFS says, and is used by one thread.
@safe private final class OpenLog {
    struct Failure: Error, Equatable {
        let code: Int32
        /// There are fewer bytes.
        static let short = Self(code: SQLITE_IOERR | 2 << 8)
    }

    private let file: UnsafeMutablePointer<sqlite3_file>
    private let name: UnsafeMutablePointer<CChar>

    init(_ path: String) throws {
        guard let vfs = unsafe sqlite3_vfs_find("apus") else { throw Failure(code: SQLITE_MISUSE) }
        let memory = unsafe UnsafeMutableRawPointer.allocate(byteCount: Int(vfs.pointee.szOsFile), alignment: 16)
        unsafe file = memory.bindMemory(to: sqlite3_file.self, capacity: 1)
        unsafe name = strdup(path)
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_WAL
        try Self.check(unsafe vfs.pointee.xOpen(vfs, name, file, flags, nil))
    }

    deinit {
        if let methods = unsafe file.pointee.pMethods { _ = unsafe methods.pointee.xClose(file) }
        unsafe UnsafeMutableRawPointer(file).deallocate()
        unsafe free(name)
    }

    private static func check(_ code: Int32) throws {
        guard code == SQLITE_OK else { throw Failure(code: code) }
    }

    func write(_ bytes: [UInt8], at offset: Int) throws {
        try Self.check(unsafe file.pointee.pMethods.pointee.xWrite(file, bytes, Int32(bytes.count), Int64(offset)))
    }

    func read(_ count: Int, at offset: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 1, count: count)
        try Self.check(unsafe file.pointee.pMethods.pointee.xRead(file, &bytes, Int32(count), Int64(offset)))
        return bytes
    }

    func truncate(to size: Int) throws { try Self.check(unsafe file.pointee.pMethods.pointee.xTruncate(file, Int64(size))) }

    func size() throws -> Int {
        var size: Int64 = 0
        try Self.check(unsafe file.pointee.pMethods.pointee.xFileSize(file, &size))
        return Int(size)
    }
}
