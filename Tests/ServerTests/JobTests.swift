import Database
import Domain
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import Testing

@testable import API
@testable import ReadModel
@testable import Server

@Suite("Long work that was ordered on a page") struct JobTests {
    private static let operatorActor = Actor(user: nil)

    /// Waits until a job is as it should be.
    private static func wait(for id: String, _ jobs: Jobs, until isSo: (Job) -> Bool) async throws -> Job {
        let deadline = ContinuousClock.now + Client.patience
        while true {
            if let job = try await jobs.job(id, at: Node.clock()), isSo(job) { return job }
            try #require(ContinuousClock.now < deadline, "the job is not as it should be")
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Runs `body` beside a process that does `work`.
    private static func run(_ runner: JobRunner, _ body: () async throws -> Void) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await runner.run() }
            try await body()
            group.cancelAll()
        }
    }

    @Test("finds what is wrong with the tables, and mends it", arguments: Engine.all)
    func mending(engine: Engine) async throws {
        try await TestServer.run(engine) { server in
            let (name, other) = ("a" + newUID().lowercased(), "b" + newUID().lowercased())
            for name in [name, other] { try await server.make(name) }
            try await server.wiring.node.readModel.snapshot { try $0.requireAll() }
            try await server.wiring.node.database.write {
                try $0.run(script: "UPDATE myauth_user SET email = 'wrong@example.com' WHERE username = '\(name)'")
            }
            let admin = try await server.admin()
            let found = try await admin.finished(admin.submit("/admin/log/verify/", [:]))
            #expect(found.contains("<dd>found something wrong</dd>") && found.contains("myauth_user differs from the log"))
            #expect(!found.contains("All is well"))
            let mended = try await admin.finished(admin.submit("/admin/log/rebuild/", [:]))
            #expect(mended.contains("<dd>done</dd>") && mended.contains("1 rows were written or deleted."))
            let again = try await admin.finished(admin.submit("/admin/log/verify/", [:]))
            #expect(again.contains("<dd>done</dd>") && again.contains("All is well: 2 events"))
        }
    }

    @Test("makes a backup that takes the place of the one before, unless it lacks something")
    func backups() async throws {
        try await TestServer.run(.sqlite) { server in
            let client = try await server.somebody()
            let chunks: Value = [[.text(newUID()), .bytes([1, 2, 3])]]
            #expect(try await client.post("/api/v1/collection/", client.creation(newUID(), chunks: chunks)).status == 201)
            let (admin, backups) = (try await server.admin(), server.wiring.node.pageBackups)
            func made() async throws -> String? {
                // They are named by the second.
                try await Task.sleep(for: .milliseconds(1100))
                _ = try await admin.finished(admin.submit("/admin/backups/backup/", [:]))
                return try backups.newest()?.name
            }
            func isThere(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(backups.folder)/\(name)") }
            let first = try #require(try await made())
            let second = try #require(try await made())
            #expect(!isThere(first) && isThere(second))
            try await server.wiring.node.database.write { try $0.run(script: "DELETE FROM apus_chunk") }
            let third = try #require(try await made())
            #expect(third > second && isThere(second) && isThere(third))
        }
    }

    @Test("is done once at a time, tells how far it is, and stops when somebody wants it to", arguments: Engine.all)
    func stopping(engine: Engine) async throws {
        try await TestServer.run(engine) { server in
            let database = server.wiring.node.database
            let jobs = Jobs(database)
            let ended = Mutex(false)
            let runner = JobRunner(database, logger: server.logger) { _, _, _, course in
                course.advance(3, of: 7)
                defer { ended.withLock { $0 = true } }
                try await Task.sleep(for: .seconds(3600))
                return .init(.done, [])
            }
            try await Self.run(runner) {
                let id = try await runner.order(.verify, nil, Self.operatorActor)
                #expect(try await runner.order(.verify, nil, Self.operatorActor) == id)
                #expect(try await server.admin().get("/admin/job/\(id)/").html.contains("at work"))
                let working = try await Self.wait(for: id, jobs) { $0.progress.whole > 0 }
                #expect((working.state, working.progress) == (.working, .init(3, of: 7)))
                // As any other process does it.
                #expect(try await Jobs(database).stop(id, at: Node.clock()))
                let stopped = try await Self.wait(for: id, jobs) { $0.endedAt != nil }
                #expect((stopped.state, ended.withLock { $0 }) == (.stopped, true))
                #expect(try await runner.order(.verify, nil, Self.operatorActor) != id)
            }
        }
    }

    @Test("goes on to its end once it cannot be stopped any more", arguments: Engine.all)
    func final(engine: Engine) async throws {
        try await TestServer.run(engine) { server in
            let database = server.wiring.node.database
            let jobs = Jobs(database)
            let mayEnd = Mutex(false)
            let runner = JobRunner(database, logger: server.logger) { _, user, _, course in
                if user?.rawValue == 2 { while !Task.isCancelled { try await Task.sleep(for: .milliseconds(5)) } }
                try await course.makeFinal()
                while !mayEnd.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
                return .init(.done, ["all of it"])
            }
            try await Self.run(runner) {
                let id = try await runner.order(.erase, UserID(rawValue: 1), Self.operatorActor)
                _ = try await Self.wait(for: id, jobs, until: \.isFinal)
                #expect(try await !jobs.stop(id, at: Node.clock()))
                mayEnd.withLock { $0 = true }
                let done = try await Self.wait(for: id, jobs) { $0.endedAt != nil }
                #expect((done.state, done.found) == (.done, ["all of it"]))
                // Who is stopped before never gets there.
                let other = try await runner.order(.erase, UserID(rawValue: 2), Self.operatorActor)
                #expect(try await jobs.stop(other, at: Node.clock()))
                #expect(try await !jobs.makeFinal(other))
                #expect(try await Self.wait(for: other, jobs) { $0.endedAt != nil }.state == .stopped)
            }
        }
    }

    @Test("is lost with its process, and may be ordered anew, after which the former does not go on", arguments: Engine.all)
    func lost(engine: Engine) async throws {
        try await TestServer.run(engine) { server in
            let jobs = Jobs(server.wiring.node.database)
            let (then, soon, later) = (Timestamp(rawValue: 1), Timestamp(rawValue: 30_000_000), Timestamp(rawValue: 60_000_001))
            let (id, isNew) = try await jobs.begin(.rebuild, of: nil, by: "killed", at: then)
            #expect(isNew)
            #expect(try await jobs.begin(.rebuild, of: nil, by: "other", at: soon) == (id, false))
            #expect(try await jobs.job(id, at: soon)?.state == .working)
            #expect(try await jobs.job(id, at: later)?.state == .lost)
            #expect(try await !jobs.stop(id, at: later))
            #expect(try await jobs.begin(.rebuild, of: nil, by: "other", at: later).isNew)
            #expect(try await !jobs.goesOn(id, .init(), at: later))
            try await jobs.end(id, .done, ["late"], .init(), at: later)
            #expect(try await jobs.job(id, at: later)?.state == .lost)
            #expect(try await jobs.newest(of: [.rebuild], limit: 10, at: later).map(\.state) == [.working, .lost])
        }
    }

    @Test("is stopped when its process is told to end", arguments: Engine.all)
    func ending(engine: Engine) async throws {
        try await TestServer.run(engine) { server in
            let database = server.wiring.node.database
            let jobs = Jobs(database)
            let runner = JobRunner(database, logger: server.logger) { _, _, _, _ in
                try await Task.sleep(for: .seconds(3600))
                return .init(.done, [])
            }
            let group = ServiceGroup(configuration: .init(services: [runner], logger: server.logger))
            async let running: Void = group.run()
            let id = try await runner.order(.verify, nil, Self.operatorActor)
            await group.triggerGracefulShutdown()
            try await running
            #expect(try await jobs.job(id, at: Node.clock())?.state == .stopped)
        }
    }

    @Test("that fails tells why, and is no fault of the server", arguments: Engine.all)
    func failing(engine: Engine) async throws {
        try await TestServer.run(engine) { server in
            let database = server.wiring.node.database
            // Its warning is not that of the server.
            let runner = JobRunner(database, logger: Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }) { _, _, _, _ in
                throw OperatorFault("no room\nis left")
            }
            try await Self.run(runner) {
                let id = try await runner.order(.verify, nil, Self.operatorActor)
                let failed = try await Self.wait(for: id, Jobs(database)) { $0.endedAt != nil }
                #expect((failed.state, failed.found) == (.failed, ["no room is left"]))
            }
        }
    }
}
