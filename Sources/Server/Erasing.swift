internal import Contents
internal import Database
package import Domain
internal import EventLog
internal import ReadModel
internal import Replay
internal import Sodium

extension Node {
    /// How often it is tried again when others write to the same collections at the same moment.
    private static let attempts = 20

    /// Erases a user for good: keeps the user out, rewrites the history, and removes what lies in files.
    ///
    /// - Parameters:
    ///   - isActive: whether the user is not kept out already.
    ///   - actor: whose wish it is.
    ///   - tell: called when the user is kept out, for those who hold open sockets.
    ///   - decided: called before anything goes for good; it may throw what keeps it from that.
    /// - Returns: what the rewritten events are now.
    /// - Throws: `Refusal` where others always come in between; `DatabaseFault`. Whoever asks again finishes what was begun.
    package func erase(
        _ name: String, _ user: UserID, isActive: Bool, by actor: Actor, tell: @Sendable () async -> Void,
        decided: @Sendable () async throws -> Void = {}
    ) async throws -> RedactionProof {
        // Whoever goes on writing would be in the way.
        if isActive {
            try await door.commit(ChangeUserActivity(username: name, isActive: false), by: actor, at: Self.clock())
            await tell()
        }
        try await decided()
        let (proof, files) = try await rewrite(name, by: actor)
        // What is not projected yet is still there.
        _ = try await readModel.snapshot { try $0.account(user) }
        // From here on nothing is lost when the process ends: whoever is told to erase somebody again finishes it.
        let named = Set(try await readModel.snapshot { try $0.named(files) }.map { ExactText($0) })
        // Rows of others that name a file too are adopted ones.
        for file in files where !named.contains(ExactText(file)) { _ = try chunks.files.remove(file, before: Timestamp.always.upperBound) }
        _ = try await finishErasures()
        return proof
    }

    /// Removes the files that earlier erasures have left.
    ///
    /// - Returns: how many there were.
    package func finishErasures() async throws -> Int {
        let waste = Waste(database: database, chunks: chunks) { position in
            try await readModel.snapshot { try $0.require(position) }
        }
        let report = try await waste.finishErasures()
        return report.files.count + report.objects.count
    }

    private func rewrite(_ name: String, by actor: Actor) async throws -> (RedactionProof, files: [String]) {
        for attempt in 1... {
            let command = EraseUser(username: name)
            let (prepared, files) = try await readModel.snapshot { snapshot in
                (try snapshot.prepare(command), try snapshot.erasure(named: command.name).files)
            }
            do {
                let events = try await door.commit(prepared, by: actor, at: Self.clock(), key: SealKey(secret: secret.value))
                for case .userErased(let event) in events.map(\.event) { return (event.redaction, files) }
                preconditionFailure("an erasure is recorded")
            } catch let fault as DatabaseFault {
                guard case .conflict = fault.kind, attempt < Self.attempts else { throw fault }
            } catch let refusal as Refusal {
                // Somebody has come to a collection that was to go, or has left one.
                guard attempt < Self.attempts else { throw refusal }
            }
        }
        preconditionFailure("a loop without an end has ended")
    }
}
