import Logging
import NIOCore
import Synchronization
import Testing

@testable import Redis

@Suite("When Redis fails", .enabled(if: Shared.isThere, "APUS_TEST_REDIS_URL names no Redis"), .timeLimit(.minutes(1))) struct OutageTests {
    private func kill(_ type: RedisArgument, _ server: OwnRedis) async throws {
        let connection = try await Dialer(RedisURL("unix://\(server.socket)"), timeLimit: patience).open()
        _ = try await connection.ask(["CLIENT", "KILL", "TYPE", type, "SKIPME", "yes"])
        connection.close("over")
    }

    @Test(
        "after the server ends the connections subscriptions begin again, and say so", arguments: ["normal", "pubsub"] as [RedisArgument])
    func connectionsKilled(type: RedisArgument) async throws {
        try await OwnRedis.with { server in
            try await connected(RedisURL("unix://\(server.socket)")) { redis in
                var news = redis.subscribe(to: "channel").makeAsyncIterator()
                var empty = redis.subscribe(to: "another").makeAsyncIterator()
                #expect(await news.next() == .began)
                #expect(await empty.next() == .began)
                for round in UInt8(0)..<3 {
                    try await kill(type, server)
                    #expect(await news.next() == .interrupted)
                    #expect(await news.next() == .began)
                    #expect(await empty.next() == .interrupted)
                    #expect(await empty.next() == .began)
                    redis.publish([round], to: "channel")
                    #expect(await news.next() == .message([round]))
                    #expect(try await redis.command("PING") == .status("PONG"))
                }
            }
        }
    }

    @Test("while Redis is away commands fail at once, and it is said once; when it is back all goes on") func away() async throws {
        try await OwnRedis.with { server in
            let log = CollectedLog()
            try await connected(RedisURL("unix://\(server.socket)"), log: log) { redis in
                var news = redis.subscribe(to: "channel").makeAsyncIterator()
                #expect(await news.next() == .began)
                let warnings = log.texts(.warning).count
                server.kill()
                #expect(await news.next() == .interrupted)
                for _ in 0..<100 {
                    let fault = await #expect(throws: RedisFault.self) { try await redis.command("PING") }
                    #expect(fault == .unavailable("not connected"))
                    redis.publish([1], to: "channel")
                }
                var late = redis.subscribe(to: "late").makeAsyncIterator()
                // Some attempts fail.
                try await Task.sleep(for: .milliseconds(500))
                #expect(log.texts(.warning).count == warnings + 1)
                try server.start()
                #expect(await news.next() == .began)
                #expect(await late.next() == .began)
                redis.publish([2], to: "channel")
                #expect(await news.next() == .message([2]))
                try await eventually { log.texts(.info).contains { $0.contains("is back") } }
                #expect(log.texts(.warning).count == warnings + 1)
            }
        }
    }

    @Test("those who say so wait for a Redis that comes back, no more of them than a bound") func patient() async throws {
        let (limit, many) = (1024, 1100)
        try await OwnRedis.with { server in
            try await connected(RedisURL("unix://\(server.socket)"), moveLimit: .seconds(600)) { redis in
                server.kill()
                try await eventually { redis.condition == .away }
                #expect(redis.isMoving)
                let told = Told()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<many {
                        group.addTask {
                            do {
                                let answer = try await redis.patiently(["SET", "key", .number(number)], isRepeatable: number % 2 == 0)
                                #expect(answer == .status("OK"))
                                told.answered.withLock { $0 += 1 }
                            } catch is RedisFault { told.refused.withLock { $0 += 1 } }
                        }
                    }
                    try await eventually { told.refused.withLock { $0 } == many - limit }
                    try server.start()
                    try await group.waitForAll()
                }
                #expect(told.answered.withLock { $0 } == limit)
                #expect(!redis.isMoving)
            }
        }
    }

    @Test("who waits is told when Redis has been away for too long, and whoever comes later at once") func tooLong() async throws {
        try await OwnRedis.with { server in
            try await connected(RedisURL("unix://\(server.socket)"), moveLimit: .seconds(2)) { redis in
                server.kill()
                // If each waited, the test would be over its time.
                for _ in 0..<100 {
                    await #expect(throws: RedisFault.self) { try await redis.patiently(["PING"], isRepeatable: true) }
                }
                #expect(!redis.isMoving)
            }
        }
    }

    @Test("a replica is waited for too, until it is a primary") func promotion() async throws {
        try await OwnRedis.with { server in
            try await connected(RedisURL("unix://\(server.socket)"), moveLimit: .seconds(600)) { redis in
                let operations = try await Dialer(RedisURL("unix://\(server.socket)"), timeLimit: patience).open()
                _ = try await operations.ask(["REPLICAOF", "127.0.0.1", "1"])
                async let answer = redis.patiently(["SET", "key", "value"], isRepeatable: false)
                try await eventually { redis.condition == .away }
                _ = try await operations.ask(["REPLICAOF", "NO", "ONE"])
                #expect(try await answer == .status("OK"))
                operations.close("over")
            }
        }
    }

    @Test("a wrong password is told without the password, and the right one lets in") func password() async throws {
        try await OwnRedis.with("--requirepass", "hunter2", "--user", "ada", "on", ">lovelace", "~*", "&*", "+@all") { server in
            try await connected(RedisURL("unix://:hunter2@\(server.socket)")) { redis async throws in
                #expect(try await redis.command("PING") == .status("PONG"))
            }
            try await connected(RedisURL("unix://ada:lovelace@\(server.socket)")) { redis async throws in
                #expect(try await redis.command("ACL", "WHOAMI").bytes == Array("ada".utf8))
            }
            for login in [":hunter3@", "ada:hunter3@", "hunter3:hunter3@", ""] {
                let log = CollectedLog()
                try await running(RedisURL("unix://\(login)\(server.socket)"), log: log) { redis in
                    try await eventually { !log.texts(.warning).isEmpty }
                    #expect(!redis.isConnected)
                }
                let text = log.texts(.warning).joined()
                #expect(text.contains(login.isEmpty ? "NOAUTH" : "WRONGPASS"), "\(text)")
                #expect(!text.contains("hunter"), "\(text)")
            }
        }
    }

    @Test(
        "what is no answer of Redis ends the connection",
        arguments: ["what?\r\n", "*1\r\n?\r\n", "$-7\r\n", ":1\r\n:2\r\n", "-ERR away\r\n-ERR\r\n"])
    func malformed(answer: String) async throws {
        try await answering(["+PONG\r\n", answer]) { url in
            let connection = try await Dialer(url, timeLimit: patience).open()
            await #expect(throws: RedisFault.self) {
                _ = try await connection.ask(["GET", "a"])
                _ = try await connection.ask(["GET", "b"])
            }
            _ = await connection.end()
            await #expect(throws: RedisFault.self) { try await connection.ask(["GET", "c"]) }
        }
    }

    @Test("what is not answered in time fails, and the connection with it") func silent() async throws {
        try await answering(["+PONG\r\n"]) { url in
            let connection = try await Dialer(url, timeLimit: .seconds(2)).open()
            let answers = (0..<3).map { _ in connection.send(["PING"]) }
            for answer in answers {
                await #expect(throws: RedisFault.unavailable("no answer in time")) { try await answer.get() }
            }
            #expect(await connection.end() == "no answer in time")
        }
    }

    @Test("a Redis that has become a replica is left, in its own words, and taken again when it is a primary") func replica() async throws {
        try await OwnRedis.with { server in
            let log = CollectedLog()
            try await connected(RedisURL("unix://\(server.socket)"), log: log) { redis in
                #expect(redis.condition == .writable)
                let operations = try await Dialer(RedisURL("unix://\(server.socket)"), timeLimit: patience).open()
                _ = try await operations.ask(["REPLICAOF", "127.0.0.1", "1"])
                let fault = await #expect(throws: RedisFault.self) { try await redis.command("SET", "key", "value") }
                #expect("\(try #require(fault))".contains("READONLY"))
                try await eventually { redis.condition == .away }
                try await eventually { log.texts(.warning).contains { $0.contains("READONLY") } }
                await #expect(throws: RedisFault.unavailable("not connected")) { try await redis.command("SET", "key", "value") }
                _ = try await operations.ask(["REPLICAOF", "NO", "ONE"])
                try await eventually { redis.condition == .writable }
                #expect(try await redis.command("SET", "key", "value") == .status("OK"))
                operations.close("over")
            }
        }
    }

    @Test(
        "a Redis that takes no writes for now is kept, says why once, and when it is over",
        arguments: [("maxmemory", "1", "0", "OOM"), ("min-replicas-to-write", "1", "0", "NOREPLICAS")])
    func refusing(setting: String, refusing: String, taking: String, word: String) async throws {
        try await OwnRedis.with { server in
            let log = CollectedLog()
            try await connected(RedisURL("unix://\(server.socket)"), log: log) { redis in
                var news = redis.subscribe(to: "channel").makeAsyncIterator()
                #expect(await news.next() == .began)
                _ = try await redis.command("CONFIG", "SET", .text(setting), .text(refusing))
                for _ in 0..<3 { await #expect(throws: RedisFault.self) { try await redis.command("SET", "key", "value") } }
                guard case .refusing(let reason) = redis.condition else {
                    Issue.record("it must be known")
                    return
                }
                #expect(reason.hasPrefix(word))
                #expect(log.texts(.warning).filter { $0.contains(word) }.count == 1)
                redis.publish([1], to: "channel")
                #expect(await news.next() == .message([1]))
                _ = try await redis.command("CONFIG", "SET", .text(setting), .text(taking))
                try await eventually { redis.condition == .writable }
                #expect(log.texts(.info).contains { $0.contains("again") })
            }
        }
    }

    @Test("what a refusal says of Redis is told from what it says of a command") func refusals() {
        let here = [
            "READONLY You can't write against a read only replica.", "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write against a read only replica.",
        ]
        for text in here { #expect(RefusedWrites(text) == .here, "\(text)") }
        let forNow = [
            "OOM command not allowed when used memory > 'maxmemory'.", "NOREPLICAS Not enough good replicas to write.",
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        ]
        for text in forNow { #expect(RefusedWrites(text) == .forNow, "\(text)") }
        for text in ["WRONGTYPE Operation against a key", "NOPERM this user has no permissions", "ERR unknown command 'OOMPH'"] {
            #expect(RefusedWrites(text) == nil, "\(text)")
        }
    }

    @Test("no more than a bound waits for answers") func bound() async throws {
        try await answering(["+PONG\r\n"]) { url in
            let connection = try await Dialer(url, timeLimit: .seconds(30)).open()
            let answers = (0..<5000).map { _ in connection.send(["PING"]) }
            await #expect(throws: RedisFault.unavailable("too many commands wait for their answers")) {
                try await answers[4999].get()
            }
            connection.close("over")
            for answer in answers { await #expect(throws: RedisFault.self) { try await answer.get() } }
        }
    }

    @Test("attempts come slower and slower, up to every 2 seconds, and each client at its own moments") func backOff() {
        var backOff = BackOff()
        let waits = (0..<12).map { _ in backOff.next(after: .milliseconds(1)) }
        #expect(waits[0] <= .milliseconds(50) && waits.allSatisfy { $0 <= .seconds(2) && $0 > .zero })
        #expect(waits[11] >= .seconds(1))
        #expect(Set(waits.suffix(6)).count == 6)
        #expect(backOff.next(after: .seconds(60)) <= .milliseconds(50))
    }

    private final class Told: Sendable {
        let answered = Mutex(0)
        let refused = Mutex(0)
    }
}
