import Pages
import Testing

@testable import Server

@Suite("The last hour") struct TrendTests {
    @Test("is what came in each of sixty minutes, the newest last")
    func hour() {
        var hour = Trends.Hour()
        hour.add(.init(requests: 1000, writes: 500), lag: 1, sockets: 2)
        #expect(hour.samples.isEmpty, "nobody knows in which time the first came")
        for minute in 1...70 { hour.add(.init(requests: 1000 + 10 * minute, writes: 500), lag: minute == 70 ? nil : 0, sockets: 3) }
        #expect(hour.samples.count == 60)
        #expect(hour.samples.allSatisfy { $0.requests == 10 && $0.writes == 0 && $0.sockets == 3 })
        #expect(hour.samples.map(\.lag).last == .some(nil) && hour.samples.map(\.lag).first == 0)
        #expect(hour.trends.count == Trend.Subject.allCases.count)
    }

    @Test("is measured where nobody looks", arguments: Engine.all)
    func measured(engine: Engine) async throws {
        try await TestServer.run(engine) { server in
            let memory = Status.Memory()
            let trends = Trends(server.wiring.node.readModel, memory, every: .milliseconds(20), logger: server.logger)
            try await withThrowingDiscardingTaskGroup { group in
                group.addTask { try await trends.run() }
                // A sample that has them is there in the end.
                while memory.standing == nil || !trends.samples.contains(where: { $0.requests > 0 && $0.writes > 0 && $0.lag != nil }) {
                    try await server.make("a" + newUID().lowercased())
                    _ = try await Client(server).get("/health")
                    try await Task.sleep(for: .milliseconds(2))
                }
                group.cancelAll()
            }
        }
    }
}
