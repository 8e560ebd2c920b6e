internal import Synchronization

/// What a subscription tells.
package enum RedisNews: Hashable, Sendable {
    /// From here on messages come; any number before this may be lost. The first thing that is told, and told again after
    /// each interruption and wherever the reader was so slow that messages were dropped: time to look at the truth.
    case began
    case message([UInt8])
    /// Nothing comes until it has begun again.
    case interrupted
}

/// What is published on a channel, from ``Redis/subscribe(to:)``. For one reader; it ends with the reader's task, with the
/// loop that reads it, and when the program shuts down.
package struct RedisSubscription: AsyncSequence, Sendable {
    let inbox: Inbox
    let news: AsyncStream<RedisNews>

    package struct AsyncIterator: AsyncIteratorProtocol {
        let inbox: Inbox
        var news: AsyncStream<RedisNews>.Iterator

        package mutating func next() async -> RedisNews? { await next(isolation: #isolation) }

        package mutating func next(isolation actor: isolated (any Actor)?) async -> RedisNews? {
            if inbox.takeGap() { return .began }
            return await news.next(isolation: actor)
        }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(inbox: inbox, news: news.makeAsyncIterator()) }
}

/// Where a subscription's news come in. What a slow reader leaves is dropped from its old end, and the reader told so.
final class Inbox: Sendable {
    private let continuation: AsyncStream<RedisNews>.Continuation
    private let hasGap = Mutex(false)

    init(_ continuation: AsyncStream<RedisNews>.Continuation) { self.continuation = continuation }

    func tell(_ news: RedisNews) {
        // Both at once: a reader that has taken the last of what was left must find the gap before it waits for more.
        hasGap.withLock { hasGap in
            if case .dropped = continuation.yield(news) { hasGap = true }
        }
    }

    func takeGap() -> Bool {
        hasGap.withLock { hasGap in
            defer { hasGap = false }
            return hasGap
        }
    }

    func finish() { continuation.finish() }
}
