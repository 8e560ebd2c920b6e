internal import Synchronization

/// What a metric is called and means: what stands in `HELP` and `TYPE`.
package struct Description: Hashable, Sendable {
    /// How Prometheus looks at the values.
    package enum Kind: String, Sendable {
        case counter
        case gauge
        case histogram
    }

    /// As Prometheus' conventions have it: units last, `_total` for counters.
    package let name: String
    package let kind: Kind
    package let help: String
    /// The labels that tell the series of one name from each other. Never anything of a user.
    package let labels: [String]
}

/// A value that is asked for when somebody looks, rather than kept.
package struct Reading: Sendable {
    let description: Description
    let labels: [String]
    let value: Double
}

/// A metric that has no value but when somebody looks.
package struct Reported: Sendable {
    /// What it is called.
    package let description: Description

    /// The value at this moment.
    ///
    /// - Parameter labels: as many as the metric has.
    package func callAsFunction(_ value: Double, _ labels: String...) -> Reading {
        precondition(labels.count == description.labels.count, "\(description.name) has \(description.labels.count) labels")
        return Reading(description: description, labels: labels, value: value)
    }
}

/// The series of one metric, one for each value of a label that is a closed set.
package struct ByLabel<Label: CaseIterable & RawRepresentable & Hashable & Sendable, Series: Sendable>: Sendable
where Label.RawValue == String {
    private let series: [Label: Series]

    init(_ make: (String) -> Series) {
        series = Dictionary(uniqueKeysWithValues: Label.allCases.map { ($0, make($0.rawValue)) })
    }

    /// The series of a value.
    package subscript(_ label: Label) -> Series {
        guard let found = series[label] else { preconditionFailure("each case has a series") }
        return found
    }
}

/// All series of a process. Whoever counts looks a series up once and keeps it; only that, and looking at all of them, takes a
/// lock.
package final class Registry: Sendable {
    /// How many series there may be: what comes after that is counted nowhere, and that it is so is counted.
    static let seriesLimit = 4096

    /// That of the process.
    package static let shared = Registry()

    enum Series: Sendable {
        case tally(Tally)
        case level(Level)
        case histogram(Histogram)
    }

    struct Family: Sendable {
        let description: Description
        var series: [[String]: Series] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]  // names of ours
        /// In the order in which they were described.
        var names: [String] = []
        var count = 0
    }

    private let state = Mutex(State())
    /// How many series were asked for that there was no room for.
    let dropped = Tally()

    init() {}

    // MARK: Descriptions

    func counter(_ name: String, _ help: String) -> Tally { tally(describe(name, .counter, help), []) }

    func counter<Label>(_ name: String, _ help: String, by label: String, _: Label.Type) -> ByLabel<Label, Tally> {
        let description = describe(name, .counter, help, [label])
        return ByLabel { tally(description, [$0]) }
    }

    func counter<First, Second>(
        _ name: String, _ help: String, by labels: (String, String), _: First.Type, _: Second.Type
    ) -> ByLabel<First, ByLabel<Second, Tally>> {
        let description = describe(name, .counter, help, [labels.0, labels.1])
        return ByLabel { first in ByLabel { tally(description, [first, $0]) } }
    }

    /// How many there are of something that comes and goes.
    func number(_ name: String, _ help: String) -> Tally { tally(describe(name, .gauge, help), []) }

    func number<Label>(_ name: String, _ help: String, by label: String, _: Label.Type) -> ByLabel<Label, Tally> {
        let description = describe(name, .gauge, help, [label])
        return ByLabel { tally(description, [$0]) }
    }

    func level<Label>(_ name: String, _ help: String, by label: String, _: Label.Type) -> ByLabel<Label, Level> {
        let description = describe(name, .gauge, help, [label])
        return ByLabel { level(description, [$0]) }
    }

    func histogram(_ name: String, _ help: String, _ buckets: Buckets) -> Histogram {
        histogram(describe(name, .histogram, help), [], buckets)
    }

    func histogram<Label>(
        _ name: String, _ help: String, _ buckets: Buckets, by label: String, _: Label.Type
    ) -> ByLabel<Label, Histogram> {
        let description = describe(name, .histogram, help, [label])
        return ByLabel { histogram(description, [$0], buckets) }
    }

    func reported(_ name: String, _ help: String, as kind: Description.Kind = .gauge, by labels: String...) -> Reported {
        Reported(description: describe(name, kind, help, labels))
    }

    /// Notes a metric, which is shown in `HELP` and `TYPE` from then on where it has series.
    func describe(_ name: String, _ kind: Description.Kind, _ help: String, _ labels: [String] = []) -> Description {
        let description = Description(name: name, kind: kind, help: help, labels: labels)
        state.withLock { state in
            guard state.families[name] == nil else { return }
            state.families[name] = Family(description: description)
            state.names.append(name)
        }
        return description
    }

    /// Every metric that was described so far, in that order.
    var descriptions: [Description] { families.map(\.description) }

    var families: [Family] { state.withLock { state in state.names.compactMap { state.families[$0] } } }

    // MARK: Series

    func tally(_ description: Description, _ labels: [String]) -> Tally {
        let found = series(description, labels) { .tally(Tally()) }
        if case .tally(let tally) = found { return tally }
        return Tally()
    }

    func level(_ description: Description, _ labels: [String]) -> Level {
        let found = series(description, labels) { .level(Level()) }
        if case .level(let level) = found { return level }
        return Level()
    }

    func histogram(_ description: Description, _ labels: [String], _ buckets: Buckets) -> Histogram {
        let found = series(description, labels) { .histogram(Histogram(buckets)) }
        if case .histogram(let histogram) = found { return histogram }
        return Histogram(buckets)
    }

    /// The series of a metric with these values of its labels, made if need be; nil where there is no room, or the name is that
    /// of another metric.
    private func series(_ description: Description, _ labels: [String], _ make: () -> Series) -> Series? {
        let found = state.withLock { state -> Series? in
            guard let family = state.families[description.name], family.description.kind == description.kind,
                family.description.labels.count == labels.count
            else { return nil }
            if let found = family.series[labels] { return found }
            guard state.count < Self.seriesLimit else { return nil }
            let made = make()
            state.count += 1
            state.families[description.name]?.series[labels] = made
            return made
        }
        if found == nil { dropped.increment() }
        return found
    }

    /// What the series of a counter have come to together.
    func sum(of description: Description) -> Int {
        let found = state.withLock { $0.families[description.name]?.series.values.map(\.self) ?? [] }
        return found.reduce(0) { sum, series in if case .tally(let tally) = series { sum + tally.value } else { sum } }
    }

    func forget(_ isForgotten: (Series) -> Bool) {
        state.withLock { state in
            for name in state.names {
                let left = state.families[name]?.series.filter { !isForgotten($0.value) } ?? [:]
                state.count -= (state.families[name]?.series.count ?? 0) - left.count
                state.families[name]?.series = left
            }
        }
    }
}
