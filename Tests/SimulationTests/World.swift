import Domain
import TestSupport

@testable import EventLog
@testable import Gateway
@testable import ReadModel

/// One run: an installation, its clients, what befalls them, and what comes of it.
///
/// Safe: as the scheduler is.
final class World: @unchecked Sendable {
    /// What came of a run.
    struct Outcome: Equatable {
        /// What does not hold, in words.
        let found: [String]
        /// What was run in which order.
        let trace: UInt64
        let steps: Int
        let seconds: Double
        /// What clients did and saw, as lines of JSON.
        let history: String
    }

    static let stokens = StokenSealer(secret: Array("the secret of the simulation".utf8))
    static let collections = ["c1", "c2"]
    static let users = ["ada", "ben", "cat", "dan"]
    /// In virtual seconds; a run that takes longer is stuck.
    private static let limit = 120.0

    let scheduler: Scheduler
    let server: SimulatedServer
    let redis: SimulatedRedis
    let installation: Installation
    var frontEnds: [FrontEnd] = []
    var projectors: [ProjectorProcess] = []
    var gateways: [GatewayProcess] = []
    var history = History()
    /// What does not hold, beside what is judged by the history.
    var found: [String] = []
    /// Of so many requests one is lost, or its answer; nil for none.
    var losesRequests: Int?
    /// How many sockets each ticket has opened.
    var redeemed: [String: Int] = [:]
    /// The users who were put out.
    var removed: Set<String> = []
    /// Clients that are at work, and those that read on until all others are done.
    var working = 0
    var following = 0
    private var isSettled = false
    /// Everything works, and all is written.
    var isOver: Bool { isSettled && working == 0 }
    private lazy var clients = Clients(world: self)

    init(seed: UInt64, fault: Fault?) {
        scheduler = Scheduler(seed: seed)
        server = SimulatedServer(scheduler, Self.beginning, fault: fault)
        redis = SimulatedRedis(scheduler, fault: fault)
        installation = Installation(scheduler: scheduler, server: server, redis: redis)
    }

    static func run(seed: UInt64, fault: Fault? = nil) -> Outcome { World(seed: seed, fault: fault).run() }

    // MARK: The beginning

    /// Four users with two collections: Ada's, whose members the others are.
    private static let beginning: Tables = {
        var tables = Tables()
        tables.epochs[0].place = "1"
        var events: [Event] = users.map { name in
            .userCreated(
                UserCreated(
                    username: name, displayName: name, email: "", unusablePassword: "!",
                    keys: UserKeys(salt: [1], loginPubkey: [1], pubkey: [1], encryptedContent: [1])))
        }
        for collection in collections {
            let uid = CollectionUID(collection)
            let revision = Revision(uid: RevisionUID("\(collection)-first"), meta: [1], isDeleted: false, chunks: [], stored: [])
            events.append(
                .collectionCreated(CollectionCreated(collection: uid, owner: UserID(rawValue: 1), version: 1, revision: revision)))
            for number in users.indices {
                events.append(
                    .memberJoined(
                        MemberJoined(
                            collection: uid, user: UserID(rawValue: Int64(number + 1)), level: number == 0 ? .admin : .readWrite,
                            encryptionKey: [1], collectionType: [UInt8(number)], invitation: nil, inviters: [])))
            }
        }
        do { try tables.begin(with: events, by: UserID(rawValue: 1)) } catch { preconditionFailure("the beginning is sound: \(error)") }
        for number in users.indices { tables.tokens["token-\(number + 1)"] = Int64(number + 1) }
        return tables
    }()

    // MARK: A run

    func run() -> Outcome {
        for collection in Self.collections {
            history.writes.append(
                .init(
                    session: "before", collection: collection, items: [(collection, "\(collection)-first", nil)], outcome: .done, begin: -2,
                    end: -1))
        }
        frontEnds = [FrontEnd(installation), FrontEnd(installation)]
        projectors = [ProjectorProcess(installation), ProjectorProcess(installation)]
        gateways = [GatewayProcess(installation), GatewayProcess(installation)]
        clients.start()
        Nemesis(world: self).start()
        keepDisk()

        let isDone = scheduler.run { self.isOver && self.following == 0 || self.scheduler.seconds > Self.limit }
        if !isDone || scheduler.seconds > Self.limit { found.append("stuck: \(working) at work, \(following) followed") }
        let (trace, steps, seconds) = (scheduler.trace, scheduler.steps, scheduler.seconds)
        judge()
        end()
        return Outcome(found: found, trace: trace, steps: steps, seconds: seconds, history: history.lines)
    }

    /// What is written reaches the disk and the standby some time later.
    private func keepDisk() {
        scheduler.after(scheduler.micros(50_000...400_000)) { [weak self] in
            guard let self, !isSettled else { return }
            server.flush()
            if scheduler.happens(oneIn: 4) { server.replicate() }
            keepDisk()
        }
    }

    /// Everything works again, and clients look whether they have everything.
    func settle() {
        losesRequests = nil
        redis.loses = nil
        redis.setDown(false)
        for process in processes {
            process.isCutOff = false
            process.place.goOn()
        }
        isSettled = true
        clients.writeLast()
    }

    var processes: [Process] { frontEnds.map(\.process) + projectors.map(\.process) + gateways.map(\.process) }

    /// Lets everything come to its end, so that nothing is left of the run.
    private func end() {
        for process in processes { process.kill() }
        clients.process.kill()
        _ = scheduler.run { false }
    }

    // MARK: Judging

    private func judge() {
        let tables = server.committed
        let records: [RecordedEvent]
        do { records = try tables.records() } catch {
            found.append("unreadable: \(error)")
            return
        }
        judge(records, tables)
        for record in records {
            guard let made = record.event.made, case .collection(let collection) = record.stream else { continue }
            history.revisions[collection.rawValue, default: [:]][made.item.rawValue, default: []].append(made.revision.uid.rawValue)
        }
        history.forget(server.lost, removals: server.lostRemovals) { stoken in
            guard let place = Self.stokens.open(stoken) else { return true }
            let end = tables.epochs.first { $0.epoch > place.epoch }?.first ?? tables.head + 1
            return place.position.rawValue < end
        }
        found += Checker.check(history)
        for (ticket, count) in redeemed where count > 1 { found.append("ticket: \(ticket) opened \(count) sockets") }
    }

    /// What must be so of the log and of the rows.
    private func judge(_ records: [RecordedEvent], _ tables: Tables) {
        if !zip(records, 1...).allSatisfy({ $0.position.rawValue == $1 }) { found.append("log: it is not dense") }
        var heads: [StreamID: Position] = [:]
        var claims: [Claim: UserID?] = [:]
        var rows = Rows()
        for record in records {
            if record.previous != heads[record.stream] ?? .none { found.append("log: \(record.position.rawValue) has another before it") }
            for stream in record.streams { heads[stream] = record.position }
            for claim in record.claims {
                if let holder = claims[claim.claim], !(claim.isRepeatable && holder == claim.holder) {
                    found.append("claim: \(claim.claim) is made twice")
                }
                claims[claim.claim] = claim.holder
            }
            rows.apply(record)
        }
        // The last batch may be on its way.
        rows.trim(to: tables.rows.position, records)
        if rows != tables.rows { found.append("rows: they are not what a replay gives") }
    }
}

extension Rows {
    /// What a replay of as much gives.
    fileprivate mutating func trim(to position: Int64, _ records: [RecordedEvent]) {
        guard position != self.position else { return }
        self = Rows()
        for record in records where record.position.rawValue <= position { apply(record) }
    }
}
