import Foundation
import Synchronization
import Testing

@Suite("Simulated installations") struct SimulationTests {
    /// How many seeds are tried here at least; `ops/test` asks for more, in a time that it gives.
    private static let seeds = environment("APUS_SIMULATION_SEEDS") ?? 100
    private static let first = environment("APUS_SIMULATION_FIRST_SEED") ?? 0
    private static let limit = environment("APUS_SIMULATION_SECONDS").map { Duration.seconds($0) }
    /// Within so many seeds what is built wrongly is found.
    private static let seedsForFault: UInt64 = 1000

    private static func environment(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

    /// Which seed is next, and what was found, of all threads.
    private final class Tally: Sendable {
        let next: Atomic<UInt64>
        let found = Mutex<[String]>([])

        init(first: UInt64) { next = Atomic(first) }
    }

    /// What is found, with the seed. It is found again where both times `SWIFT_DETERMINISTIC_HASHING=1` was set, as `ops/test` does.
    @Test("whatever happens, no promise is broken")
    func sound() async {
        let end = Self.limit.map { ContinuousClock.now + $0 }
        let last = UInt64(Self.first + Self.seeds)
        let tally = Tally(first: UInt64(Self.first))
        // Each thread has runs of its own.
        await withTaskGroup { group in
            for _ in 0..<2 {
                group.addTask {
                    while end.map({ ContinuousClock.now < $0 }) ?? true {
                        let seed = tally.next.wrappingAdd(1, ordering: .relaxed).oldValue
                        guard seed < last else { return }
                        let outcome = World.run(seed: seed)
                        // Others have turns on the thread too.
                        await Task.yield()
                        if !outcome.found.isEmpty { tally.found.withLock { $0.append("seed \(seed): \(outcome.found)") } }
                    }
                }
            }
        }
        let tried = min(tally.next.load(ordering: .relaxed), last) - UInt64(Self.first)
        print("\(tried) simulated installations")
        #expect(tried > 0)
        #expect(tally.found.withLock { $0 } == [])
    }

    /// Otherwise the order of a dictionary is another one each time.
    private static let isRepeatable = ProcessInfo.processInfo.environment["SWIFT_DETERMINISTIC_HASHING"] != nil

    @Test("a seed gives the same run again, to the last step", .enabled(if: isRepeatable, "SWIFT_DETERMINISTIC_HASHING is not set"))
    func replayed() {
        for seed in 0..<6 as Range<UInt64> { #expect(World.run(seed: seed) == World.run(seed: seed)) }
        #expect(World.run(seed: 1).trace != World.run(seed: 2).trace)
    }

    /// As what each fault shows itself to clients, or in what they leave.
    private static let kinds: [Fault: Set<String>] = [
        .sequence: ["claim", "log", "skipped", "lost", "rows", "stuck"], .noFence: ["rows"], .trustsHints: ["skipped"],
        .readerDoesNotWait: ["skipped"], .claimsOutside: ["claim"], .ticketTwice: ["ticket"],
        .epochNotBegun: ["skipped", "differs", "order", "backwards", "ghost"],
    ]

    @Test("what is built wrongly is found within a thousand seeds", arguments: Fault.allCases)
    func planted(fault: Fault) async throws {
        let expected = try #require(Self.kinds[fault])
        for seed in 0..<Self.seedsForFault {
            let kinds = Set(World.run(seed: seed, fault: fault).found.map { String($0.prefix { $0 != ":" }) })
            await Task.yield()
            // What has gone wrong may show itself in other ways besides.
            guard !kinds.isDisjoint(with: expected) else { continue }
            #expect(World.run(seed: seed).found.isEmpty, "seed \(seed) finds something where nothing is wrong")
            return
        }
        Issue.record("it is not found")
    }

    @Test("the checker of all histories finds as much in what clients have seen", arguments: [nil, Fault.readerDoesNotWait])
    func agreement(fault: Fault?) throws {
        let outcome = World.run(seed: 0, fault: fault)
        let folder = FileManager.default.temporaryDirectory
        let file = folder.appending(path: "history-\(ProcessInfo.processInfo.processIdentifier)-\(fault?.rawValue ?? "none")")
        try outcome.history.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let checker = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Histories/checker.py")
        let process = Foundation.Process()
        process.executableURL = URL(filePath: "/usr/bin/python3")
        process.arguments = ["-B", checker.path, file.path]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let lines = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self).split(separator: "\n")
        process.waitUntilExit()
        #expect(Set(lines.map { $0.prefix { $0 != ":" } }) == Set(outcome.found.map { $0.prefix { $0 != ":" } }))
        #expect(process.terminationStatus == (fault == nil ? 0 : 1))
    }
}
