package import Database
package import Domain

/// How far a read model is, and the last ids that were given there: its one row in `apus_projection`, written in the transaction
/// of the rows that it speaks of. The columns beside these are the lease's (``Projector``).
package struct Checkpoint: Equatable, Sendable {
    package var position: Position
    package var lastChunkID: Int64
    package var lastRelationID: Int64

    /// Nil where the row is missing.
    package init?(_ connection: any Connection) throws {
        guard let checkpoint = try connection.first(Self.select, [], Checkpoint.init) else { return nil }
        self = checkpoint
    }

    private init(_ row: any Row) {
        position = Position(rawValue: row.integer(0))
        (lastChunkID, lastRelationID) = (row.integer(1), row.integer(2))
    }

    /// The question for the row.
    static func query(_ read: @escaping (Checkpoint) -> Void) -> Query { Query(select, []) { read(Checkpoint($0)) } }

    /// Writes the row, whether or not it is there, in the caller's transaction and at once.
    package func save(_ connection: any Connection) throws {
        try connection.execute(Self.upsert, values)
    }

    /// Moves the row that is there, with what else is written.
    func move(_ connection: any Connection) throws { try connection.enqueue(Self.update, values) }

    /// Lets an empty read model begin behind a position: the log of an adopted database has no first position of 1.
    package static func begin(after base: Position, _ connection: any Connection) throws {
        try connection.execute(start, [.integer(base.rawValue)])
        // Of nothing all is counted.
        try Counting.move(from: .none, to: base, connection)
    }

    private var values: [Value] { [.integer(position.rawValue), .integer(lastChunkID), .integer(lastRelationID)] }

    static let select = Statement("SELECT position, last_chunk_id, last_relation_id FROM apus_projection")

    private static let start = Statement("UPDATE apus_projection SET position = $1 WHERE position = 0")

    private static let update = Statement("UPDATE apus_projection SET position = $1, last_chunk_id = $2, last_relation_id = $3")

    private static let upsert = Statement(
        """
        INSERT INTO apus_projection (id, position, last_chunk_id, last_relation_id) VALUES (1, $1, $2, $3)
        ON CONFLICT (id) DO UPDATE
        SET position = excluded.position, last_chunk_id = excluded.last_chunk_id, last_relation_id = excluded.last_relation_id
        """)
}
