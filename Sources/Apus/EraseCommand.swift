internal import API
internal import ArgumentParser
internal import Contents
internal import Database
internal import Domain
internal import EventLog
internal import Logging
internal import ReadModel
internal import Replay
internal import Server
internal import Sodium

/// `apus user erase`
struct EraseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "erase", abstract: "Erases a user for good: the account and everything that was nobody else's.",
        discussion: """
            Of the account nothing stays but a number: no name, no address, no keys, no logins. The collections in which nobody else \
            is a member go with all their items, revisions and contents. The user leaves the collections of others; what is in those \
            stays, also what the user wrote there. The history keeps that things happened, and when; `apus log verify` still proves it.

            There is no way back, but a backup: backups that were made before hold everything until they are deleted, and so do \
            archived write-ahead logs of PostgreSQL. A server may run; on SQLite the file is written anew in the end, and whoever writes \
            waits for it. An erasure that was interrupted is finished by giving the same command again.
            """)

    @Argument(help: "The name.")
    var name: String

    @Flag(help: "Changes nothing, and tells what would be erased.")
    var dryRun = false

    @Flag(name: .shortAndLong, help: "Does not ask.")
    var yes = false

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        let environment = try dataOptions.environment()
        guard dryRun || yes || Terminal.isThere else {
            throw OperatorFault(
                "an erasure cannot be undone and there is no terminal to ask on: give --yes, or --dry-run to see what would go")
        }
        let node = try await Node(dataOptions, environment, redis: environment.redis(logger: .ofCommand), logger: .ofCommand)
        try await withMistakesTold { try await node.requireKnownStores() }
        let outcome = try await node.committing {
            let (found, going) = try await node.readModel.snapshot { snapshot in
                let (state, files) = try snapshot.erasure(named: CanonicalName(name))
                return (state, try snapshot.extent(of: state, files: files))
            }
            guard let erasure = found.erasure, !Username.isErased(found.user.username) else {
                guard !dryRun, try await node.finishErasures() > 0 else {
                    throw ValidationError("there is no account \(name): `apus user list` lists them")
                }
                return Outcome.finished
            }
            tell(found, erasure, going)
            guard !dryRun, yes || Terminal.agrees("Erase \(name) for good?") else { return .unchanged }
            let proof: RedactionProof
            do {
                proof = try await node.erase(name, erasure.user, isActive: found.user.isActive, by: .operator) {
                    _ = await node.announce(changed: erasure.user)
                }
            } catch let refusal as Refusal { throw ValidationError(refusal.words) }
            return .erased(proof)
        }
        switch outcome {
        case .unchanged: return print("Nothing was changed.")
        case .erased(let proof): print("\(name) is erased: \(proof.count) events were rewritten.")
        case .finished:
            print("There is no account \(name). An earlier erasure was interrupted; the files that it has left are removed now.")
        }
        do {
            if try await !node.compact() {
                print("PostgreSQL lets go of the old rows with its next vacuum; VACUUM FULL does so at once, but keeps everybody waiting.")
            }
        } catch let fault as DatabaseFault {
            throw ValidationError(
                "the file of the database could not be written anew, and may still hold remains where rows were (\(fault)): "
                    + "run `VACUUM` on it when there is time and space")
        }
        try node.close()
    }

    private enum Outcome: Sendable {
        case unchanged
        case erased(RedactionProof)
        /// There was no such account, and an earlier erasure was finished.
        case finished
    }

    private func tell(_ state: ErasureState, _ erasure: Erasure, _ going: ErasureExtent) {
        let shared = state.collections.filter { !erasure.collections.contains($0.uid) && $0.members[erasure.user] != nil }
        let address = going.email.isEmpty ? "" : " (\(Printable(going.email)))"
        print("The account \(Printable(state.user.username))\(address) goes, with its keys and \(going.sessions) sessions.")
        print("\(erasure.collections.count) collections go with the account; \(shared.count) have other members, and stay.")
        for collection in going.collections {
            print(
                "  \(Printable(collection.uid.rawValue)): \(collection.items) items, \(collection.revisions) revisions, \(collection.contents) contents"
            )
        }
        if going.files > 0 { print("\(going.files) files of chunks go.") }
        for collection in shared where !collection.members.contains(where: { $0.key != erasure.user && $0.value.level == .admin }) {
            print("\(collection.uid.rawValue.visible) is left without an admin.")
        }
    }
}
