public import Database
internal import Domain

/// Seals the log, stretch by stretch.
public struct Sealer: Sendable {
    /// How many events a seal covers at most.
    static let stretchEvents = 1024

    private let database: any Database
    private let key: SealKey

    public init(database: any Database, key: SealKey) {
        self.database = database
        self.key = key
    }

    /// Seals everything that is in the log now.
    ///
    /// - Throws: `DatabaseFault`, also when the log has a gap behind the last seal: nothing is sealed over it.
    public func seal() async throws {
        while try await sealNext() {}
    }

    /// The newest seal; nil while there is none.
    public func newest() async throws -> Seal? {
        try await database.read { [key] connection in
            try connection.first(Self.selectNewest, []) { row in
                Seal(position: Position(rawValue: row.integer(0)), hash: row.blob(1), signature: row.blob(2), publicKey: key.publicKey)
            }
        }
    }

    /// Seals the next stretch.
    ///
    /// - Returns: false when there is no more to seal, or somebody else has just done it. What came meanwhile is left to the next
    ///   time: seals of a few events each, with a commit for each, would cost those who write more than the hashing does.
    private func sealNext() async throws -> Bool {
        let next = try await database.read { connection in
            let before = try connection.first(Self.selectNewest, []) { (position: Position(rawValue: $0.integer(0)), hash: $0.blob(1)) }
            let first = try before.map { $0.position + 1 } ?? Self.firstPosition(connection)
            let events = try StoredEvent.after(first + -1, limit: Self.stretchEvents, connection)
            for (index, event) in events.enumerated() where event.position != first + index {
                throw DatabaseFault(.corrupt, "the log has no position \(first.rawValue + Int64(index)), and is not sealed any further")
            }
            return events.isEmpty ? nil : (Stretch(first: first, events: events.flatMap(\.hash)), before?.hash ?? [])
        }
        guard let (stretch, before) = next else { return false }
        let seal = key.seal(stretch.hash(after: before), at: stretch.last)
        do {
            try await database.write { connection in
                _ = try connection.execute(
                    Self.insert,
                    [
                        .integer(seal.position.rawValue), .integer(stretch.first.rawValue), .blob(stretch.events), .blob(seal.hash),
                        .blob(seal.signature),
                    ])
            }
        } catch let fault as DatabaseFault {
            guard case .constraint = fault.kind else { throw fault }
            return false
        }
        return stretch.count == Self.stretchEvents
    }

    /// Where the log begins.
    static func firstPosition(_ connection: any Connection) throws -> Position {
        try Epochs(connection).firsts.first?.position ?? .none + 1
    }

    private static let selectNewest = Statement("SELECT position, hash, signature FROM apus_seal ORDER BY position DESC LIMIT 1")

    private static let insert = Statement(
        "INSERT INTO apus_seal (position, first_position, events, hash, signature) VALUES ($1, $2, $3, $4, $5)")
}
