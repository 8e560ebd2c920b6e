import Clocks
import Contents
import Domain
import Logging
import NIOCore

@testable import Bulletin
@testable import Database
@testable import EventLog
@testable import Gateway
@testable import Projections
@testable import ReadModel

/// What the processes of one installation share.
struct Installation: Sendable {
    let scheduler: Scheduler
    let server: SimulatedServer
    let redis: SimulatedRedis

    var fault: Fault? { server.fault }
    static let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
    static let now: @Sendable () -> Timestamp = { Timestamp(rawValue: 1_700_000_000_000_000) }

    fileprivate func bulletin(of process: Process) -> RedisBulletin {
        let bulletin = RedisBulletin(publish: { [redis] in redis.publish($0, from: process) })
        redis.join(process, bulletin)
        return bulletin
    }

    fileprivate func tickets(of process: Process) -> RedisTickets {
        RedisTickets(SimulatedShelf(redis: redis, process: process), prefix: "ticket:", secret: Array("the secret".utf8))
    }

    /// A read model that waits for the projector, with what wakes those who wait.
    fileprivate func readModel(of process: Process, _ bulletin: RedisBulletin, waits: Bool = true) -> ReadModel {
        let database = SimulatedDatabase(server: server, process: process)
        let progress = Progress(clock: scheduler.clock)
        bulletin.subscribe { news in
            switch news {
            case .posted(.projected(let position, _)): progress.reached(position)
            case .posted(.appended), .posted(.userChanged), .posted(.sessionEnded): break
            case .began, .interrupted: progress.isTold(news == .began)
            }
        }
        return ReadModel(
            database: database, stokens: World.stokens,
            contents: ContentStores(table: TableContents(database), files: FileContents(folder: "/nowhere")),
            progress: waits ? progress : nil, clock: scheduler.clock)
    }
}

/// A process of the role `api`.
struct FrontEnd: Sendable {
    let process: Process
    let door: Door
    let readModel: ReadModel
    let sessions: Sessions
    let tickets: RedisTickets
    let bulletin: RedisBulletin

    init(_ installation: Installation) {
        let process = Process(installation.scheduler)
        let database = SimulatedDatabase(server: installation.server, process: process)
        let bulletin = installation.bulletin(of: process)
        let appender = PostgresAppender(database: database, forked: { _ in }, announce: { bulletin.post([.appended(upTo: $0)]) })
        let committer = Committer(appender)
        let deciding = installation.readModel(of: process, bulletin)
        door = Door(readModel: deciding, committer: committer, chunks: deciding.contents)
        readModel = installation.fault == .readerDoesNotWait ? installation.readModel(of: process, bulletin, waits: false) : deciding
        sessions = Sessions(database: database, lifetime: nil)
        tickets = installation.tickets(of: process)
        (self.process, self.bulletin) = (process, bulletin)
        process.start { await committer.follow() }
        process.start { do { try await appender.recognize() } catch {} }
    }
}

/// A process of the role `projector`.
struct ProjectorProcess: Sendable {
    let process: Process

    init(_ installation: Installation) {
        let process = Process(installation.scheduler)
        let bulletin = installation.bulletin(of: process)
        let projector = Projector(
            log: SimulatedDatabase(server: installation.server, process: process),
            projection: SimulatedProjection(server: installation.server),
            logger: Installation.logger, clock: installation.scheduler.clock, reached: { bulletin.post(Notice.projected($0)) })
        bulletin.subscribe { [weak projector] news in
            switch news {
            case .posted(.appended): projector?.wake()
            case .posted(.projected), .posted(.userChanged), .posted(.sessionEnded): break
            case .began, .interrupted: projector?.isTold(news == .began)
            }
        }
        self.process = process
        process.start { do { try await projector.follow() } catch {} }
    }
}

/// Puts events into the simulated rows.
struct SimulatedProjection: Projection {
    let server: SimulatedServer
    var stokens: StokenSealer { World.stokens }

    func look(at events: [RecordedEvent]) -> any ProjectionLook { Look(events, server) }

    private final class Look: ProjectionLook {
        private let events: [RecordedEvent]
        private let server: SimulatedServer

        init(_ events: [RecordedEvent], _ server: SimulatedServer) {
            (self.events, self.server) = (events, server)
            server.believed = events.first.map { $0.position.rawValue - 1 }
        }

        let queries: [Query] = []

        func apply(_ connection: any Connection) throws {
            guard let connection = connection as? SimulatedConnection else { preconditionFailure("all databases here are simulated") }
            let next = connection.tables.rows.position + 1
            let isNext = zip(events, next...).allSatisfy { $0.position.rawValue == $1 }
            guard isNext || server.fault == .noFence || server.fault == .sequence else {
                throw DatabaseFault(.corrupt, "events do not follow \(next - 1)")
            }
            connection.change { [events] tables in for event in events { tables.rows.apply(event) } }
        }
    }
}

/// A process of the role `gateway`.
struct GatewayProcess: Sendable {
    /// What a frame says.
    struct Frame {
        let told: [Told]
        let stoken: String
        let isDone: Bool
    }

    private struct Room: FrameRoom {
        func shrink(to bytes: Int) {}
    }

    let process: Process
    let gateway: Gateway

    init(_ installation: Installation) {
        let process = Process(installation.scheduler)
        let bulletin = installation.bulletin(of: process)
        let readModel = installation.readModel(of: process, bulletin)
        let clock = installation.scheduler.clock
        // One that trusts hints has a timer for looks that never goes off.
        let deaf = ServerClock(now: { clock.now }, wait: { try await clock.sleep(for: $0 == .milliseconds(100) ? .seconds(100_000) : $0) })
        gateway = Gateway(
            readModel: readModel,
            sessions: Sessions(database: SimulatedDatabase(server: installation.server, process: process), lifetime: nil),
            bulletin: bulletin, tickets: installation.tickets(of: process), settings: GatewaySettings(), directory: nil,
            logger: Installation.logger, clock: Installation.now, timer: installation.fault == .trustsHints ? deaf : clock,
            encode: Self.encode, hold: { _ in Room() })
        self.process = process
        process.start { [gateway] in await gateway.follow() }
    }

    private static let encode: Gateway.Encoding = { items, stoken, isDone in
        let lines = items.map { "\($0.uid) \($0.revision.uid) \($0.changed.rawValue)" }
        return ByteBuffer(string: ([stoken, "\(isDone)"] + lines).joined(separator: "\n"))
    }

    static func decode(_ buffer: ByteBuffer) -> Frame {
        let lines = String(buffer: buffer).split(separator: "\n").map(String.init)
        let told = lines.dropFirst(2).map { line in
            let words = line.split(separator: " ").map(String.init)
            return Told(item: words[0], revision: words[1], position: Int64(words[2]) ?? 0)
        }
        return Frame(told: told, stoken: lines[0], isDone: lines[1] == "true")
    }
}
