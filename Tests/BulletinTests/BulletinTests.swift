import Domain
import Foundation
import Logging
import Redis
import Synchronization
import Testing

@testable import Bulletin

/// Where two processes post and read: one and the same in this process, or one for each over Redis.
enum Kind: String, CaseIterable, Sendable {
    case local
    /// On the server of `APUS_TEST_REDIS_URL`.
    case redis

    private static let environment = ProcessInfo.processInfo.environment
    static let redisURL = environment["APUS_TEST_REDIS_URL"]
    static let all = allCases.filter { $0 != .redis || redisURL != nil || environment["CI"] == "true" }

    /// Runs `body` with the bulletin that is posted on, and the one that is read.
    func run(_ body: (any Bulletin, any Bulletin) async throws -> Void) async throws {
        switch self {
        case .local:
            let bulletin = LocalBulletin()
            try await body(bulletin, bulletin)
        case .redis:
            let url = try RedisURL(#require(Self.redisURL, "APUS_TEST_REDIS_URL names no Redis"))
            let channel = "test:\(UUID().uuidString)"
            let clients = try [0, 1].map { _ in try Redis(url, logger: Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }) }
            let bulletins = clients.map { RedisBulletin($0, channel: channel) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in clients { group.addTask { try await client.run() } }
                for bulletin in bulletins { group.addTask { try await bulletin.run() } }
                defer { group.cancelAll() }
                for bulletin in bulletins { try await eventually { bulletin.isHeard } }
                try await body(bulletins[0], bulletins[1])
            }
        }
    }
}

/// What a subscriber was told.
private final class Told: Sendable {
    private let news = Mutex<[BulletinNews]>([])

    init(by bulletin: any Bulletin) { bulletin.subscribe { told in self.news.withLock { $0.append(told) } } }

    var notices: [Notice] { news.withLock { $0.compactMap { if case .posted(let notice) = $0 { notice } else { nil } } } }
}

/// Waits until the condition holds.
private func eventually(_ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(30)
    while try await !condition() {
        try #require(ContinuousClock.now < end, "what was waited for has not come")
        try await Task.sleep(for: .milliseconds(2))
    }
}

@Suite("The bulletin", .timeLimit(.minutes(1))) struct BulletinTests {
    private static let all: [Notice] = [
        .appended(upTo: Position(rawValue: 7)), .projected(upTo: Position(rawValue: .max), collections: []),
        .projected(upTo: Position(rawValue: 8), collections: ["notes", "\u{301} a\r\nb %41", "", "ä"].map { CollectionUID($0) }),
        .userChanged(UserID(rawValue: 3)), .sessionEnded("abc"), .sessionEnded("a b\nuser 4"),
    ]

    @Test("tells all subscribers what was posted, whole and in order", arguments: Kind.all)
    func order(kind: Kind) async throws {
        try await kind.run { poster, reader in
            let (first, second) = (Told(by: reader), Told(by: reader))
            poster.post(Self.all)
            for number in 1...100 { poster.post([.appended(upTo: Position(rawValue: Int64(number)))]) }
            let expected = Self.all + (1...100).map { .appended(upTo: Position(rawValue: Int64($0))) }
            try await eventually { first.notices.count >= expected.count && second.notices.count >= expected.count }
            #expect(first.notices == expected)
            #expect(second.notices == expected)
        }
    }

    @Test("tells those beside whoever posts before the post returns, and once", arguments: Kind.all)
    func beside(kind: Kind) async throws {
        try await kind.run { poster, reader in
            let (here, there) = (Told(by: poster), Told(by: reader))
            poster.post(Self.all)
            #expect(here.notices == Self.all)
            // What the other posts comes after what came back of ours.
            try await eventually { there.notices.count == Self.all.count }
            reader.post([.sessionEnded("end")])
            try await eventually { here.notices.last == .sessionEnded("end") }
            #expect(here.notices == Self.all + [.sessionEnded("end")])
        }
    }

    @Test("says nothing of what it does not understand")
    func strangers() {
        let known: [Notice] = [.appended(upTo: Position(rawValue: 1))]
        let lines = [
            "appended 1", "", "appended", "appended x", "appended 1 2", "projected", "projected x a", "user", "user 99999999999999999999",
            "session", "session a b", "renamed 5 c", "APPENDED 4",
        ]
        #expect(BulletinMessage(Array("from somebody\n\(lines.joined(separator: "\n"))".utf8)).notices == known)
        #expect(BulletinMessage([0xff, 0x00, 0x0a]).notices == [])
        #expect(BulletinMessage([]).notices == [])
        #expect(BulletinMessage(Array("appended 1".utf8)).notices == known)
    }

    @Test("of Redis says from when on others are heard", .enabled(if: Kind.redisURL != nil))
    func beginning() async throws {
        let client = try Redis(RedisURL(#require(Kind.redisURL)), logger: Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() })
        let bulletin = RedisBulletin(client, channel: "test:\(UUID().uuidString)")
        let news = Mutex<[BulletinNews]>([])
        bulletin.subscribe { told in news.withLock { $0.append(told) } }
        #expect(!bulletin.isHeard)
        bulletin.post([.sessionEnded("abc")])
        #expect(news.withLock { $0 } == [.posted(.sessionEnded("abc"))])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await client.run() }
            group.addTask { try await bulletin.run() }
            defer { group.cancelAll() }
            try await eventually { news.withLock { $0.last } == .began }
            #expect(bulletin.isHeard)
        }
    }
}
