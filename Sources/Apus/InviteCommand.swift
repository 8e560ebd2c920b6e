internal import API
internal import ArgumentParser
internal import Domain
internal import Foundation
internal import ReadModel
internal import Server

/// `apus user invite`
struct InviteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invite", abstract: "Makes a link with which somebody makes an account.",
        discussion: """
            Whoever opens the link chooses a name, or gets the one that is set here, and is told what to enter in each app. It works once, \
            or as often as --uses says, until it expires or is withdrawn (apus user invitations). Send it as you would send a key: whoever \
            has it can use it. It is shown once; the database has only a hash of it. Servers answer it with --signup invite or open.
            """)

    private static let mostUses = 10_000

    @Option(help: "The name that the account gets; otherwise whoever opens the link chooses one.") var name: String?
    @Option(help: "How many accounts can be made with it.") var uses = 1
    @Option(help: "How long it is good: 90s, 15m, 12h or 7d; 0 is for ever.") var expires = "7d"
    @Option(help: "The address that the link begins with, such as https://sync.example.com. (default: APUS_PUBLIC_URL)") var url: String?
    @Flag(help: "A line of JSON.") var json = false
    @OptionGroup var dataOptions: DataOptions

    func validate() throws {
        guard (1...Self.mostUses).contains(uses) else { throw ValidationError("--uses is between 1 and \(Self.mostUses)") }
        guard name == nil || uses == 1 else { throw ValidationError("an account with a set name is made once: leave out --uses") }
    }

    func run() async throws {
        let environment = try dataOptions.environment()
        let address = try url.map { try Settings.publicURL.read($0, "--url") } ?? environment.optional(Settings.publicURL)
        guard let address else {
            throw ValidationError("what does the link begin with? Say --url https://sync.example.com, or set APUS_PUBLIC_URL")
        }
        let expiry = try Lifetime.parse(expires)
        let node = try await Node(dataOptions, environment, logger: .ofCommand)
        if let name { try await check(name, node) }
        let now = Node.clock()
        let until = expiry.map { Timestamp(rawValue: now.rawValue + $0.components.seconds * 1_000_000) }
        let made = try await SignupLinks(node.database).make(for: name.map(CanonicalName.init), uses: uses, until: until, at: now)
        try node.close()
        guard let (link, secret) = made else {
            throw ValidationError("an invitation for \((name ?? "").visible) is open already: apus user invitations lists and withdraws it")
        }
        let fields = Fields(
            invitation: link.id, link: "\(address.text)/join/\(secret)", name: link.username, uses: link.uses,
            expires: link.expiresAt.map { WrittenTime.text($0) })
        if try environment.value(Settings.signup) == .closed {
            try FileHandle.standardError.write(
                contentsOf: Data("notice: APUS_SIGNUP is closed here; servers answer the link once it is invite\n".utf8))
        }
        guard !json else { return print(try JSONLine.text(fields)) }
        print(fields.link)
        let end = fields.expires.map { "until \($0)" } ?? "until it is withdrawn"
        print("Invitation \(link.id): good for \(uses == 1 ? "one account" : "\(uses) accounts"), \(end). The link is not shown again.")
    }

    /// Looks whether an account of this name could be made now.
    private func check(_ name: String, _ node: Node) async throws {
        let command = CreateUser(username: name, email: "", keys: nil, passwordSalt: "", mayCreate: true)
        let prepared = try await node.committing { try await node.readModel.snapshot { try $0.prepare(command) } }
        do { _ = try command.decide(prepared.state) } catch { throw ValidationError(error.words) }
    }

    private struct Fields: Encodable {
        let invitation: String
        let link: String
        let name: String?
        let uses: Int64
        let expires: String?
    }
}

/// `apus user invitations`
struct InvitationsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invitations", abstract: "Lists the links with which accounts can be made, or withdraws them.")

    @Option(help: "Withdraws the one with this id.") var withdraw: String?
    @Flag(help: "Withdraws all of them.") var all = false
    @Flag(help: "A line of JSON for each.") var json = false
    @OptionGroup var dataOptions: DataOptions

    func validate() throws {
        guard withdraw == nil || !all else { throw ValidationError("--withdraw takes back one, --all all: name one of them") }
    }

    func run() async throws {
        let node = try await Node(dataOptions, dataOptions.environment(), logger: .ofCommand)
        let links = SignupLinks(node.database)
        let pending = try await links.pending(at: Node.clock())
        guard all || withdraw != nil else {
            for link in pending { print(try text(link)) }
            return try node.close()
        }
        let chosen = pending.filter { all || $0.id == withdraw?.lowercased() }
        guard all || !chosen.isEmpty else {
            throw ValidationError("there is no invitation \((withdraw ?? "").visible): apus user invitations lists them")
        }
        for link in chosen { _ = try await links.withdraw(link.id) }
        try node.close()
        print("\(chosen.count) of \(pending.count) invitations were withdrawn.")
    }

    private func text(_ link: SignupLink) throws -> String {
        let fields = Fields(
            invitation: link.id, name: link.username, uses: link.uses, used: link.used, since: WrittenTime.text(link.createdAt),
            expires: link.expiresAt.map { WrittenTime.text($0) })
        guard !json else { return try JSONLine.text(fields) }
        return [
            fields.invitation, fields.name.map { "for \($0.visible)" } ?? "for any name", "used \(fields.used) of \(fields.uses)",
            "since \(fields.since)", fields.expires.map { "expires \($0)" } ?? "does not expire",
        ].joined(separator: "\t")
    }

    private struct Fields: Encodable {
        let invitation: String
        let name: String?
        let uses: Int64
        let used: Int64
        let since: String
        let expires: String?
    }
}
