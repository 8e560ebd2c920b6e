internal import ArgumentParser
internal import Domain
internal import Logging
internal import ReadModel
internal import Server

/// `apus user quota`
struct QuotaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota", abstract: "Tells how much a user's collections hold and may, or sets that.",
        discussion: """
            What counts is what the collections hold that the user owns, whoever wrote it: the bytes of contents and of all revisions \
            that are kept, and all items and collections, deleted ones among them. Apps are refused what goes beyond; what only deletes is \
            let through. A server may run, and goes by a new quota at once. Without one of their own APUS_QUOTA holds for users.
            """)

    @Argument(help: "The name.") var name: String
    @Argument(help: "bytes=5GB,items=100000,collections=50, or some of it, or 5GB; none for no limit; default for what holds for all.")
    var quota: String?
    @Flag(help: "A line of JSON.") var json = false
    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        let environment = try dataOptions.environment()
        let wanted = try quota.map { $0 == "default" ? nil : try QuotaText.parse($0, of: "the quota") }
        let node = try await Node(dataOptions, environment, logger: Logger(label: "apus"))
        // What was committed last must be projected to be read, whether or not a server runs.
        let canonical = CanonicalName(name)
        let account = try await node.committing { try await node.readModel.snapshot { try $0.account(named: canonical) } }
        guard let account, !Username.isErased(account.username) else { throw ValidationError("there is no user \(name.visible)") }
        if let wanted { try await Quotas(node.database).set(wanted, of: account.user) }
        let (standings, own) = try await node.readModel.snapshot {
            (try $0.quotaStandings(), try $0.quota(of: account.user))
        }
        try node.close()
        let used = standings.map { $0[account.user]?.used ?? Usage() }
        let holds = own ?? node.readModel.quota
        if json {
            return print(try JSONLine.text(Fields(used: used.map(Fields.Amounts.init), quota: Fields.Amounts(holds), isOwn: own != nil)))
        }
        print("quota\t\(QuotaText.text(holds))\(own == nil ? ", as for all who have none of their own" : "")")
        print("in use\t\(used.map { QuotaText.text($0, of: holds) } ?? "not counted yet: a projector of this version must run")")
    }

    private struct Fields: Encodable {
        struct Amounts: Encodable {
            let bytes: Int64?
            let items: Int64?
            let collections: Int64?

            init(_ used: Usage) { (bytes, items, collections) = (used.bytes, used.items, used.collections) }
            init(_ quota: Quota) { (bytes, items, collections) = (quota.bytes, quota.items, quota.collections) }
        }

        /// Nil where it is not counted yet.
        let used: Amounts?
        /// Without those that have no limit.
        let quota: Amounts
        /// Whether it is the user's own.
        let isOwn: Bool
    }
}
