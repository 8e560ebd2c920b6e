internal import ArgumentParser
internal import Domain
internal import Server

/// `apus user export`
struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Writes what is stored of a person into a folder.",
        discussion: """
            Lines of JSON for each kind of thing, a file for each encrypted content, and a README in plain words. The data is encrypted: \
            the folder says what is stored, and only the person's apps can read it. Tokens and hashes of passwords are not in it. It is of \
            one moment; a server may run. Only whoever runs the command can look into the folder.
            """)

    @Argument(help: "The name.") var name: String
    @Option(help: "The folder: empty, or not there yet.") var to: String
    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        Interruption.removesWhatIsUnfinished()
        let node = try await Node(dataOptions, dataOptions.environment(), logger: .ofCommand)
        let report = try await node.committing { [to, name] in
            try await PersonExport(node.readModel).write(CanonicalName(name), to: to, at: Node.clock())
        }
        try node.close()
        guard let report else { throw ValidationError("there is no account \(name): `apus user list` lists them") }
        let lines = report.lines.values.reduce(0, +)
        print("\(to) has what is stored of \(name): \(lines) lines, \(report.contents) encrypted contents of \(report.bytes) bytes.")
        guard report.missing == 0 else {
            print("\(report.missing) contents were not where they should be: apus verify names them.")
            throw ExitCode(1)
        }
    }
}
