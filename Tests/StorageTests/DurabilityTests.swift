import Database
import Domain
import Foundation
import ReadModel
import Synchronization
import TestSupport
import Testing

@Suite("What is written") struct DurabilityTests {
    @Test("to SQLite is synced by each commit, asked of the connections that are open", arguments: [1, 2])
    func synchronous(opening: Int) async throws {
        try await Engine.sqlite.place { place in
            for _ in 1..<opening { try SQLiteDatabase(path: place.folder + "/one").close() }
            let database = try SQLiteDatabase(path: place.folder + "/one")
            let writer = try await database.write { try $0.first(Statement("PRAGMA synchronous"), []) { $0.integer(0) } }
            #expect(try #require(writer) >= 2, "FULL")
            #expect(try await database.read { try $0.first(Statement("PRAGMA journal_mode"), []) { $0.text(0) } } == "wal")
            let cache = try await database.write { try $0.first(Statement("PRAGMA cache_size"), []) { $0.integer(0) } }
            #expect(cache == -8192, "KiB of pages that the writer keeps")
            try database.close()
            let foreign = try SQLiteDatabase(path: place.folder + "/one", as: .foreign)
            let itsWriter = try await foreign.write { try $0.first(Statement("PRAGMA synchronous"), []) { $0.integer(0) } }
            #expect(try #require(itsWriter) >= 2)
            try foreign.close()
        }
    }

    @Test(
        "is there, and can be opened, when a process was killed in the middle of a frame of the log of changes",
        arguments: [24, 1000, 4119])
    func cutFrame(bytes: Int) async throws {
        try await Engine.sqlite.place { place in
            let database = try SQLiteDatabase(path: place.folder + "/one")
            try await database.write { try $0.run(script: "CREATE TABLE made (id INTEGER)") }
            // As the disk has them at the moment of a kill.
            for end in ["", "-wal"] {
                try FileManager.default.copyItem(atPath: place.folder + "/one" + end, toPath: place.folder + "/killed" + end)
            }
            try database.close()
            let log = URL(filePath: place.folder + "/killed-wal")
            let (headerBytes, frameBytes) = (32, 24 + 4096)
            let content = try Data(contentsOf: log)
            try (content + content[headerBytes..<headerBytes + frameBytes].prefix(bytes)).write(to: log)
            let killed = try SQLiteDatabase(path: place.folder + "/killed")
            #expect(try await killed.read { try $0.first(Statement("SELECT COUNT(*) FROM made"), []) { $0.integer(0) } } == 0)
            try killed.close()
        }
    }

    @Test("goes into the file the next time where whoever moved it there waits no more: no fault")
    func cancelledCheckpoint() async throws {
        try await Engine.sqlite.place { place in
            let database = try SQLiteDatabase(path: place.folder + "/one")
            try await database.write { try $0.run(script: "CREATE TABLE made (id INTEGER)") }
            let moving = Task {
                while !Task.isCancelled { await Task.yield() }
                try await database.checkpoint()
            }
            moving.cancel()
            try await moving.value
            try await database.checkpoint()
            try database.close()
        }
    }

    @Test("is read on the spot where that is soon done and the thread has a place, and else on a reading thread")
    func inPlace() async throws {
        try await Engine.sqlite.place { place in
            let database = try SQLiteDatabase(path: place.folder + "/one")
            try await database.write { try $0.run(script: "CREATE TABLE made (id INTEGER)") }
            for (extent, isHere, looks) in [(ReadExtent.small, true, 1), (.small, false, 1), (.large, true, 0)] {
                let asked = Mutex(0)
                let here = ReadingPlace {
                    asked.withLock { $0 += 1 }
                    return isHere
                }
                let found = try await ReadingPlace.$current.withValue(here) {
                    try await database.read(extent) { try $0.first(Statement("SELECT COUNT(*) FROM made"), []) { $0.integer(0) } }
                }
                #expect(found == 0)
                #expect(asked.withLock { $0 } == looks)
            }
            try database.close()
        }
    }

    @Test("is waited for on a reading thread, and never where requests are worked on, when another has the file for itself")
    func busy() async throws {
        try await Engine.sqlite.place { place in
            let database = try SQLiteDatabase(path: place.folder + "/one")
            let path = place.folder + "/two"
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            let other = try SQLiteDatabase(path: path, as: .foreign)
            try await other.write { try $0.run(script: "PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE made (id INTEGER)") }
            let waits = Mutex<[Int64]>([])
            let found = try await ReadingPlace.$current.withValue(ReadingPlace { true }) {
                try await database.read(.small) { connection in
                    let wait = try connection.first(Statement("PRAGMA busy_timeout"), []) { $0.integer(0) }
                    let asked = waits.withLock { waits in
                        waits.append(wait ?? -1)
                        return waits.count
                    }
                    if asked == 2 { try other.close() }
                    try connection.run(script: "ATTACH '\(path)' AS two")
                    return try connection.first(Statement("SELECT COUNT(*) FROM two.made"), []) { $0.integer(0) }
                }
            }
            #expect(found == 0)
            #expect(waits.withLock { $0 } == [0, 10_000])
            try database.close()
        }
    }

    @Test("is for nobody else to read, whatever was there before", arguments: [0o644, 0o666, 0o777])
    func modes(mode: Int) async throws {
        try await Engine.sqlite.place { place in
            let path = place.folder + "/one"
            for made in [false, true] {
                if made {
                    for end in ["", "-wal", "-shm"] where FileManager.default.fileExists(atPath: path + end) {
                        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path + end)
                    }
                }
                let database = try SQLiteDatabase(path: path)
                try await database.write { try $0.run(script: "CREATE TABLE made\(made) (id INTEGER)") }
                for end in ["", "-wal", "-shm"] {
                    let found = try FileManager.default.attributesOfItem(atPath: path + end)[.posixPermissions] as? Int
                    #expect(found == 0o600, "\(end)")
                }
                if made { try database.close() }
            }
        }
    }

    @Test(
        "into a file that was removed, replaced or lost its log is refused, and said before it is tried",
        arguments: ["removed", "replaced", "log"])
    func removed(how: String) async throws {
        try await Engine.sqlite.place { place in
            let path = place.folder + "/one"
            let node = try await place.node()
            try await node.running { node in
                let ada = try await node.user("ada")
                try node.readModel.check()
                switch how {
                case "log": try FileManager.default.removeItem(atPath: path + "-wal")
                default: try FileManager.default.removeItem(atPath: path)
                }
                if how == "replaced" { try Data("another".utf8).write(to: URL(filePath: path)) }
                #expect(throws: DatabaseFault.self) { try node.readModel.check() }
                await #expect(throws: DatabaseFault.self) { try await node.create(notes, by: ada) }
                #expect(try await node.readModel.snapshot { try !$0.accounts(limit: 1).isEmpty }, "what was there can be read")
            }
        }
    }
}

@Suite("A session of PostgreSQL", .enabled(if: Engine.isPostgresExpected, Engine.withoutPostgres)) struct PostgresSettingsTests {
    /// Settings of a role, a database or a server that would change what statements mean.
    private static let strange = [
        "synchronous_commit=off", "synchronous_commit=local", "array_nulls=off", "standard_conforming_strings=off", "bytea_output=escape",
        "DateStyle=SQL,DMY", "default_transaction_isolation=serializable",
        "row_security=on", "client_encoding=LATIN1", "transform_null_equals=on", "enable_nestloop=off", "enable_indexscan=off",
        "idle_session_timeout=1s", "IntervalStyle=sql_standard", "TimeZone=Asia/Kolkata", "plan_cache_mode=force_generic_plan",
        "extra_float_digits=-3", "quote_all_identifiers=on", "default_transaction_deferrable=on", "statement_timeout=1s",
        "plpgsql.extra_errors=all",
    ]

    @Test("works the same whatever it is set to from outside, and its commits are on the disk", arguments: strange)
    func settings(setting: String) async throws {
        try await Engine.postgres.place { place in
            let database = try await #require(place.server).database("one", setting: setting)
            try await place.node(watch: { _ in database }).running { node in
                let ada = try await node.user("jürgen")
                try await node.create(notes, by: ada)
                try await node.commit(OfferedItem("a", "a-1", chunks: "abcdef"), by: ada)
                try await node.caughtUp()
                let item = try await node.readModel.snapshot { try $0.item("a", of: $0.access(to: notes, by: ada), .auto) }
                #expect(item?.revision.chunks.map(\.content) == [.bytes(content)])
                let commit = try await database.write { try $0.first(Statement("SHOW synchronous_commit"), []) { $0.text(0) } }
                #expect(commit == (setting == "synchronous_commit=local" ? "local" : "on"))
            }
        }
    }

    @Test(
        "has what its address says, and bounds where that says nothing",
        arguments: ["", "?", "?connect_timeout=7", "?application_name=mine&"])
    func address(end: String) async throws {
        let url = try #require(Engine.postgresURL)
        let name = try await PostgresDatabase(url: url + end, connections: 1).ask(Statement("SHOW application_name"), []) { $0.text(0) }
        #expect(name == [end.contains("mine") ? "mine" : "apus"])
    }

    @Test("that understands no address says so without quoting it")
    func misunderstood() async throws {
        let fault = await #expect(throws: DatabaseFault.self) {
            _ = try await PostgresDatabase(url: "postgres://me:secret@host/db?no=such", connections: 1).ask(Statement("SELECT 1"), []) {
                $0.integer(0)
            }
        }
        #expect(fault?.description.contains("not understood") == true)
        #expect(fault?.description.contains("secret") == false)
    }
}
