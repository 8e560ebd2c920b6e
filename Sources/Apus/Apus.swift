/// The program: its subcommands, its configuration, and how the modules are put together.
internal import ArgumentParser

@main
struct Apus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "A server for end-to-end encrypted sync that speaks the Etebase 1 protocol.",
        subcommands: [
            Serve.self, UserCommand.self, AuditCommand.self, UndeleteCommand.self, LogCommand.self, Verify.self,
            RebuildCommand.self, BackupCommand.self, RestoreCommand.self, CollectGarbage.self, AdoptCommand.self,
            HandBackCommand.self,
        ])
}
