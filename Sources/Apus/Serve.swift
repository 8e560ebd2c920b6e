internal import ArgumentParser
internal import Foundation
internal import Logging
internal import Server

/// `apus serve`
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Serves clients.")

    @OptionGroup var dataOptions: DataOptions
    @OptionGroup var options: ServeOptions

    func run() async throws {
        let environment = try dataOptions.quietEnvironment(options.flags)
        let logger = try makeLogger(environment)
        for notice in environment.notices { logger.warning("\(notice)") }
        let redis = try environment.redis(logger: logger)
        let settings = try environment.serverSettings()
        try await withMistakesTold {
            try settings.address.prepare()
            try settings.opsAddress?.prepare()
            let node = try await Node(
                dataOptions, environment, makesDatabase: true, chunks: environment.value(Settings.chunks).place, redis: redis,
                logger: logger)
            let serving = try await Serving(node, settings, logger: logger)
            if try await serving.wantsFirstAccount { try await welcome(environment, node, logger) }
            try await serving.run()
        }
    }

    private func makeLogger(_ environment: Environment) throws -> Logger {
        let format = try environment.value(Settings.logFormat)
        let level = try environment.value(Settings.logLevel)
        let sink = LogSink { count in
            format.line(.warning, "lines of the log were dropped, for nobody took them", ["count": .stringConvertible(count)])
        }
        LoggingSystem.bootstrap { label in
            // The libraries' own information is for those who look for it.
            LineLogHandler(format: format, label: label, sink: sink, logLevel: label == "apus" ? level : max(level, .warning))
        }
        return Logger(label: "apus")
    }

    /// Tells whoever starts a server with no accounts how to make the first one.
    private func welcome(_ environment: Environment, _ node: Node, _ logger: Logger) async throws {
        let folder = try dataOptions.folder(environment)
        if try environment.value(Settings.logFormat) == .json {
            // Where programs read, every line is one of the log.
            logger.notice(
                "there are no accounts yet, and sign-up is closed: make one, then sign up in the app with its name",
                metadata: ["command": "apus user create NAME --data \(folder)"])
            return
        }
        // Not with `print`, whose text waits in a buffer where the output is a file or a pipe.
        let welcome = """
            There are no accounts yet, and sign-up is closed. Make one with

                apus user create NAME --data \(folder)

            then sign up in the app with this name; the password is chosen there.

            """
        try FileHandle.standardOutput.write(contentsOf: Data(welcome.utf8))
        // Where it listens at a socket, it is not known how a browser gets there.
        let address: String
        do { address = try AdminLink.address(environment) } catch { return }
        let invitation = """
            Or make it in the browser. This link works once, for a quarter of an hour; apus admin link prints another:

                \(try await AdminLink.make(at: address, node))

            """
        try FileHandle.standardOutput.write(contentsOf: Data(invitation.utf8))
    }
}
