import CoreMetrics
import Testing

@testable import Telemetry

@Suite("What libraries count through swift-metrics") struct FactoryTests {
    @Test("stands beside Apus' own, under names as Prometheus has them; the same name and dimensions are the same series")
    func kinds() {
        let registry = Registry()
        CoreMetrics.Counter(label: "pool.requests", dimensions: [("host-name", "a")], factory: registry).increment(by: 2)
        CoreMetrics.Counter(label: "pool.requests", dimensions: [("host-name", "a")], factory: registry).increment()
        CoreMetrics.Meter(label: "9lives", factory: registry).set(2.5)
        CoreMetrics.Timer(label: "call", factory: registry).recordSeconds(3)
        CoreMetrics.Recorder(label: "size", aggregate: true, factory: registry).record(7)
        let lines = registry.exposition([]).split(separator: "\n").filter { !$0.hasPrefix("#") }
        #expect(lines.contains("pool_requests_total{host_name=\"a\"} 3"))
        #expect(lines.contains("_9lives 2.5"))
        #expect(lines.contains("call_seconds_sum 3"))
        #expect(lines.contains("size_bucket{le=\"10\"} 1"))
    }

    @Test("a name of another kind is counted nowhere, and what is destroyed is not shown any more")
    func misfits() {
        let registry = Registry()
        let counter = registry.makeCounter(label: "one_total", dimensions: [])
        CoreMetrics.Meter(label: "one_total", factory: registry).set(5)
        CoreMetrics.Counter(label: "one_total", dimensions: [("more", "x")], factory: registry).increment()
        #expect(registry.exposition([]).hasSuffix("\none_total 0\n"))
        #expect(registry.dropped.value == 2)
        registry.destroyCounter(counter)
        #expect(registry.exposition([]).isEmpty)
    }
}
