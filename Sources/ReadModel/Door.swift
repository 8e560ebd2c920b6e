package import Contents
internal import Database
package import Domain
package import EventLog

/// The one door to the log: whoever wants something to happen, a client or the operator, commits a command here.
///
/// A command is prepared in a snapshot, which reads what it needs to know as of the end of the log, and decided again in the
/// transaction that appends what it comes to, on what has happened since.
package struct Door: Sendable {
    private let readModel: ReadModel
    private let committer: Committer
    private let chunks: ContentStores

    /// - Parameters:
    ///   - committer: its service is run by whoever made it.
    ///   - chunks: where contents go that come with commands.
    package init(readModel: ReadModel, committer: Committer, chunks: ContentStores) {
        self.readModel = readModel
        self.committer = committer
        self.chunks = chunks
    }

    /// Carries out a command.
    ///
    /// - Parameter time: when it was asked for.
    /// - Returns: its events, which are then durable and visible to every reader.
    /// - Throws: ``Refusal`` when the rules say no, ``LogFault`` or `DatabaseFault` when it could not be done; nothing has
    ///   changed then.
    @discardableResult
    package func commit<C: Command>(_ command: C, by actor: Actor, at time: Timestamp) async throws -> [RecordedEvent]
    where C.Needs: ReadNeeds {
        try await commit(readModel.snapshot(.small) { try $0.prepare(command) }, by: actor, at: time)
    }

    /// Carries out the command that follows from what is found, in the snapshot in which it is prepared. Looking may take its time.
    ///
    /// - Parameter make: may run several times.
    /// - Throws: as ``commit(_:by:at:)`` does; and what `make` throws.
    @discardableResult
    package func commit<C: Command>(
        by actor: Actor, at time: Timestamp, _ make: @escaping @Sendable (Snapshot) throws -> C
    ) async throws -> [RecordedEvent] where C.Needs: ReadNeeds {
        try await commit(readModel.snapshot(.large) { try $0.prepare(make($0)) }, by: actor, at: time)
    }

    /// Carries out a command that was prepared.
    ///
    /// - Parameter bytes: how much memory it holds while it waits, roughly.
    /// - Throws: as ``commit(_:by:at:)`` does.
    @discardableResult
    package func commit<C: Command>(
        _ prepared: Prepared<C>, by actor: Actor, at time: Timestamp, holding bytes: Int = 0
    ) async throws -> [RecordedEvent] {
        try await committer.commit(prepared.submission(by: actor, at: time, bytes: bytes))
    }

    /// Carries out a command on a collection, with contents of chunks; those that the command stores are written with it.
    ///
    /// - Parameter bytes: how much memory it holds while it waits, roughly, the contents among it.
    /// - Throws: as ``commit(_:by:at:)`` does.
    @discardableResult
    package func commit<C: Command>(
        _ prepared: Prepared<C>, with contents: [ChunkUID: [UInt8]], by actor: Actor, at time: Timestamp, holding bytes: Int
    ) async throws -> [RecordedEvent] where C.Needs == CollectionNeeds {
        var prepared = prepared
        var earlier: PlacedContents?
        for _ in 0..<Self.attempts {
            let placed = try await PlacedContents(
                contents, in: chunks, for: prepared.command, on: prepared.state, by: actor.user, after: earlier)
            do {
                let events = try await committer.commit(prepared.submission(by: actor, at: time, bytes: bytes, writes: placed.writes))
                try await placed.settle()
                return events
            } catch Refusal.usageUnknown {
                earlier = placed
                prepared = try await readModel.snapshot(.small) { [command = prepared.command] in try $0.prepare(command) }
            }
        }
        throw LogFault.overloaded
    }

    /// How often is looked again what an owner's collections hold.
    private static let attempts = 8

    /// Carries out a command that rewrites history.
    ///
    /// - Parameter key: what the log is sealed with.
    /// - Throws: as ``commit(_:by:at:)`` does, also where others have come to what was to go; `DatabaseFault` of kind `conflict`
    ///   where somebody has written meanwhile: prepare it again, and try again.
    @discardableResult
    package func commit<C: Redacting>(
        _ prepared: Prepared<C>, by actor: Actor, at time: Timestamp, key: SealKey
    ) async throws -> [RecordedEvent] {
        try await committer.commit(prepared.command, on: prepared.state, asOf: prepared.head, by: actor, at: time, key: key) {
            try TableContents.delete($0, of: $1, $2)
        }
    }
}

/// A command with what it needs to know, as it was read in one snapshot.
package struct Prepared<C: Wish>: Sendable {
    package let command: C
    package let state: C.Needs.State
    /// Where the log ended then.
    fileprivate let head: LogHead

    fileprivate init(_ command: C, _ state: C.Needs.State, asOf head: LogHead) {
        self.command = command
        self.state = state
        self.head = head
    }
}

extension Prepared where C: Command {
    /// What the committer takes.
    package func submission(
        by actor: Actor, at time: Timestamp, bytes: Int = 0, writes: @escaping @Sendable ([Event]) -> [Write] = { _ in [] }
    ) -> Submission {
        Submission(command, on: state, asOf: head, by: actor, at: time, bytes: bytes, writes: writes)
    }
}

extension Snapshot {
    /// Reads what a command needs to know.
    package func prepare<C: Wish>(_ command: C) throws -> Prepared<C> where C.Needs: ReadNeeds {
        Prepared(command, try command.needs.read(self), asOf: try logHead())
    }
}

/// What can be read in a snapshot.
package protocol ReadNeeds: Needs {
    /// Reads it, as of the end of the log.
    func read(_ snapshot: Snapshot) throws -> State
}

extension CollectionNeeds: ReadNeeds {
    package func read(_ snapshot: Snapshot) throws -> CollectionState { try snapshot.state(self) }
}

extension ErasureNeeds: ReadNeeds {
    package func read(_ snapshot: Snapshot) throws -> ErasureState { try snapshot.state(self) }
}

extension AccountNeeds: ReadNeeds {
    package func read(_ snapshot: Snapshot) throws -> UserState { try snapshot.state(self) }
}
