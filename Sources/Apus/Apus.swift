/// The program: its subcommands, its options, and what it prints. What they work with is put together in Server.
internal import ArgumentParser
internal import CBuild

#if !APUS_FUZZ  // there it is a module of another program
    @main
#endif
struct Apus: AsyncParsableCommand {
    /// The release; where the build was told its commit, in parentheses that too. `apus --version` and the first line of the log say it.
    static let version: String = {
        let commit = unsafe String(cString: apus_build_commit())
        return commit.isEmpty ? release : "\(release) (\(commit))"
    }()

    /// The number of the release: what ops/release and ops/package go by.
    private static let release = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "A server for end-to-end encrypted sync that speaks the Etebase 1 protocol.",
        version: version,
        subcommands: [
            Serve.self, StatusCommand.self, DoctorCommand.self, ConfigCommand.self, UserCommand.self, AdminCommand.self, AuditCommand.self,
            UndeleteCommand.self, LogCommand.self,
            Verify.self,
            RebuildCommand.self, BackupCommand.self, RestoreCommand.self, CollectGarbage.self, ChunksCommand.self, AdoptCommand.self,
            HandBackCommand.self, SecretCommand.self, UpgradeCommand.self, ReadyCommand.self,
        ])
}
