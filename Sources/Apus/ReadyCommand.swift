internal import ArgumentParser
internal import Server

/// `apus ready`: what a container's health check runs, where there is no other program to ask with.
struct ReadyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ready",
        abstract: "Asks the server on this machine whether it is ready.",
        discussion: "The exit code is 0 when it is.")

    @OptionGroup var dataOptions: DataOptions

    @Option(help: Settings.listen.help)
    var listen: String?

    func run() async throws {
        let said = listen.map { [Settings.listen.name: $0] } ?? [:]
        let answer = try await LocalAnswer.ready(dataOptions.quietEnvironment(said).value(Settings.listen))
        guard answer.status == 200 else { throw OperatorFault("the server is not ready: \(answer.status) \(answer.lines)") }
        print("ready")
    }
}
