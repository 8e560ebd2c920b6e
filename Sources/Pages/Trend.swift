/// Something that was measured every minute.
package struct Trend: Sendable {
    /// What is measured.
    package enum Subject: CaseIterable, Sendable {
        case requests
        case writes
        case lag
        case sockets

        fileprivate var title: String {
            switch self {
            case .requests: "Requests a minute"
            case .writes: "Events written a minute"
            case .lag: "Events that the tables lack"
            case .sockets: "Open sockets"
            }
        }
    }

    /// How many minutes are shown.
    package static let length = 60
    private static let (step, height, head): (Int, Int, Int) = (4, 48, 4)

    private let subject: Subject
    /// The oldest first, no more than ``length``; nil where it could not be measured.
    private let points: [Int64?]

    package init(_ subject: Subject, _ points: [Int64?]) { (self.subject, self.points) = (subject, points) }

    /// A picture of it, and what it shows in words.
    var chart: HTML {
        let most = points.compactMap(\.self).max()
        let last = points.last.flatMap(\.self).map { "\($0)" } ?? "not known"
        let words = most.map { "now \(last), at most \($0)" } ?? "nothing measured yet"
        return """
            <figure>
            <figcaption>\(subject.title): \(words)</figcaption>
            <svg viewBox="0 0 \(Self.length * Self.step) \(Self.height + Self.head + 1)" aria-hidden="true" focusable="false">
            <path class="axis" d="M0 \(Self.height + Self.head)H\(Self.length * Self.step)"/>
            <path class="bars" d="\(bars(most ?? 0))"/>
            </svg>
            </figure>

            """
    }

    /// The last bar stands at the right, however many there are. What is not 0 is seen.
    private func bars(_ most: Int64) -> String {
        let first = Self.length - points.count
        return points.enumerated().compactMap { index, point in
            guard let point, point > 0, most > 0 else { return nil }
            let height = max(1, Int(point.multipliedReportingOverflow(by: Int64(Self.height)).partialValue / most))
            return "M\((first + index) * Self.step + Self.step / 2) \(Self.height + Self.head)v-\(height)"
        }.joined()
    }
}
