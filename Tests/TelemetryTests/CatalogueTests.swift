import Foundation
import Testing

@testable import Telemetry

@Suite("The list of metrics") struct CatalogueTests {
    @Test("the table in ops/docs/metrics.md says what the code says")
    func table() throws {
        let file = URL(filePath: #filePath).appending(path: "../../../ops/docs/metrics.md").standardized
        let written = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").filter { $0.hasPrefix("| `") }.map(String.init)
        let wanted = Telemetry.all().map { description in
            let labels = description.labels.map { "`\($0)`" }.joined(separator: ", ")
            return "| `\(description.name)` | \(description.kind.rawValue) | \(labels) | \(description.help) |"
        }
        #expect(written == wanted, "it would be\n\(wanted.joined(separator: "\n"))")
    }

    @Test("names follow Prometheus' conventions, and no label could hold anything of a user", arguments: Telemetry.all())
    func conventions(_ description: Description) throws {
        let name = description.name
        #expect(name.wholeMatch(of: /(apus|process)(_[a-z][a-z0-9]*)+/) != nil)
        #expect(name.hasSuffix("_total") == (description.kind == .counter))
        #expect(!name.contains(/_(count|sum|bucket|milliseconds|ms|kb)$/))
        #expect(description.help.hasSuffix("."))
        let closed: Set = [
            "route", "method", "status", "reason", "read_model", "kind", "pool", "outcome", "database", "version", "engine",
        ]
        #expect(Set(description.labels).isSubset(of: closed))
    }

    @Test("the process has used time, memory and descriptors, and began in the past")
    func process() {
        let readings = Telemetry.process.readings().filter { $0.description.name.hasPrefix("process_") }
        let values = Dictionary(uniqueKeysWithValues: readings.map { ($0.description.name, $0.value) })
        #expect(values.count == 7)
        #expect(values.values.allSatisfy { $0 > 0 })
        #expect(values["process_resident_memory_bytes"] ?? 0 < values["process_virtual_memory_bytes"] ?? 0)
        #expect(values["process_open_fds"] ?? 0 < values["process_max_fds"] ?? 0)
        let start = values["process_start_time_seconds"] ?? 0
        #expect(start > 1_700_000_000 && start < Date().timeIntervalSince1970)
    }
}
