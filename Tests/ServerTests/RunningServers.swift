import Logging
import Synchronization
import Testing

/// Keeps a server on each engine while the tests of a suite run.
struct RunningServers: SuiteTrait, TestScoping {
    func provideScope(for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void) async throws
    {
        try await run(Engine.all[...], [:], function)
    }

    private func run(
        _ engines: ArraySlice<Engine>, _ running: [Engine: TestServer], _ function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        guard let engine = engines.first else { return try await TestServer.$running.withValue(running) { try await function() } }
        try await TestServer.run(engine) { server in
            try await run(engines.dropFirst(), running.merging([engine: server]) { $1 }, function)
        }
    }
}

/// Lets a bounded number at something at the same time.
actor Turns {
    private var free: Int
    private var waiters: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { free = count }

    func take() async {
        if free > 0 { free -= 1 } else { await withCheckedContinuation { waiters.append($0) } }
    }

    func giveBack() {
        if waiters.isEmpty { free += 1 } else { waiters.removeFirst().resume() }
    }
}

/// What is logged as a warning, or worse.
final class Faults: LogHandler {
    let lines = Mutex<[String]>([])

    var logLevel: Logger.Level {
        get { .warning }
        set {}
    }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) { lines.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") } }
}
