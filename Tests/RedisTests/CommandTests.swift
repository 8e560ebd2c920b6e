import Foundation
import NIOCore
import Testing

@testable import Redis

@Suite("Commands", .enabled(if: Shared.isThere, "APUS_TEST_REDIS_URL names no Redis"), .timeLimit(.minutes(1))) struct CommandTests {
    @Test("commands that are sent at once are answered in their order") func pipelined() async throws {
        try await connected(Shared.url()) { redis in
            let key = fresh("count")
            // One task sends them all, so their order is known; each answer says when it was its command's turn.
            let connection = try await Dialer(Shared.url(), timeLimit: patience).open()
            let answers = (0..<1000).map { _ in connection.send(["INCR", .text(key)]) }
            for (index, answer) in answers.enumerated() {
                #expect(try await answer.get() == .integer(Int64(index + 1)))
            }
            connection.close("over")
            let echoed = try await withThrowingTaskGroup(of: (Int, RedisValue).self) { group in
                for number in 0..<500 { group.addTask { (number, try await redis.command("ECHO", .number(number))) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(echoed.allSatisfy { $1 == .bytes(Array("\($0)".utf8)) })
            #expect(try await redis.command("DEL", .text(key)) == .integer(1))
        }
    }

    @Test("any bytes go in and out as they are") func binary() async throws {
        try await connected(Shared.url()) { redis async throws in
            let key = fresh("bytes")
            let bytes = (0..<512).map { UInt8($0 & 255) } + Array("\r\n$5\r\n\0".utf8)
            #expect(try await redis.command("SET", .text(key), .bytes(bytes), "EX", 60) == .status("OK"))
            #expect(try await redis.command("GET", .text(key)).bytes == bytes)
            #expect(try await redis.command("SET", .text(key), "") == .status("OK"))
            #expect(try await redis.command("GETDEL", .text(key)).bytes == [])
            #expect(try await redis.command("GET", .text(key)) == .null)
        }
    }

    @Test("a value of 8 MB") func large() async throws {
        try await connected(Shared.url()) { redis async throws in
            let key = fresh("large")
            var value = [UInt8](repeating: 7, count: 8_000_000)
            value[7_999_999] = 8
            #expect(try await redis.command("SET", .text(key), .bytes(value)) == .status("OK"))
            #expect(try await redis.command("GETDEL", .text(key)).bytes == value)
        }
    }

    @Test("arrays, numbers and errors within") func shapes() async throws {
        try await connected(Shared.url()) { redis in
            let script = "return {1, {'a', false}, redis.error_reply('MINE no')}"
            #expect(
                try await redis.command("EVAL", .text(script), 0)
                    == .array([.integer(1), .array([.bytes(Array("a".utf8)), .null]), .error("MINE no")]))
            let message: [RedisArgument] = ["RPUSH", .text(fresh("list")), "message", "a", "b"]
            #expect(try await redis.command(message).integer == 3)
            // What looks like something published is an answer all the same.
            #expect(
                try await redis.command("LRANGE", message[1], 0, -1)
                    == .array(["message", "a", "b"].map { .bytes(Array($0.utf8)) }))
            _ = try await redis.command("DEL", message[1])
        }
    }

    @Test("what Redis refuses is an error of that command alone, and holds nothing that was sent") func refused() async throws {
        try await connected(Shared.url()) { redis in
            let key = fresh("text")
            _ = try await redis.command("SET", .text(key), "no number", "EX", 60)
            let fault = await #expect(throws: RedisFault.self) { try await redis.command("INCR", .text(key)) }
            #expect(fault == .refused("ERR value is not an integer or out of range"))
            let unknown = await #expect(throws: RedisFault.self) { try await redis.command("NOSUCH", "hunter2") }
            #expect("\(try #require(unknown))".contains("hunter2") == false)
            #expect(try await redis.command("PING") == .status("PONG"))
        }
    }

    @Test("the database of the address is selected") func database() async throws {
        let key = fresh("database")
        try await connected(Shared.url("/5")) { redis in
            _ = try await redis.command("SET", .text(key), "five", "EX", 60)
            try await connected(Shared.url()) { redis async throws in #expect(try await redis.command("GET", .text(key)) == .null) }
            _ = try await redis.command("DEL", .text(key))
        }
        await #expect(throws: RedisFault.refused("ERR DB index is out of range")) {
            _ = try await Dialer(Shared.url("/9999"), timeLimit: patience).open()
        }
    }
}

@Suite("In continuous integration") struct ContinuousIntegrationTests {
    @Test("there is a Redis to test with", .enabled(if: ProcessInfo.processInfo.environment["CI"] == "true"))
    func redis() { #expect(Shared.isThere, "APUS_TEST_REDIS_URL names no Redis") }
}
