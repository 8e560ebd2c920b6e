package import Database
internal import Domain

/// Seals the log, stretch by stretch.
package struct Sealer: Sendable {
    /// How many events a seal covers at most.
    static let stretchEvents = 1024
    /// How many seals are written at once: each commit of seals is one that those who write have to wait for.
    private static let sealsAtOnce = 64

    private let database: any Database
    private let key: SealKey

    package init(database: any Database, key: SealKey) {
        self.database = database
        self.key = key
    }

    /// Seals everything that is in the log now.
    ///
    /// - Throws: `DatabaseFault`, also when the log has a gap behind the last seal: nothing is sealed over it.
    package func seal() async throws {
        while try await sealSome() {}
    }

    /// The newest seal; nil while there is none.
    package func newest() async throws -> Seal? {
        try await database.read { [key] connection in
            try connection.first(Self.selectNewest, []) { row in
                Seal(position: Position(rawValue: row.integer(0)), hash: row.blob(1), signature: row.blob(2), publicKey: key.publicKey)
            }
        }
    }

    /// Seals the next stretches.
    ///
    /// - Returns: false when there is no more to seal, or somebody else has just done it. What came meanwhile is left to the next
    ///   time: seals of a few events each, with a commit for each, would cost those who write more than the hashing does.
    private func sealSome() async throws -> Bool {
        var newest = try await newest()
        var stretches: [(stretch: Stretch, seal: Seal)] = []
        var isMore = true
        while isMore, stretches.count < Self.sealsAtOnce, let stretch = try await stretch(after: newest?.position) {
            let seal = key.seal(stretch.hash(after: newest?.hash ?? []), at: stretch.last)
            stretches.append((stretch, seal))
            newest = seal
            isMore = stretch.count == Self.stretchEvents
        }
        guard !stretches.isEmpty else { return false }
        do {
            try await database.write { [stretches] connection in
                for (stretch, seal) in stretches {
                    try connection.enqueue(
                        Self.insert,
                        [
                            .integer(seal.position.rawValue), .integer(stretch.first.rawValue), .blob(stretch.events), .blob(seal.hash),
                            .blob(seal.signature),
                        ])
                }
            }
        } catch let fault as DatabaseFault {
            guard case .constraint = fault.kind else { throw fault }
            return false
        }
        return isMore
    }

    /// The events after a seal, as far as one seal may reach; nil where there are none.
    private func stretch(after position: Position?) async throws -> Stretch? {
        try await database.read { connection in
            let first = try position.map { $0 + 1 } ?? Self.firstPosition(connection)
            let events = try StoredEvent.after(first + -1, limit: Self.stretchEvents, connection)
            for (index, event) in events.enumerated() where event.position != first + index {
                throw DatabaseFault(.corrupt, "the log has no position \(first.rawValue + Int64(index)), and is not sealed any further")
            }
            return events.isEmpty ? nil : Stretch(first: first, events: events.flatMap(\.hash))
        }
    }

    /// Where the log begins.
    static func firstPosition(_ connection: any Connection) throws -> Position {
        try Epochs(connection).firsts.first?.position ?? .none + 1
    }

    private static let selectNewest = Statement("SELECT position, hash, signature FROM apus_seal ORDER BY position DESC LIMIT 1")

    private static let insert = Statement(
        "INSERT INTO apus_seal (position, first_position, events, hash, signature) VALUES ($1, $2, $3, $4, $5)")
}
