import HTTPTypes
import Hummingbird
import Telemetry
import Testing

@testable import API
@testable import ReadModel
@testable import Server

/// What a route costs: round trips to PostgreSQL, those of the group that a command is committed in among them, and transactions
/// of SQLite. The projector's are not counted.
struct RouteTrips: Sendable, CustomTestStringConvertible {
    /// A request, all that it needs being there.
    struct Request: Sendable {
        let client: Client
        let method: HTTPRequest.Method
        let path: String
        var value: Value?
        var body: [UInt8]?
        /// How it is refused; nil where it is answered.
        let refusal: Int?

        init(
            _ client: Client, _ method: HTTPRequest.Method, _ path: String, _ value: Value? = nil, body: [UInt8]? = nil,
            expecting refusal: Int? = nil
        ) {
            (self.client, self.method, self.path, self.value, self.body, self.refusal) = (client, method, path, value, body, refusal)
        }

        /// Asks, and reads the answer where it has an end.
        ///
        /// - Returns: the status.
        func answer() async throws -> Int {
            guard client.headers[.upgrade] == nil else {
                let status = try await client.respond(method, path).status.code
                try await client.hangUp()
                return status
            }
            return try await client.call(method, path, value, body: body).status
        }
    }

    /// The method and the pattern, as the table of routes has them.
    let route: String
    let sentence: String
    private let cost: Cost
    let prepare: @Sendable (TestServer) async throws -> Request

    /// - Parameters:
    ///   - trips: to PostgreSQL.
    ///   - reads: snapshots of SQLite.
    ///   - writes: writing transactions of SQLite.
    init(
        _ route: String, _ sentence: String = "as it is mostly asked", trips: Int, reads: Int, writes: Int = 0,
        _ prepare: @escaping @Sendable (TestServer) async throws -> Request
    ) {
        self.route = route
        self.sentence = sentence
        cost = Cost(trips: trips, reads: reads, writes: writes)
        self.prepare = prepare
    }

    var testDescription: String { "\(route), \(sentence)" }

    func cost(on engine: Engine) -> Cost {
        switch engine {
        case .postgres: Cost(trips: cost.trips)
        case .sqlite: Cost(reads: cost.reads, writes: cost.writes)
        }
    }
}

struct Cost: Equatable {
    var trips = 0
    var reads = 0
    var writes = 0

    var sum: Int { trips + reads + writes }

    func isWithin(_ limit: Cost) -> Bool { trips <= limit.trips && reads <= limit.reads && writes <= limit.writes }
}

@Suite("What requests ask of the database") struct TripTests {
    private static let routes = Routes(isFrontEnd: true, isGateway: true, isDebug: true, showsMetrics: true).all

    @Test("is no more than the table says, and no route is without a line", arguments: Engine.all)
    func counts(engine: Engine) async throws {
        let names = Set(Self.routes.map { "\($0.method.rawValue) \($0.pattern)" })
        #expect(names.symmetricDifference(RouteTrips.all.map(\.route)) == [], "routes without a line, or lines without a route")
        let ofServices = TripCount()
        try await TripCount.$current.withValue(ofServices) {
            try await TestServer.run(engine) { server in
                for line in RouteTrips.all {
                    let limit = line.cost(on: engine)
                    let found = try await cost(of: line, upTo: limit, engine, server, ofServices)
                    #expect(found.isWithin(limit), "\(line.testDescription): \(found), not \(limit)")
                }
            }
        }
    }

    /// The least of some times: what a service does meanwhile, as it does every now and then, is not the request's, and one that waits
    /// for the projector asks again.
    private func cost(
        of line: RouteTrips, upTo limit: Cost, _ engine: Engine, _ server: TestServer, _ ofServices: TripCount
    ) async throws -> Cost {
        var least: Cost?
        for _ in 0..<10 where least?.isWithin(limit) != true {
            let request = try await line.prepare(server)
            // A request that has to wait for the projector asks again.
            try await server.wiring.node.readModel.snapshot { try $0.requireAll() }
            let own = TripCount()
            let (appends, writes) = (ofServices.total(over: .appends), ofServices.total(.write))
            let answer = try await TripCount.$current.withValue(own) { try await request.answer() }
            #expect(request.refusal == nil ? answer < 400 : answer == request.refusal, "\(line.testDescription)")
            let cost =
                switch engine {
                case .postgres: Cost(trips: own.total() + ofServices.total(over: .appends) - appends)
                case .sqlite: Cost(reads: own.total(.read), writes: own.total(.write) + ofServices.total(.write) - writes)
                }
            least = [least, cost].compactMap(\.self).min { $0.sum < $1.sum }
        }
        return try #require(least)
    }
}
