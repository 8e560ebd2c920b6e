internal import Database
internal import Logging
internal import Replay
internal import ServiceLifecycle
internal import Synchronization

/// What keeps the server from its work for as long as nobody sees to it, in words for everybody: `/ready` tells them.
final class Trouble: Sendable {
    private let found = Mutex<String?>(nil)

    /// Nil while there is none.
    var words: String? {
        get { found.withLock { $0 } }
        set { found.withLock { $0 = newValue } }
    }
}

/// Looks whether another program writes into the database besides us, as an EteSync server does that was not stopped. Nothing can
/// be written then under the ids that it has taken.
struct Watching: Service {
    private static let interval = Duration.seconds(2)
    /// How often it is told again.
    private static let reminder = 150

    let database: any Database
    let trouble: Trouble
    let logger: Logger

    /// Looks before anybody is served.
    ///
    /// - Throws: ``OperatorFault`` where somebody has written already.
    func requireNone() async throws {
        if let words = try await database.read(ForeignRows.find) { throw OperatorFault(Self.sentence(words)) }
    }

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                var rounds = 0
                while true {
                    try await Task.sleep(for: Self.interval)
                    rounds = await look(rounds)
                }
            }
        } catch is CancellationError {}
    }

    /// - Parameter rounds: for how many rounds there has been something.
    private func look(_ rounds: Int) async -> Int {
        let words: String?
        // Who needs the database says that it is away.
        do { words = try await database.read(ForeignRows.find) } catch { return rounds }
        trouble.words = words.map { _ in "another program has written into this database besides apus: \(ForeignRows.remedy)" }
        guard let words else { return 0 }
        if rounds % Self.reminder == 0 { logger.error("\(Self.sentence(words))") }
        return rounds + 1
    }

    private static func sentence(_ words: String) -> String {
        "another program has written into this database besides apus (\(words)): \(ForeignRows.remedy)"
    }
}
