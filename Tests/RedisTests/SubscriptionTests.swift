import Testing

@testable import Redis

@Suite("Subscriptions", .enabled(if: Shared.isThere, "APUS_TEST_REDIS_URL names no Redis"), .timeLimit(.minutes(1)))
struct SubscriptionTests {
    private func publish(_ text: String, _ channel: String, _ redis: Redis) { redis.publish(Array(text.utf8), to: channel) }
    private func message(_ text: String) -> RedisNews { .message(Array(text.utf8)) }

    @Test("what is published after the beginning comes, in order, to all who read the channel") func order() async throws {
        try await connected(Shared.url()) { redis in
            let (channel, other) = (fresh("channel"), fresh("other"))
            var first = redis.subscribe(to: channel).makeAsyncIterator()
            #expect(await first.next() == .began)
            var second = redis.subscribe(to: channel).makeAsyncIterator()
            #expect(await second.next() == .began)
            for number in 0..<200 {
                publish("\(number)", other, redis)
                publish("\(number)", channel, redis)
            }
            for number in 0..<200 {
                #expect(await first.next() == message("\(number)"))
                #expect(await second.next() == message("\(number)"))
            }
            redis.publish([0, 255, 13, 10], to: channel)
            #expect(await first.next() == .message([0, 255, 13, 10]))
        }
    }

    @Test("a channel is left when nobody reads it any more") func left() async throws {
        try await connected(Shared.url()) { redis in
            let channel = fresh("channel")
            func subscribers() async throws -> RedisValue? {
                guard case .array(let counts) = try await redis.command("PUBSUB", "NUMSUB", .text(channel)) else { return nil }
                return counts.last
            }
            func read() async { for await _ in redis.subscribe(to: channel) { return } }
            await read()
            try await eventually { try await subscribers() == .integer(0) }
            let reader = Task { for await _ in redis.subscribe(to: channel) {} }
            try await eventually { try await subscribers() == .integer(1) }
            var other = redis.subscribe(to: channel).makeAsyncIterator()
            #expect(await other.next() == .began)
            reader.cancel()
            await reader.value
            publish("still there", channel, redis)
            #expect(await other.next() == message("still there"))
            #expect(try await subscribers() == .integer(1))
        }
    }

    @Test("a reader that is too slow is told that there is a gap, and gets the newest") func slow() async throws {
        try await connected(Shared.url()) { redis in
            let (channel, marks) = (fresh("channel"), fresh("marks"))
            var (news, mark) = (redis.subscribe(to: channel).makeAsyncIterator(), redis.subscribe(to: marks).makeAsyncIterator())
            #expect(await news.next() == .began)
            #expect(await mark.next() == .began)
            let published = Redis.newsLimit + 10
            for number in 0..<published { publish("\(number)", channel, redis) }
            publish("all are there", marks, redis)
            #expect(await mark.next() == message("all are there"))
            #expect(await news.next() == .began)
            var left: [RedisNews?] = []
            for _ in 10..<published { left.append(await news.next()) }
            #expect(left == (10..<published).map { message("\($0)") })
        }
    }

    @Test("subscriptions end with the program, and none begins afterwards") func ends() async throws {
        let redis = try Redis(Shared.url(), logger: CollectedLog().logger)
        let program = Task { try await redis.run() }
        var news = redis.subscribe(to: fresh("channel")).makeAsyncIterator()
        #expect(await news.next() == .began)
        program.cancel()
        try await program.value
        while let each = await news.next() { #expect(each == .interrupted) }
        for await _ in redis.subscribe(to: fresh("channel")) { Issue.record("there is no Redis any more") }
        await #expect(throws: RedisFault.self) { try await redis.command("PING") }
    }
}
