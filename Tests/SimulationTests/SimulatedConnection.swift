import Domain
import Sodium

@testable import Database
@testable import EventLog
@testable import Projections
@testable import ReadModel

/// A row of an answer.
struct SimulatedRow: Row {
    let values: [Value]

    private func missing<T>() -> T { preconditionFailure("a column is null, or of another kind") }

    func integer(_ column: Int) -> Int64 { integerOrNil(column) ?? missing() }
    func integerOrNil(_ column: Int) -> Int64? { if case .integer(let number) = values[column] { number } else { nil } }
    func text(_ column: Int) -> String { textOrNil(column) ?? missing() }
    func textOrNil(_ column: Int) -> String? { if case .text(let text) = values[column] { text } else { nil } }
    func blob(_ column: Int) -> [UInt8] { blobOrNil(column) ?? missing() }
    func blobOrNil(_ column: Int) -> [UInt8]? { if case .blob(let bytes) = values[column] { bytes } else { nil } }
}

/// A transaction: a copy of what was committed when it began, or when it got its last lock, with its own changes.
///
/// Safe: as the scheduler is.
final class SimulatedConnection: Connection, @unchecked Sendable {
    typealias Change = (inout Tables) -> Void

    let server: SimulatedServer
    let session: SimulatedServer.Session
    private(set) var tables: Tables
    /// What becomes of the tables that are committed by then.
    private(set) var changes: [Change] = []
    /// The lock that others hold: all is to be done again when they do not.
    private(set) var wanted: SimulatedServer.Lock?
    /// In nanoseconds.
    private(set) var lockPatience: Int64 = 30_000_000_000
    /// It need not be on the disk when it is committed.
    private(set) var mayBeLost = false

    init(_ server: SimulatedServer, _ session: SimulatedServer.Session) {
        (self.server, self.session) = (server, session)
        tables = server.committed
    }

    var dialect: Dialect { .postgres }

    func change(_ change: @escaping Change) {
        change(&tables)
        changes.append(change)
    }

    func lock(_ lock: SimulatedServer.Lock) throws(DatabaseFault) {
        guard server.take(lock, session) else {
            wanted = lock
            throw DatabaseFault(.conflict, "a lock is held by others")
        }
    }

    private func answer(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> [[Value]] {
        if let meaning = Meanings.all[statement.postgres] { return try meaning(self, values) }
        guard statement.postgres.hasPrefix("SET LOCAL") || statement.postgres.hasPrefix("SELECT set_config") else {
            preconditionFailure("nobody has said what this means:\n\(statement.postgres)")
        }
        if statement.postgres.contains("synchronous_commit = off") { mayBeLost = true }
        if statement.postgres.contains("lock_timeout = '500ms'") { lockPatience = 500_000_000 }
        return []
    }

    func execute(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> Int { try answer(statement, values).count }
    func enqueue(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) { _ = try answer(statement, values) }
    func enqueue(_ statement: SetStatement, rows: [[Value]]) throws(DatabaseFault) {
        guard rows.isEmpty else { preconditionFailure("nobody has said what this means:\n\(statement.whole.postgres)") }
    }
    func query<T>(_ statement: Statement, _ values: [Value], _ row: (any Row) throws -> T) throws -> [T] {
        try answer(statement, values).map { try row(SimulatedRow(values: $0)) }
    }
    func run(script: String) throws(DatabaseFault) { preconditionFailure("nobody has said what a script means") }
}

extension Value {
    var number: Int64 { if case .integer(let number) = self { number } else { preconditionFailure("a number was expected") } }
    var numberOrNil: Int64? { if case .integer(let number) = self { number } else { nil } }
    var string: String { if case .text(let text) = self { text } else { preconditionFailure("a text was expected") } }
    var strings: [String?] { if case .texts(let texts) = self { texts } else { preconditionFailure("texts were expected") } }
    var numbers: [Int64?] { if case .integers(let numbers) = self { numbers } else { preconditionFailure("numbers were expected") } }
    var byteStrings: [[UInt8]?] { if case .blobs(let blobs) = self { blobs } else { preconditionFailure("bytes were expected") } }
}

/// What each statement means that the program asks.
enum Meanings {
    typealias Meaning = @Sendable (SimulatedConnection, [Value]) throws(DatabaseFault) -> [[Value]]

    /// By the text for PostgreSQL; what is asked at two places stands at both.
    static let all: [String: Meaning] = Dictionary((log + appending + projecting + reading).map { ($0.0.postgres, $0.1) }) { first, _ in
        first
    }

    private static func columns(_ row: Tables.EventRow, _ tables: Tables, _ more: Value...) -> [Value] {
        [
            .integer(row.position), .integer(row.epoch), .text(row.stream), .integer(row.previous), .text(row.type), .integer(row.version),
            .integer(orNull: row.actor), .text(orNull: row.session), .integer(row.occurredAt), .blob(row.payload),
            .blob(orNull: tables.streams[row.stream]?.key),
        ] + more
    }

    private static func touching(_ stream: String, after position: Int64, _ tables: Tables) -> [Tables.EventRow] {
        (tables.touches[stream] ?? []).filter { $0 > position }.sorted().compactMap { tables.event(at: $0) }
    }

    // MARK: The log

    private static let log: [(Statement, Meaning)] = [
        (EventLog.selectHead, { connection, _ in [[.integer(connection.tables.head), .integer(connection.tables.epoch)]] }),
        (
            Epochs.select,
            { connection, _ in connection.tables.epochs.map { [.integer($0.epoch), .integer($0.first)] } }
        ),
        (
            EventLog.selectStreams,
            { connection, values in
                values[0].strings.compactMap { $0 }.compactMap { name in
                    connection.tables.streams[name].map { [.text(name), .integer($0.head), .blob(orNull: $0.key)] }
                }
            }
        ),
        (
            EventLog.selectTails,
            { connection, values in
                zip(values[0].strings, values[1].numbers).flatMap { name, position in
                    touching(name ?? "", after: position ?? 0, connection.tables).map { columns($0, connection.tables, .text(name ?? "")) }
                }
            }
        ),
        (
            EventLog.selectClaims,
            { connection, values in
                values[0].strings.compactMap { $0 }.compactMap { key in
                    connection.tables.claims[key].map { [.text(key), .integer($0)] }
                }
            }
        ),
        (
            EventLog.selectTail,
            { connection, values in
                touching(values[0].string, after: values[1].number, connection.tables).map { columns($0, connection.tables) }
            }
        ),
        (
            EventLog.selectBoundedTail,
            { connection, values in
                touching(values[0].string, after: values[1].number, connection.tables).prefix(Int(values[2].number)).map {
                    columns($0, connection.tables, .integer(Int64($0.payload.count)))
                }
            }
        ),
        (
            EventLog.selectBatch,
            { connection, values in
                let start = connection.tables.index(after: values[0].number)
                return connection.tables.events[start...].prefix(Int(values[1].number)).map {
                    columns($0, connection.tables, .integer(Int64($0.payload.count)))
                }
            }
        ),
        (
            EventLog.selectLines,
            { connection, values in
                let start = connection.tables.index(after: values[0].number)
                return connection.tables.events[start...].prefix(Int(values[1].number)).map {
                    [
                        .integer($0.position), .integer($0.epoch), .integer($0.occurredAt), .text($0.type), .text($0.stream),
                        .integer(orNull: $0.actor), .text(orNull: $0.session),
                    ]
                }
            }
        ),
        (
            EventLog.selectStreamsAfter,
            { connection, values in
                let start = connection.tables.index(after: values[0].number)
                let streams = connection.tables.events[start...].prefix { $0.position <= values[1].number }.map(\.stream)
                return Set(streams).sorted().map { [.text($0)] }
            }
        ),
    ]

    // MARK: Appending

    private static let appending: [(Statement, Meaning)] = [
        (
            EventLog.selectHeadForUpdate,
            { connection, _ throws(DatabaseFault) in
                try connection.lock(.head)
                return [[.integer(connection.tables.head)]]
            }
        ),
        (PostgresAppender.append, append),
        (
            PostgresAppender.beginEpoch,
            { connection, _ throws(DatabaseFault) in
                try connection.lock(.head)
                guard connection.server.fault != .epochNotBegun else { return [[.integer(0)]] }
                let (here, tables) = ("\(connection.server.incarnation)", connection.tables)
                guard let present = tables.epochs.lastIndex(where: { $0.epoch == tables.epoch }) else {
                    preconditionFailure("the log's epoch is known")
                }
                let known = tables.epochs[present].place
                if known == nil { connection.change { $0.epochs[present].place = here } }
                guard let known, known != here else { return [[.integer(0)]] }
                let later = max(tables.epoch + 1, connection.server.now / 1_000_000)
                connection.change { tables in
                    tables.epochs.append(Tables.EpochRow(epoch: later, first: tables.head + 1, place: here))
                    tables.epoch = later
                }
                return [[.integer(1)]]
            }
        ),
    ]

    /// What `apus_append` does, step for step.
    private static let append: Meaning = { connection, values throws(DatabaseFault) in
        let (server, fault) = (connection.server, connection.server.fault)
        if fault != .sequence { try connection.lock(.head) }
        let tables = connection.tables
        let here = "\(server.incarnation)"
        if fault != .epochNotBegun, tables.epochs.last(where: { $0.epoch == tables.epoch })?.place != here {
            throw DatabaseFault(.raised(code: "AP003", message: "history has forked"), "")
        }
        guard tables.epoch == values[0].number else { throw DatabaseFault(.raised(code: "AP001", message: "[]"), "") }
        let moved = zip(values[1].strings, values[2].numbers).contains { (tables.streams[$0 ?? ""]?.head ?? 0) != $1 }
        guard !moved else { throw DatabaseFault(.raised(code: "AP001", message: "[]"), "") }
        let (keys, claiming, holders) = (values[3].strings.map { $0 ?? "" }, values[4].numbers.map { $0 ?? 0 }, values[5].numbers)
        let repeatable = values[6].strings.map { $0 == "true" }
        let lookedUp = connection.session.claims ?? tables.claims
        let taken = keys.indices.filter { index in
            guard let holder = lookedUp[keys[index]] else { return false }
            return !(repeatable[index] && holder == holders[index])
        }
        guard taken.isEmpty else {
            let pairs = taken.map { "[\"\(keys[$0])\", \(lookedUp[keys[$0]] ?? 0)]" }
            throw DatabaseFault(.raised(code: "AP002", message: "[\(pairs.joined(separator: ", "))]"), "")
        }

        let (streams, previous, types) = (values[10].strings, values[11].numbers.map { $0 ?? 0 }, values[12].strings.map { $0 ?? "" })
        let base = fault == .sequence ? server.sequence : tables.head
        if fault == .sequence { server.sequence += Int64(streams.count) }
        let (touched, touching, newKeys) = (values[7].strings, values[8].numbers.map { $0 ?? 0 }, values[9].byteStrings)
        connection.change { tables in
            for (index, key) in keys.enumerated() where tables.claims[key] == nil {
                tables.claims[key] = holders[index] ?? base + claiming[index]
            }
            for (index, number) in touching.enumerated() {
                let name = touched[index] ?? "user/\(base + number)"
                tables.streams[name] = Tables.StreamRow(
                    head: max(base + number, tables.streams[name]?.head ?? 0), key: tables.streams[name]?.key ?? newKeys[index])
                tables.touches[name, default: []].append(base + number)
            }
            for number in streams.indices {
                let position = base + Int64(number) + 1
                tables.insert(
                    Tables.EventRow(
                        position: position, epoch: tables.epoch, stream: streams[number] ?? "user/\(position)",
                        previous: previous[number] < 0 ? base - previous[number] : previous[number], type: types[number],
                        version: values[13].numbers[number] ?? 0, actor: values[14].numbers[number], session: values[15].strings[number],
                        occurredAt: values[17].numbers[number] ?? 0, payload: values[18].byteStrings[number] ?? []))
            }
            tables.head = max(tables.head, base + Int64(streams.count))
        }
        return [[.integer(base)]]
    }

    // MARK: Projecting

    private static let projecting: [(Statement, Meaning)] = [
        (Projector.selectStart, { connection, _ in [[.integer(connection.tables.rows.position)]] }),
        (Projector.selectStandbys, { _, _ in [[.integer(0)]] }),
        (
            Projector.acquire,
            { connection, values throws(DatabaseFault) in
                guard connection.tables.leaseUntil < connection.server.now else { return [] }
                try connection.lock(.projection)
                let (fence, until) = (connection.tables.fence + 1, connection.server.now + 3_000_000)
                connection.change { ($0.holder, $0.fence, $0.leaseUntil) = (values[0].string, fence, until) }
                return [[.integer(fence)]]
            }
        ),
        (
            Projector.prolong,
            { connection, values throws(DatabaseFault) in
                let until = connection.server.now + 3_000_000
                if connection.server.fault == .noFence, let believed = connection.server.believed { return [[.integer(believed)]] }
                guard connection.tables.holder == values[0].string, connection.tables.fence == values[1].numberOrNil else { return [] }
                try connection.lock(.projection)
                connection.change { $0.leaseUntil = until }
                return [[.integer(connection.tables.rows.position)]]
            }
        ),
        (
            Projector.giveBack,
            { connection, values throws(DatabaseFault) in
                guard connection.tables.holder == values[0].string, connection.tables.fence == values[1].numberOrNil else { return [] }
                try connection.lock(.projection)
                connection.change { $0.leaseUntil = .min }
                return []
            }
        ),
        // It is always counted what collections hold: nobody has a quota.
        (Checkpoint.select, { connection, _ in [[.integer(connection.tables.rows.position), .integer(0), .integer(0)]] }),
        (Counting.selectPosition, { connection, _ in [[.integer(connection.tables.rows.position)]] }),
    ]

    // MARK: Reading

    private static let reading: [(Statement, Meaning)] = [
        (Snapshot.selectCheckpoint, { connection, _ in [[.integer(connection.tables.rows.position)]] }),
        (
            Snapshot.selectAccess,
            { connection, values in
                guard let collection = connection.tables.rows.collections[values[0].string],
                    let member = collection.members[values[1].number]
                else { return [] }
                return [[.integer(collection.id), .integer(member.level), .integer(collection.changed)]]
            }
        ),
        (
            Snapshot.selectAudience,
            { connection, values in
                let tables = connection.tables
                guard let collection = tables.rows.collections[values[0].string] else { return [] }
                let hasTail = (tables.streams["collection/\(values[0].string)"]?.head ?? 0) > tables.rows.position
                let members: [Int64?] = collection.members.isEmpty ? [nil] : collection.members.keys.sorted()
                return members.map { member in
                    [
                        .integer(collection.id), .integer(collection.changed), .flag(hasTail), .integer(orNull: member),
                        .integer(collection.owner), .integer(tables.epoch),
                    ]
                }
            }
        ),
        (
            Sessions.selectUsers,
            { connection, values in
                let tables = connection.tables
                return values[0].strings.compactMap { $0 }.compactMap { token in
                    guard let user = tables.tokens[token] else { return nil }
                    return [
                        .text(token), .integer(user), .integer(orNull: tables.rows.users[user].map { $0.isActive ? 1 : 0 }),
                        .integer(tables.streams["user/\(user)"]?.head ?? 0), .integer(tables.rows.position),
                    ]
                }
            }
        ),
        (
            Sessions.deleteToken,
            { connection, values in
                connection.change { $0.tokens[values[0].string] = nil }
                return []
            }
        ),
        (
            Snapshot.selectStokenAt,
            { connection, values in
                let position = values[0].number
                guard let epoch = connection.tables.rows.epochs[position] else { return [] }
                return [[.text(World.stokens.stoken(LogHead(position: Position(rawValue: position), epoch: epoch)))]]
            }
        ),
        (Snapshot.selectPositionOfStoken, { _, _ in [] }),
        (
            Snapshot.selectState,
            { connection, values in
                guard let collection = connection.tables.rows.collections[values[0].string] else { return [] }
                return [[.integer(collection.id), .integer(collection.owner), .integer(collection.changed)]]
            }
        ),
        (
            Snapshot.ofCollection.members,
            { connection, values in
                collection(values[0].number, connection).members.sorted { $0.key < $1.key }.map {
                    [.integer($0.key), .integer($0.value.level), .integer($0.value.stoken)]
                }
            }
        ),
        (Snapshot.ofCollection.invitations, { _, _ in [] }),
        (
            Snapshot.ofCollection.etags,
            { connection, values in
                let items = collection(values[0].number, connection).items
                return values[1].strings.compactMap { $0 }.compactMap { name in
                    items[name]?.revisions.last.map { [.text(name), .text($0.uid)] }
                }
            }
        ),
        (Snapshot.selectOfOwner, { _, _ in [] }),
        (
            Snapshot.selectKnown,
            { connection, values in
                let items = collection(values[2].number, connection).items
                return zip(values[0].numbers, values[1].strings).compactMap { length, uid in
                    for (name, item) in items {
                        guard let found = item.revisions.first(where: { $0.uid == uid && Int64($0.meta.count) == length }) else { continue }
                        return [.integer(found.id), .text(found.uid), .text(name), .blob(found.meta), .flag(found.isDeleted), .integer(0)]
                    }
                    return nil
                }
            }
        ),
        (
            Snapshot.selectChanges,
            { connection, values in
                let rows = connection.tables.rows
                let main = rows.names[values[0].number]
                let changed = collection(values[0].number, connection).items.filter {
                    $0.value.changed > values[1].number && (values[2].number == 1 || $0.key != main)
                }
                return changed.sorted { $0.value.changed < $1.value.changed }.prefix(Int(values[3].number)).compactMap { name, item in
                    guard let revision = item.revisions.last else { return nil }
                    return [
                        .text(name), .integer(item.version), .null, .null, .integer(item.changed), .integer(revision.id),
                        .text(revision.uid), .blob(revision.meta), .integer(Int64(revision.meta.count)), .flag(revision.isDeleted),
                        .integer(item.id),
                    ]
                }
            }
        ),
        (Snapshot.selectMentions, { _, _ in [] }),
        (Snapshot.selectNewContents, { _, _ in [] }),
        (
            Snapshot.selectAccountsByName,
            { connection, values in
                connection.tables.rows.users.filter { $0.value.name == values[0].string }.map { id, user in
                    [
                        .integer(id), .text(user.name), .text(""), .flag(user.isActive), .integer(1), .blob([1]), .blob([1]), .blob([1]),
                        .blob([1]),
                    ]
                }
            }
        ),
    ]

    private static func collection(_ id: Int64, _ connection: SimulatedConnection) -> Rows.Collection {
        guard let name = connection.tables.rows.names[id], let collection = connection.tables.rows.collections[name] else {
            preconditionFailure("a collection was found by its uid before")
        }
        return collection
    }
}
