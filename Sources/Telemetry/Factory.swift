package import CoreMetrics

/// The same registry through swift-metrics' door: what libraries count stands beside what Apus does.
///
/// A name and labels that are already known give the same series. Names of libraries are made what Prometheus expects of them.
extension Registry: MetricsFactory {
    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        let name = Self.name(label)
        return tally(described(name.hasSuffix("_total") ? name : name + "_total", .counter, dimensions), dimensions.map(\.1))
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        level(described(Self.name(label), .gauge, dimensions), dimensions.map(\.1))
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        guard aggregate else { return level(described(Self.name(label), .gauge, dimensions), dimensions.map(\.1)) }
        return histogram(described(Self.name(label), .histogram, dimensions), dimensions.map(\.1), .anything)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        let name = Self.name(label)
        return histogram(
            described(name.hasSuffix("_seconds") ? name : name + "_seconds", .histogram, dimensions), dimensions.map(\.1), .durations)
    }

    package func destroyCounter(_ handler: any CounterHandler) { destroy(handler) }
    package func destroyMeter(_ handler: any MeterHandler) { destroy(handler) }
    package func destroyRecorder(_ handler: any RecorderHandler) { destroy(handler) }
    package func destroyTimer(_ handler: any TimerHandler) { destroy(handler) }

    private func destroy(_ handler: AnyObject) {
        forget { series in
            switch series {
            case .tally(let tally): tally === handler
            case .level(let level): level === handler
            case .histogram(let histogram): histogram === handler
            }
        }
    }

    private func described(_ name: String, _ kind: Description.Kind, _ dimensions: [(String, String)]) -> Description {
        // Where there is one of this name already, its description stays.
        describe(name, kind, "Counted by a library.", dimensions.map { Self.name($0.0) })
    }

    /// Letters, digits and underscores, no digit first.
    private static func name(_ label: String) -> String {
        let name = String(label.unicodeScalars.map { isAllowed($0) ? Character($0) : "_" })
        return name.first.map { $0.isNumber ? "_" + name : name } ?? "_"
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9": true
        default: false
        }
    }
}

extension Tally: CounterHandler {
    package func increment(by amount: Int64) { add(Int(amount)) }
    /// A counter of Prometheus never goes back.
    package func reset() {}
}

extension Level: MeterHandler, RecorderHandler {
    package func set(_ value: Int64) { set(Double(value)) }
    package func increment(by amount: Double) { add(amount) }
    package func decrement(by amount: Double) { add(-amount) }
    package func record(_ value: Int64) { set(Double(value)) }
    package func record(_ value: Double) { set(value) }
}

extension Histogram: TimerHandler, RecorderHandler {
    package func recordNanoseconds(_ duration: Int64) { record(Int(duration)) }
    package func record(_ value: Int64) { record(Int(value)) }
    package func record(_ value: Double) { record(Int(exactly: value.rounded()) ?? .max) }
}
