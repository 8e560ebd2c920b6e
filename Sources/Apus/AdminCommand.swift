internal import API
internal import ArgumentParser
internal import Domain
internal import ReadModel
internal import Server

/// `apus admin`
struct AdminCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "admin", abstract: "Lets people into the pages on which the server is looked after, or shows them out.",
        subcommands: [Link.self, End.self])

    /// `apus admin link`
    struct Link: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a link that lets somebody into the admins' pages, once.",
            discussion: """
                The link is good for a quarter of an hour. What it opens is a visit of four hours, in the browser in which the link was opened. \
                Whoever has the link can use it: do not send it where others read.
                """)

        @Option(help: "The address that the link begins with. (default: APUS_OPS_LISTEN, APUS_PUBLIC_URL, or where clients are)")
        var url: String?
        @OptionGroup var dataOptions: DataOptions

        func run() async throws {
            let environment = try dataOptions.environment()
            let address = try url.map { try Settings.publicURL.read($0, "--url").text } ?? AdminLink.address(environment)
            let node = try await Node(dataOptions, environment, logger: .ofCommand)
            print(try await AdminLink.make(at: address, node))
            try node.close()
        }
    }

    /// `apus admin end`
    struct End: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ends all visits of the admins' pages, and makes links useless that were not opened yet.")

        @OptionGroup var dataOptions: DataOptions

        func run() async throws {
            let node = try await Node(dataOptions, dataOptions.environment(), logger: .ofCommand)
            let ended = try await PageKeys(node.database).endAll(of: .admin)
            try node.close()
            print("\(ended) visits and links were ended.")
        }
    }
}

/// A link to the admins' pages.
enum AdminLink {
    /// How long it is good.
    private static let time = Duration.seconds(900)

    /// Where the pages are, as far as the settings tell.
    ///
    /// - Throws: `ValidationError` where they do not.
    static func address(_ environment: Environment) throws -> String {
        if let ops = try environment.optional(Settings.opsListen) ?? nil { return try address(ops) }
        if let known = try environment.optional(Settings.publicURL) { return known.text }
        return try address(environment.value(Settings.listen))
    }

    private static func address(_ listen: ListenAddress) throws -> String {
        guard case .port(let host, let port) = listen else {
            throw ValidationError("what does the link begin with? Say --url http://…: the server listens at a socket")
        }
        let name = ["0.0.0.0", "::", "[::]"].contains(host) ? "127.0.0.1" : host
        return "http://\(name.contains(":") && !name.hasPrefix("[") ? "[\(name)]" : name):\(port)"
    }

    static func make(at address: String, _ node: Node) async throws -> String {
        guard let secret = try await PageKeys(node.database).makeLink(to: .admin, goodFor: time, at: Node.clock()) else {
            preconditionFailure("a link that belongs to no login is always made")
        }
        return "\(address)/admin/open/\(secret)"
    }
}
