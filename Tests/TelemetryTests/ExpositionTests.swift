import Testing

@testable import Telemetry

@Suite("Prometheus' text format") struct ExpositionTests {
    private enum Reason: String, CaseIterable {
        case late
        case full
    }

    @Test("series of one metric stand together behind their help and type, readings beside them, and bounds add up")
    func wholeText() {
        let registry = Registry()
        let events = registry.counter("test_events_total", "Events.")
        let refusals = registry.counter("test_refusals_total", "Why \"not\": a\\b\nc.", by: "reason", Reason.self)
        let durations = registry.histogram("test_duration_seconds", "How long.", .seconds([0.001, 0.25]))
        let head = registry.reported("test_head", "Where it ends.", by: "of")
        _ = registry.reported("test_silent", "Nobody says it.")
        events.add(3)
        refusals[.full].increment()
        durations.record(.milliseconds(1))
        durations.record(.milliseconds(2))
        durations.record(.seconds(2))
        #expect(
            registry.exposition([head(1.5, "a\"b")]) == """
                # HELP test_events_total Events.
                # TYPE test_events_total counter
                test_events_total 3
                # HELP test_refusals_total Why "not": a\\\\b\\nc.
                # TYPE test_refusals_total counter
                test_refusals_total{reason="full"} 1
                test_refusals_total{reason="late"} 0
                # HELP test_duration_seconds How long.
                # TYPE test_duration_seconds histogram
                test_duration_seconds_bucket{le="0.001"} 1
                test_duration_seconds_bucket{le="0.25"} 2
                test_duration_seconds_bucket{le="+Inf"} 3
                test_duration_seconds_sum 2.003
                test_duration_seconds_count 3
                # HELP test_head Where it ends.
                # TYPE test_head gauge
                test_head{of="a\\"b"} 1.5

                """)
    }

    @Test("what many threads count at once is counted", arguments: [1, 8])
    func manyThreads(tasks: Int) async {
        let registry = Registry()
        let events = registry.counter("test_events_total", "Events.")
        let sizes = registry.histogram("test_sizes", "Sizes.", .counts([1]))
        await withTaskGroup { group in
            for _ in 0..<tasks {
                group.addTask {
                    for value in 0..<10_000 {
                        events.increment()
                        sizes.record(value % 3)
                    }
                }
            }
        }
        #expect(events.value == tasks * 10_000)
        #expect(sizes.contents.counts == [tasks * 6667, tasks * 3333])
        #expect(sizes.contents.sum == tasks * 9999)
    }

    @Test("there is a bound on series: what comes after it is counted as dropped, and those before stay")
    func bound() {
        let registry = Registry()
        let description = registry.describe("test_many_total", .counter, "Many.", ["number"])
        let first = registry.tally(description, ["0"])
        for number in 0..<Registry.seriesLimit + 10 { registry.tally(description, [String(number)]).increment() }
        #expect(registry.families.map(\.series.count) == [Registry.seriesLimit])
        #expect(registry.dropped.value == 10)
        #expect(first.value == 1)
    }

    @Test("requests are counted by route, method and status; unknown statuses share one series")
    func requests() {
        let series = RequestSeries(route: "/test/{uid}/", method: "GET")
        for status in [200, 200, 404, 299, 999, 0] { series.count(status: status, .milliseconds(3)) }
        let lines = Registry.shared.exposition([]).split(separator: "\n").filter { $0.contains("/test/{uid}/") }
        #expect(
            lines.filter { $0.hasPrefix("apus_http_requests_total") } == [
                "apus_http_requests_total{route=\"/test/{uid}/\",method=\"GET\",status=\"200\"} 2",
                "apus_http_requests_total{route=\"/test/{uid}/\",method=\"GET\",status=\"404\"} 1",
                "apus_http_requests_total{route=\"/test/{uid}/\",method=\"GET\",status=\"other\"} 3",
            ])
        #expect(lines.contains("apus_http_request_duration_seconds_bucket{route=\"/test/{uid}/\",method=\"GET\",le=\"0.005\"} 6"))
    }
}
