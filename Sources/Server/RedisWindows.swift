package import API
package import Redis
internal import Sodium
internal import Synchronization

/// Windows in Redis, against which all front ends on one log weigh. Who looks into Redis finds keyed hashes and times.
///
/// Nobody waits long for it: where it has not answered in time, it is not asked for a while.
package struct RedisWindows: SharedWindows {
    /// How long an answer may take: far longer than it does, and nothing beside what a login costs its client.
    package static let patience = Duration.milliseconds(100)
    /// How long a slow Redis is not asked.
    static let rest = Duration.seconds(5)

    private let redis: Redis
    private let prefix: String
    private let patience: Duration
    private let resting = Resting()

    /// - Parameters:
    ///   - prefix: what keys begin with; the same in all processes on one log.
    ///   - patience: how long an answer may take.
    package init(_ redis: Redis, prefix: String, patience: Duration = patience) {
        self.patience = patience
        self.redis = redis
        self.prefix = prefix
    }

    package func weigh(_ weights: [Weight], mark: [UInt8]?) async -> Duration? {
        var words: [RedisArgument] = ["EVAL", .text(Self.script), .number(weights.count + (mark == nil ? 0 : 1))]
        words += (weights.map(\.window.key) + [mark].compactMap { $0 }).map { .text(key($0)) }
        words.append(.number(weights.count))
        for weight in weights {
            let limit = weight.window.limit
            words += [
                .number(weight.action.rawValue), .number(Int(limit.intervalMicroseconds)), .number(Int(limit.windowMicroseconds)),
                .number(weight.isForStrangers ? 1 : 0),
            ]
        }
        guard let wait = await ask(words)?.integer else { return nil }
        return .microseconds(wait)
    }

    package func remember(_ mark: [UInt8], for time: Duration) async {
        _ = await ask(["SET", .text(key(mark)), "", "EX", .number(Int(time.components.seconds))])
    }

    private func key(_ hash: [UInt8]) -> String { prefix + hash.hexadecimal }

    /// Runs a command; nil where it has not answered in time, or has refused.
    private func ask(_ words: [RedisArgument]) async -> RedisValue? {
        guard redis.isConnected, !resting.isOn else { return nil }
        let (answers, continuation) = AsyncStream.makeStream(of: RedisValue?.self, bufferingPolicy: .bufferingOldest(1))
        // What comes late is let go of; the client of Redis bounds how late.
        Task { [redis] in
            do { continuation.yield(try await redis.command(words)) } catch { continuation.yield(nil) }
            continuation.finish()
        }
        let timer = Task { [resting, patience] in
            try await Task.sleep(for: patience)
            resting.begin(Self.rest)
            continuation.yield(nil)
            continuation.finish()
        }
        defer { timer.cancel() }
        return await answers.first { _ in true } ?? nil
    }

    /// As `LocalWindows` does it, with Redis' clock, which is the same for all. `look`, `take` and `add` are 0 to 2.
    private static let script = """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local count = tonumber(ARGV[1])
        local known = #KEYS > count and redis.call('EXISTS', KEYS[count + 1]) == 1
        local longest, empty = 0, {}
        for i = 1, count do
            local action, interval, window = tonumber(ARGV[i * 4 - 2]), tonumber(ARGV[i * 4 - 1]), tonumber(ARGV[i * 4])
            if not (known and ARGV[i * 4 + 1] == '1') then
                empty[i] = math.min(math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now), now + window)
                if action < 2 then longest = math.max(longest, empty[i] + interval - now - window) end
            end
        end
        if longest > 0 then return longest end
        for i = 1, count do
            local action, interval, window = tonumber(ARGV[i * 4 - 2]), tonumber(ARGV[i * 4 - 1]), tonumber(ARGV[i * 4])
            if empty[i] and action > 0 then
                local next = math.min(empty[i] + interval, now + window)
                redis.call('SET', KEYS[i], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000))
            end
        end
        return 0
        """

    /// Until when Redis is not asked.
    private final class Resting: Sendable {
        private let end = Mutex(ContinuousClock.now)

        var isOn: Bool { end.withLock { $0 > .now } }
        func begin(_ time: Duration) { end.withLock { $0 = .now + time } }
    }
}
