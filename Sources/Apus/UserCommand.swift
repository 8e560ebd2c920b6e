internal import API
internal import ArgumentParser
internal import Database
internal import Domain
internal import EventLog
internal import Logging
internal import ReadModel
internal import Server
internal import Sodium

/// `apus user`
struct UserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user", abstract: "Manages accounts.",
        subcommands: [
            Create.self, InviteCommand.self, InvitationsCommand.self, List.self, Disable.self, Enable.self, SessionsCommand.self,
            QuotaCommand.self, ResetCommand.self,
            ExportCommand.self, EraseCommand.self,
        ])

    /// `apus user create`
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes an account, which the user then initializes by signing up in the app.")

        @Argument(help: "The name: letters, digits and @.+-_")
        var name: String

        @Option(help: "The email address, which may be used to log in.")
        var email = ""

        @OptionGroup var dataOptions: DataOptions

        func run() async throws {
            let command = CreateUser(
                username: name, email: email, keys: nil, passwordSalt: Sodium.randomAlphanumerics(40), mayCreate: true)
            try await commit(command, dataOptions, makesDatabase: true)
            print("\(CanonicalName(name).text) can now sign up in the app with this name.")
        }
    }

    /// `apus user list`
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the accounts: name, email address, state, and what the user's collections hold.")

        @OptionGroup var dataOptions: DataOptions

        func run() async throws {
            let environment = try dataOptions.environment()
            let node = try await Node(dataOptions, environment, logger: Logger(label: "apus"))
            let (accounts, standings) = try await node.readModel.snapshot(.large) {
                (try $0.accounts(limit: .max), try $0.quotaStandings())
            }
            for account in accounts {
                let standing = standings?[account.user]
                let holds = standing?.quota ?? node.readModel.quota
                let used = standings == nil ? "not counted yet" : QuotaText.text(standing?.used ?? Usage(), of: holds)
                let state =
                    if Username.isErased(account.username) { "erased" } else if !account.isActive { "disabled" } else {
                        account.keys == nil ? "not initialized" : "active"
                    }
                print("\(account.username.visible)\t\(account.email.visible)\t\(state)\t\(used)")
            }
        }
    }

    /// `apus user disable`
    struct Disable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Keeps a user out; nothing is deleted.")

        @Argument(help: "The name.") var name: String
        @OptionGroup var dataOptions: DataOptions

        func run() async throws {
            try await commit(ChangeUserActivity(username: name, isActive: false), dataOptions)
        }
    }

    /// `apus user enable`
    struct Enable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lets a disabled user in again.")

        @Argument(help: "The name.") var name: String
        @OptionGroup var dataOptions: DataOptions

        func run() async throws {
            try await commit(ChangeUserActivity(username: name, isActive: true), dataOptions)
        }
    }
}

/// Carries out the operator's command about an account, also beside a running server.
///
/// - Throws: `ValidationError` with the refusal in words.
private func commit<C: Command>(
    _ command: C, _ dataOptions: DataOptions, makesDatabase: Bool = false
) async throws where C.Needs: ReadNeeds {
    let environment = try dataOptions.environment()
    let logger = Logger(label: "apus")
    let node = try await Node(
        dataOptions, environment, makesDatabase: makesDatabase, redis: environment.redis(logger: logger), logger: logger)
    do {
        let events = try await node.committing { try await node.door.commit(command, by: .operator, at: Node.clock()) }
        for case .userActivityChanged(let event) in events.map(\.event) { await node.announce(changed: event.user) }
    } catch let refusal as Refusal {
        throw ValidationError(refusal.words)
    }
}
