/// The program: its subcommands, its configuration, and how the modules are put together.
internal import ArgumentParser

@main
struct Apus: AsyncParsableCommand {
    /// What `apus --version` and the first line of the log say.
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "A server for end-to-end encrypted sync that speaks the Etebase 1 protocol.",
        version: version,
        subcommands: [
            Serve.self, UserCommand.self, AuditCommand.self, UndeleteCommand.self, LogCommand.self, Verify.self,
            RebuildCommand.self, BackupCommand.self, RestoreCommand.self, CollectGarbage.self, AdoptCommand.self,
            HandBackCommand.self, SecretCommand.self, ReadyCommand.self,
        ])
}
