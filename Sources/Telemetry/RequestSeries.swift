internal import Synchronization

/// The requests of a route with one method: looked up once, and kept beside the route.
package final class RequestSeries: Sendable {
    /// Those that are not listed count as `other`.
    private static let statuses = [
        101, 200, 201, 204, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 417, 422, 426, 429, 431, 500,
        501, 503, 505,
    ]
    private static let lowest = 100
    /// The place of each status from 100 on, the last place being for the others.
    private static let places: [Int] = (lowest...599).map { status in statuses.firstIndex(of: status) ?? statuses.count }

    /// A counter that is made when it is needed first.
    private final class Slot: Sendable { let tally = AtomicLazyReference<Tally>() }

    private let labels: [String]
    private let durations: Histogram
    private let slots = (0...RequestSeries.statuses.count).map { _ in Slot() }

    /// - Parameters:
    ///   - route: the pattern of the path, never the path itself.
    ///   - method: one that the server knows.
    package init(route: String, method: String) {
        labels = [route, method]
        durations = Registry.shared.histogram(Telemetry.http.durations, labels, .durations)
    }

    /// Counts a request that was answered.
    package func count(status: Int, _ duration: Duration) {
        durations.record(duration)
        let index = status - Self.lowest
        let place = Self.places.indices.contains(index) ? Self.places[index] : Self.statuses.count
        let slot = slots[place]
        if let tally = slot.tally.load() { return tally.increment() }
        let text = place < Self.statuses.count ? String(Self.statuses[place]) : "other"
        slot.tally.storeIfNil(Registry.shared.tally(Telemetry.http.requests, labels + [text])).increment()
    }
}
