internal import API
internal import ArgumentParser
internal import Domain
internal import ReadModel
internal import Server

/// `apus user reset`
struct ResetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset", abstract: "Empties an account whose password was forgotten, so that its user can sign up again.",
        discussion: """
            The data is encrypted with the password, which this server has never seen: without it nobody can read the data any more, \
            and no password can be set for it. So the account is emptied. The collections in which nobody else is a member go. The \
            user leaves those that are shared with others, who keep them as they are and can invite the user again; open invitations \
            are withdrawn. All logins end at once.

            The name and the email address stay. The user signs up in the app with this name and a new password, and begins anew; a \
            device that still has the old data can export it before it is logged out there. A server may run.

            Who remembers the password later has use for a backup from before. The history keeps what was encrypted until the user is \
            erased (apus user erase).
            """)

    @Argument(help: "The name.") var name: String
    @Flag(help: "Changes nothing, and tells what would be lost.") var dryRun = false
    @Flag(name: .shortAndLong, help: "Does not ask.") var yes = false
    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        guard dryRun || yes || Terminal.isThere else {
            throw OperatorFault(
                "a reset cannot be undone and there is no terminal to ask on: give --yes, or --dry-run to see what would be lost")
        }
        let environment = try dataOptions.environment()
        let node = try await Node(dataOptions, environment, redis: environment.redis(logger: .ofCommand), logger: .ofCommand)
        let command = ResetAccount(username: name)
        let isReset: Bool = try await node.committing {
            let (state, lost) = try await node.readModel.snapshot { snapshot in
                let state = try snapshot.state(command.needs)
                return (state, try snapshot.extent(ofReset: state))
            }
            try check(command, state)
            tell(state, lost)
            guard !dryRun, yes || Terminal.agrees("Reset \(Printable(name))?") else { return false }
            try await reset(command, node)
            // Where a projector does it, the sessions have ended when this is so.
            _ = try await node.readModel.snapshot { try $0.account(named: command.name) }
            if let user = state.user.user { await node.announce(changed: user) }
            return true
        }
        print(
            isReset
                ? "\(command.name.text) is reset: sign up in the app with this name and a new password." : "Nothing was changed.")
        try node.close()
    }

    private func check(_ command: ResetAccount, _ state: ErasureState) throws {
        do { _ = try command.decide(state) } catch { throw ValidationError(words(error)) }
    }

    private func words(_ refusal: Refusal) -> String {
        refusal == .doesNotExist(.user) ? "there is no account \(name): `apus user list` lists them" : refusal.words
    }

    private func reset(_ command: ResetAccount, _ node: Node) async throws {
        do { try await node.door.reset(command, by: .operator, at: Node.clock()) } catch let refusal as Refusal {
            throw ValidationError(words(refusal))
        }
    }

    private func tell(_ state: ErasureState, _ lost: ErasureExtent) {
        let shared = state.collections.filter { collection in
            state.user.user.map { collection.members[$0] != nil } == true && !lost.collections.contains { $0.uid == collection.uid }
        }
        print("Nobody can read what \(Printable(state.user.username)) has stored any more, and it goes: it is encrypted with the password.")
        for collection in lost.collections {
            print(
                "  \(Printable(collection.uid.rawValue)): \(collection.items) items, \(collection.revisions) revisions, \(collection.contents) contents"
            )
        }
        print("\(lost.collections.count) collections go; \(shared.count) have other members, who keep them, and can invite again.")
        for collection in shared where !collection.members.contains(where: { $0.key != state.user.user && $0.value.level == .admin }) {
            print("\(Printable(collection.uid.rawValue)) is left without an admin.")
        }
        print("\(lost.sessions) sessions end.")
    }
}
