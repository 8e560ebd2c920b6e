package import Database
package import Domain
internal import Sodium

/// Appends adopted records, in the caller's writing transaction, in which nobody else appends.
///
/// Unlike a command they are not decided: they have happened. Whoever appends them puts them into the read model in the same
/// transaction. What is held in memory is one batch.
package struct AdoptionAppend {
    /// How many events are written together.
    private static let batchLimit = 500

    private let connection: any Connection
    private let time: Timestamp
    private var head: LogHead
    private var waiting: [RecordsAdopted] = []
    /// How many events were appended.
    package private(set) var count = 0

    /// Goes on after the last event.
    package init(_ connection: any Connection, at time: Timestamp) throws {
        self.connection = connection
        self.time = time
        head = try EventLog.head(connection)
    }

    /// Lets an empty log begin after a position: its events and stokens are then above everything that has an id already.
    package static func begin(after base: Position, _ connection: any Connection) throws {
        let isEmpty = try EventLog.head(connection).position == .none
        precondition(isEmpty, "only an empty log can begin somewhere else")
        try connection.execute(AppendRows.updateHead, [.integer(base.rawValue)])
        try connection.execute(Self.updateFirstPosition, [.integer(base.rawValue + 1)])
    }

    /// Appends an event, perhaps not before ``finish()``.
    package mutating func append(_ event: RecordsAdopted) throws {
        waiting.append(event)
        if waiting.count >= Self.batchLimit { try write() }
    }

    /// Appends what waits.
    ///
    /// - Returns: where the log ends.
    package mutating func finish() throws -> Position {
        try write()
        return head.position
    }

    private mutating func write() throws {
        guard !waiting.isEmpty else { return }
        let names = Set(waiting.flatMap { [$0.owner] + Event.recordsAdopted($0).touches })
        let known = try EventLog.streams(Array(names), connection)
        var streams = Dictionary(
            uniqueKeysWithValues: names.map { name in
                (name, known[name] ?? (head: .none, key: Sodium.randomBytes(SecretBox.keyBytes)))
            })
        var records: [RecordedEvent] = []
        for adopted in waiting {
            head = LogHead(position: head.position + 1, epoch: head.epoch)
            let record = RecordedEvent(
                position: head.position, epoch: head.epoch, stream: adopted.owner, previous: streams[adopted.owner]?.head ?? .none,
                actor: .operator, occurredAt: time, event: .recordsAdopted(adopted))
            for stream in record.streams { streams[stream]?.head = head.position }
            records.append(record)
        }
        try AppendRows(records, keys: streams.mapValues(\.key)).write(connection, isAdoption: true)
        count += waiting.count
        waiting.removeAll(keepingCapacity: true)
    }

    private static let updateFirstPosition = Statement("UPDATE apus_epoch SET first_position = $1")
}
