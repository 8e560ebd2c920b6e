internal import Domain
internal import EventLog
internal import Logging
internal import Pages
internal import ReadModel
internal import ServiceLifecycle
internal import Synchronization
internal import Telemetry

/// Looks every minute how the process and its log are, and keeps what it has seen for an hour: for the admins' first page, which then
/// neither counts nor scans anything.
final class Trends: Service {
    /// What is measured in a minute.
    struct Sample: Sendable {
        /// How many requests were answered since the one before.
        let requests: Int64
        let writes: Int64
        /// Nil where the database did not answer.
        let lag: Int64?
        let sockets: Int64
    }

    /// Counts that only grow.
    struct Totals: Sendable {
        var requests: Int
        var writes: Int
    }

    /// The samples of an hour.
    struct Hour: Sendable {
        private(set) var samples: [Sample] = []
        private var last: Totals?

        /// Takes in what was seen. Of the first look there is nothing to be told how much came since.
        mutating func add(_ totals: Totals, lag: Int64?, sockets: Int64) {
            defer { last = totals }
            guard let last else { return }
            samples.append(
                Sample(
                    requests: Int64(totals.requests - last.requests), writes: Int64(totals.writes - last.writes), lag: lag,
                    sockets: sockets))
            samples = samples.suffix(Trend.length)
        }

        var trends: [Trend] {
            Trend.Subject.allCases.map { subject in
                Trend(
                    subject,
                    samples.map { sample in
                        switch subject {
                        case .requests: sample.requests
                        case .writes: sample.writes
                        case .lag: sample.lag
                        case .sockets: sample.sockets
                        }
                    })
            }
        }
    }

    private let readModel: ReadModel
    /// Where what is counted seldom is kept.
    private let memory: Status.Memory
    private let interval: Duration
    private let logger: Logger
    private let hour = Mutex(Hour())

    init(_ readModel: ReadModel, _ memory: Status.Memory, every interval: Duration = .seconds(60), logger: Logger) {
        self.readModel = readModel
        self.memory = memory
        self.interval = interval
        self.logger = logger
    }

    var samples: [Sample] { hour.withLock { $0.samples } }
    /// What is known of the last hour.
    var trends: [Trend] { hour.withLock { $0.trends } }

    func run() async throws {
        do {
            while true {
                await look()
                try await cancelWhenGracefulShutdown { try await Task.sleep(for: self.interval) }
            }
        } catch is CancellationError {}
    }

    private func look() async {
        var lag: Int64?
        do {
            let standing = try await readModel.standing(at: Node.clock(), after: nil, elsewhere: nil)
            memory.standing = standing
            lag = max(0, standing.head.position.rawValue - standing.tables.checkpoint.rawValue)
        } catch {
            // Whoever needs the database says that it is away.
            logger.debug("how the log is could not be seen", metadata: ["fault": "\(error)"])
        }
        let totals = Totals(requests: Telemetry.http.answered, writes: Telemetry.log.events.value)
        hour.withLock { [lag] in $0.add(totals, lag: lag, sockets: Int64(Telemetry.gateway.sockets.value)) }
    }
}
