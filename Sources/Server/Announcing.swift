internal import Bulletin
package import Domain
internal import Redis

/// What a command tells the processes that serve, once it has done something that concerns open sockets.
extension Node {
    /// How long a command looks for Redis. Whoever is not told finds out within half a minute.
    private static let patience = Duration.seconds(3)
    private static let interval = Duration.milliseconds(10)

    /// Tells that sessions have ended, by their short ids.
    ///
    /// - Returns: whether others were told: false where there is no Redis, or it is away.
    @discardableResult
    package func announce(endedSessions sessions: [String]) async -> Bool { await announce(sessions.map { .sessionEnded($0) }) }

    /// Tells that something about a user's account has changed.
    @discardableResult
    package func announce(changed user: UserID) async -> Bool { await announce([.userChanged(user)]) }

    private func announce(_ notices: [Notice]) async -> Bool {
        guard let redis, !notices.isEmpty else { return false }
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { do { try await redis.run() } catch {} }
            defer { group.cancelAll() }
            let end = ContinuousClock.now + Self.patience
            while !redis.isConnected {
                guard ContinuousClock.now < end else { return false }
                do { try await Task.sleep(for: Self.interval) } catch { return false }
            }
            bulletin.post(notices)
            // What was sent before on the connection is there when this is answered.
            do { _ = try await redis.command("PING") } catch { return false }
            return true
        }
    }
}
