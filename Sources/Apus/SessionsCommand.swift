internal import ArgumentParser
internal import Domain
internal import Logging
internal import ReadModel
internal import Server

/// `apus user sessions`
struct SessionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions", abstract: "Lists a user's login sessions, or ends them.",
        discussion: """
            Beside a running server. A session that was ended gets nothing more, nor does a WebSocket that it has opened, which is closed \
            at once where the servers share a Redis (APUS_REDIS_URL), and within half a minute elsewhere; what its device has already \
            got stays there. When a session was used last is known to about a hundredth of its life (APUS_TOKEN_LIFETIME).
            """)

    @Argument(help: "The name.") var name: String
    @Option(help: "Ends the session with this id.") var revoke: String?
    @Flag(help: "Ends all of them.") var all = false
    @Flag(help: "A line of JSON for each.") var json = false
    @OptionGroup var dataOptions: DataOptions

    func validate() throws {
        guard revoke == nil || !all else { throw ValidationError("--revoke ends one session, --all ends all: name one of them") }
    }

    func run() async throws {
        let environment = try dataOptions.environment()
        let lifetime = try environment.value(Settings.tokenLifetime)
        let logger = Logger(label: "apus")
        let node = try await Node(dataOptions, environment, redis: environment.redis(logger: logger), logger: logger)
        // What was committed last must be projected to be read, whether or not a server runs.
        let canonical = CanonicalName(name)
        let account = try await node.committing { try await node.readModel.snapshot { try $0.account(named: canonical) } }
        guard let account else { throw ValidationError("there is no user \(name.visible)") }
        let sessions = Sessions(database: node.database, lifetime: lifetime)
        let found = try await sessions.list(of: account.user, lifetime: lifetime, at: Node.clock())
        guard all || revoke != nil else {
            for session in found { print(try text(session)) }
            return try node.close()
        }
        let ended = found.filter { all || $0.id == revoke?.lowercased() }
        guard all || !ended.isEmpty else {
            throw ValidationError("\(account.username.visible) has no session \((revoke ?? "").visible): apus user sessions lists them")
        }
        try await sessions.end(ended)
        await node.announce(endedSessions: ended.map(\.id))
        try node.close()
        print("\(ended.count) of \(found.count) sessions of \(account.username) were ended.")
    }

    private struct Fields: Encodable {
        let session: String
        let device: String?
        let since: String
        let lastUsed: String?
        let expires: String?
    }

    private func text(_ session: ListedSession) throws -> String {
        let time = { (text: String) in text.replacing(" ", with: "T") + "Z" }
        let fields = Fields(
            session: session.id, device: session.device, since: time(session.since), lastUsed: session.lastUsed.map(time),
            expires: session.expires.map(time))
        guard !json else { return try JSONLine.text(fields) }
        return [
            fields.session, "since \(fields.since)", fields.lastUsed.map { "used \($0)" } ?? "",
            fields.expires.map { "expires \($0)" } ?? "", (fields.device ?? "").visible,
        ].joined(separator: "\t")
    }
}
