import Foundation
import Logging
import Redis
import Sodium
import Synchronization
import Testing

@testable import API
@testable import Server

@Suite("Windows") struct WindowTests {
    private let limit = RateLimit(3, in: .seconds(30))
    private func key(_ number: Int) -> [UInt8] { Sodium.blake2b(Array("\(number)".utf8), length: Window.keyBytes) }
    private func weight(_ action: Weight.Action, _ number: Int = 0, isForStrangers: Bool = false) -> Weight {
        Weight(action, Window(key: key(number), limit), isForStrangers: isForStrangers)
    }

    @Test("have room again, one by one, as time goes")
    func time() {
        let windows = LocalWindows()
        var now: Int64 = 1_000_000_000
        func take() -> Duration { windows.weigh([weight(.take)], mark: nil, at: now) }
        for _ in 0..<3 { #expect(take() == .zero) }
        #expect(take() == .seconds(10))
        now += 9_999_999
        #expect(take() == .microseconds(1))
        now += 1
        #expect(take() == .zero)
        #expect(take() == .seconds(10))
        now += 60_000_000
        for _ in 0..<3 { #expect(take() == .zero) }
        #expect(take() == .seconds(10))
        // A clock that is set back shuts nobody out for longer than a window.
        now -= 86_400_000_000
        #expect(take() == .seconds(10))
    }

    @Test("of a process stay as large as they are, and what counts most stays in them")
    func size() {
        let windows = LocalWindows()
        for _ in 0..<3 { _ = windows.weigh([weight(.add)], mark: nil, at: 1000) }
        for number in 1...200_000 { _ = windows.weigh([weight(.take, number)], mark: nil, at: 1000) }
        #expect(windows.weigh([weight(.look)], mark: nil, at: 1000) == .seconds(10))
    }

    @Test(
        "are of networks",
        arguments: [
            ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8:0:0/64"),
            ("2001:db8:0:0:1::", "2001:db8:0:0/64"), ("::1", "0:0:0:0/64"), ("::", "0:0:0:0/64"), ("1:2:3:4:5:6:7:8", "1:2:3:4/64"),
            ("fe80::1%eth0", "fe80:0:0:0/64"), ("1::5:6:7:8", "1:0:0:0/64"),
        ])
    func networks(address: String, network: String) { #expect(Limits.network(of: address) == network) }

    /// What both kinds do the same. Time goes on meanwhile, and is nothing in such windows.
    private func hold(_ weigh: ([Weight], [UInt8]?) async -> Duration?, remember: ([UInt8]) async -> Void) async {
        let limit = RateLimit(3, in: .seconds(30_000))
        let all = (0..<3).map { Weight(.take, Window(key: Sodium.randomBytes(16), limit), isForStrangers: $0 == 1) }
        func same(_ action: Weight.Action, _ number: Int) -> Weight {
            Weight(action, all[number].window, isForStrangers: all[number].isForStrangers)
        }
        for _ in 0..<3 { #expect(await weigh([all[0]], nil) == .zero) }
        // Where one has no room the other has nothing counted.
        for _ in 0..<5 { #expect(await weigh([all[1], all[0]], nil) ?? .zero > .seconds(9_000)) }
        for _ in 0..<3 { #expect(await weigh([all[1]], nil) == .zero) }
        #expect(await weigh([same(.look, 1)], nil) ?? .zero > .seconds(9_000))
        // Whoever is known is no stranger.
        let mark = Sodium.randomBytes(16)
        #expect(await weigh([same(.look, 1)], mark) ?? .zero > .seconds(9_000))
        await remember(mark)
        #expect(await weigh([same(.look, 1)], mark) == .zero)
        #expect(await weigh([same(.look, 0)], mark) ?? .zero > .seconds(9_000))
        // However much is counted too much, the next is let in after an interval.
        for _ in 0..<50 { #expect(await weigh([same(.add, 2)], nil) == .zero) }
        #expect(await weigh([all[2]], nil) ?? .zero <= .seconds(10_000))
    }

    @Test("of a process hold")
    func local() async {
        let windows = LocalWindows()
        let now: Int64 = 1_000_000_000
        await hold {
            windows.weigh($0, mark: $1, at: now)
        } remember: {
            windows.remember($0, for: .seconds(6_000), at: now)
        }
    }

    private static let redisURL = ProcessInfo.processInfo.environment["APUS_TEST_REDIS_URL"]

    @Test("that are shared hold, for all who share them", .enabled(if: redisURL != nil))
    func shared() async throws {
        let redis = try Redis(RedisURL(#require(Self.redisURL)), logger: Logger(label: "tests"))
        await withTaskGroup { group in
            group.addTask { do { try await redis.run() } catch { Issue.record(error) } }
            while !redis.isConnected { await Task.yield() }
            let prefix = "test:\(UUID().uuidString):"
            // On a busy machine an answer may take its time.
            let ends = (0..<2).map { _ in RedisWindows(redis, prefix: prefix, patience: .seconds(20)) }
            let turn = Mutex(0)
            @Sendable func next() -> RedisWindows {
                ends[
                    turn.withLock { turn in
                        turn += 1
                        return turn % 2
                    }]
            }
            await hold {
                await next().weigh($0, mark: $1)
            } remember: {
                await next().remember($0, for: .seconds(6_000))
            }
            group.cancelAll()
        }
    }

    @Test("of a Redis that is away are nobody's matter")
    func away() async throws {
        let redis = try Redis(RedisURL("redis://127.0.0.1:1"), logger: Logger(label: "tests"))
        let windows = RedisWindows(redis, prefix: "test:")
        #expect(await windows.weigh([weight(.take)], mark: nil) == nil)
    }
}
