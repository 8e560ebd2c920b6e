internal import API
internal import Contents
internal import Database
internal import Directory
internal import Domain
internal import EventLog
internal import Projections
internal import ReadModel
internal import Redis
internal import Synchronization

/// What `/ready` looks at: what a process in its roles depends on.
struct Checks: Sendable {
    private typealias Fault = Readiness.Fault

    let node: Node
    let directory: Directory?
    let roles: Set<Role>

    /// One check for each thing.
    func all() -> [Readiness.Check] {
        let (lag, replicaLag) = (Lag(), Lag())
        var checks = [
            Readiness.Check(silence: "the log's database does not answer", unless: isMoving) { await lookAtLog(lag) }
        ]
        checks.append(.init(silence: "the disk does not answer") { lookAtDisk() })
        checks.append(.init(silence: "nobody looks who writes") { node.trouble.words.map { [Fault($0)] } ?? [] })
        if roles.contains(.projector), !node.projectors.isEmpty {
            // A projector says by itself what is in its way.
            checks.append(
                .init(silence: "the projectors do not answer") { node.projectors.compactMap(\.obstacle).map { Fault($0.description) } })
        }
        if node.readModel.hasReplica {
            checks.append(
                .init(silence: "the read database does not answer", isBearable: true, unless: isMoving) { await lookAtReplica(replicaLag) })
        }
        if let redis = node.redis, node.sharedTickets != nil, !roles.isDisjoint(with: [.api, .gateway]) {
            checks.append(.init(silence: "Redis does not answer") { look(at: redis) })
        }
        if let objects = node.chunks.objects, roles.contains(.api) {
            checks.append(.init(silence: "the store of contents does not answer") { await look(at: objects) })
        }
        if let directory { checks.append(.init(silence: "the directory does not answer") { look(at: directory) }) }
        return checks
    }

    /// Where only earlier contents lie there, new ones can be written all the same.
    private func look(at objects: ObjectContents) async -> [Fault] {
        do {
            try await objects.check()
            return []
        } catch {
            return [Fault("the store of contents does not answer", isBearable: node.chunks.place != .objects, detail: "\(error)")]
        }
    }

    private func look(at directory: Directory) -> [Fault] {
        switch directory.condition {
        case .well: []
        case .away: [Fault("the directory (LDAP) is away: nobody new is let in", isBearable: true)]
        case .awayForTooLong: [Fault("the directory (LDAP) has been away for too long: nobody is let in")]
        }
    }

    /// Where files are written. SQLite's log of changes may take a write all the same, whose room it has had before.
    private func lookAtDisk() -> [Fault] {
        var folders: [(path: String, what: String)] = []
        if case .sqlite(let path) = node.data.database { folders.append((path, "the data folder")) }
        if node.chunks.place == .files, roles.contains(.api) { folders.append((node.data.chunkFolder, "the files of chunks")) }
        return folders.filter { folder in DataFolder.freeBytes(at: folder.path).map { $0 < Self.tooFewBytes } ?? false }
            .map { Fault("the disk of \($0.what) is full") }
    }

    /// Whether requests wait for the log's database. All processes do so at the same moment: if each said that it is not ready, a proxy
    /// would have nobody to let them wait.
    private func isMoving() -> Bool { node.readModel.isMoving }

    private func lookAtLog(_ lag: Lag) async -> [Fault] {
        do throws(DatabaseFault) { try node.readModel.check() } catch {
            // Where they lie is in the log.
            return [Fault("the database's files were removed or replaced, and nothing is written any more", detail: "\(error)")]
        }
        do {
            let condition = try await node.readModel.condition()
            var faults: [Fault] = []
            if !condition.canBeWritten { faults.append(Fault("the log's database can only be read")) }
            if let failed = node.committer.failed, .now - failed < Self.memory {
                faults.append(Fault("the last write to the log's database failed"))
            }
            if !condition.isKept { faults.append(Fault("no projector is at work: none holds the lease")) }
            let missing = lag.look(at: condition.position, end: condition.head)
            return faults + Self.tell(missing, "the read model")
        } catch {
            return isMoving() ? [] : [Fault("the log's database does not answer", detail: "\(error)")]
        }
    }

    /// What the read database cannot answer, the log's does.
    private func lookAtReplica(_ lag: Lag) async -> [Fault] {
        func fault(_ text: String, _ detail: String = "") -> Fault { Fault(text, isBearable: true, detail: detail) }
        do {
            // Whether the log's database answers is looked at by itself.
            guard let head = try? await node.readModel.condition().head else { return [] }
            guard let condition = try await node.readModel.replicaCondition() else { return [] }
            var faults: [Fault] = []
            if condition.isPaused { faults.append(fault("the replay of the read database is paused")) }
            if !condition.isStandby, !condition.isKept { faults.append(fault("no projector keeps the read database")) }
            let missing = lag.look(at: condition.position, end: head)
            return faults + Self.tell(missing, "the read database", isBearable: true)
        } catch {
            if let known = error as? DatabaseFault, case .corrupt = known.kind {
                return [fault("the read database is none of this log", "\(error)")]
            }
            return [fault("the read database does not answer", "\(error)")]
        }
    }

    /// A gateway without Redis opens no sockets. A front end gives no tickets then, which is no reason to do nothing else.
    private func look(at redis: Redis) -> [Fault] {
        let isBearable = !roles.contains(.gateway)
        return switch redis.condition {
        case .writable: []
        case .away where redis.isMoving: []
        case .away: [Fault("Redis is away: no sockets are opened", isBearable: isBearable)]
        case .refusing(let reason): [Fault("Redis takes no writes: no sockets are opened (\(reason))", isBearable: isBearable)]
        }
    }

    /// How long a write that has failed is remembered: where nobody tries again, nobody knows.
    private static let memory = Duration.seconds(10)

    /// With so little left nothing of any size can be written.
    private static let tooFewBytes: Int64 = 4 << 20

    private static func tell(_ missing: Lag.Missing?, _ name: String, isBearable: Bool = false) -> [Fault] {
        switch missing {
        case .events(let count): [Fault("\(name) is \(count) events behind the log", isBearable: isBearable)]
        case .time(let position): [Fault("\(name) stands still before position \(position.rawValue) of the log", isBearable: isBearable)]
        case nil: []
        }
    }
}

/// Tells whether something that follows the log does, by how many events it lacks and how long it has lacked them.
final class Lag: Sendable {
    enum Missing: Hashable, Sendable {
        case events(Int64)
        /// Nothing has come for so long that reads are not answered any more. What comes next is at this position.
        case time(Position)
    }

    /// How many events one that is ready may lack: a projector's batch.
    private static let limitEvents: Int64 = 1000
    /// As long as a read waits.
    private static let limit = Duration.seconds(5)

    /// Where it stood, and since when it has stood there with something to come.
    private let state = Mutex<(position: Position, since: ContinuousClock.Instant)?>(nil)

    /// - Parameter end: where the log ends, looked up no later than `position`.
    func look(at position: Position, end: Position, now: ContinuousClock.Instant = .now) -> Missing? {
        let standing = state.withLock { state -> Duration in
            guard position < end else {
                state = nil
                return .zero
            }
            if state?.position != position { state = (position, now) }
            return now - (state?.since ?? now)
        }
        let missing = end.rawValue - position.rawValue
        if missing > Self.limitEvents { return .events(missing) }
        return standing > Self.limit ? .time(position + 1) : nil
    }
}
