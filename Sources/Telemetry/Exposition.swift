extension Registry {
    /// The media type of what ``exposition(_:)`` makes.
    package static let mediaType = "text/plain; version=0.0.4; charset=utf-8"

    /// All series in Prometheus' text format.
    ///
    /// - Parameter readings: what was asked for just now; of each metric all stand together.
    package func exposition(_ readings: [Reading]) -> String {
        var text = ""
        text.reserveCapacity(64 << 10)
        let read = Dictionary(grouping: readings) { $0.description.name }
        for family in families {
            let now = read[family.description.name] ?? []
            guard !family.series.isEmpty || !now.isEmpty else { continue }
            let description = family.description
            text += "# HELP \(description.name) \(escaped(description.help, quotes: false))\n"
            text += "# TYPE \(description.name) \(description.kind.rawValue)\n"
            for (labels, series) in family.series.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
                let pairs = pairs(description.labels, labels)
                switch series {
                case .tally(let tally): text.line(description.name, pairs, String(tally.value))
                case .level(let level): text.line(description.name, pairs, written(level.value))
                case .histogram(let histogram): text.histogram(description.name, pairs, histogram)
                }
            }
            for reading in now { text.line(description.name, pairs(description.labels, reading.labels), written(reading.value)) }
        }
        return text
    }
}

extension String {
    fileprivate mutating func line(_ name: String, _ pairs: [String], _ value: String) {
        self += name
        if !pairs.isEmpty { self += "{\(pairs.joined(separator: ","))}" }
        self += " \(value)\n"
    }

    /// The lines of a histogram: for each bound how many values were not above it.
    fileprivate mutating func histogram(_ name: String, _ pairs: [String], _ histogram: Histogram) {
        let (counts, sum) = histogram.contents
        let (bounds, scale) = (histogram.buckets.bounds, Double(histogram.buckets.scale))
        var total = 0
        for (index, count) in counts.enumerated() {
            total &+= count
            let bound = index < bounds.count ? written(Double(bounds[index]) / scale) : "+Inf"
            line(name + "_bucket", pairs + ["le=\"\(bound)\""], String(total))
        }
        line(name + "_sum", pairs, written(Double(sum) / scale))
        line(name + "_count", pairs, String(total))
    }
}

private func pairs(_ names: [String], _ values: [String]) -> [String] {
    zip(names, values).map { "\($0)=\"\(escaped($1, quotes: true))\"" }
}

private func escaped(_ text: String, quotes: Bool) -> String {
    let text = text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    return quotes ? text.replacing("\"", with: "\\\"") : text
}

/// A number as Prometheus reads it.
private func written(_ value: Double) -> String {
    if let whole = Int(exactly: value) { return String(whole) }
    if value.isNaN { return "NaN" }
    return value.isInfinite ? (value < 0 ? "-Inf" : "+Inf") : "\(value)"
}
