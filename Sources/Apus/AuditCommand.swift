internal import ArgumentParser
internal import Domain
internal import EventLog
internal import Foundation
internal import Logging
internal import ReadModel
internal import Server

/// `apus audit`
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Tells who did what when, oldest first: in a collection, or by and to a user.",
        discussion: """
            It is read from the log, so it also tells of members who left and of what is deleted. Nothing that clients encrypt is \
            in it. Clients' addresses are there from when APUS_RECORD_ADDRESSES was turned on. A time is written like \
            2026-01-31T18:30:00Z.
            """)

    /// How many entries are read at a time.
    private static let pageEntries = 1000

    // A uid may begin with a hyphen.
    @Option(parsing: .unconditional, help: "The collection, by its uid.")
    var collection: String?

    @Option(help: "The user, by name: what was done to the account and the memberships, and what the user did in collections.")
    var user: String?

    @Option(help: "Nothing before this time.")
    var since: String?

    @Option(help: "Nothing after this time.")
    var until: String?

    @Flag(help: "A line of JSON for each entry.")
    var json = false

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        let environment = try dataOptions.environment()
        let times = try times()
        let node = try await Node(dataOptions, environment, logger: .ofCommand)
        let positions = try await node.readModel.snapshot { snapshot in
            switch (collection, user) {
            case (let collection?, nil): try snapshot.auditPositions(of: known(CollectionUID(collection), snapshot), at: times)
            case (nil, let user?): try snapshot.auditPositions(of: known(user, snapshot), at: times)
            default: throw ValidationError("an audit is of one thing: say --collection UID or --user NAME")
            }
        }
        var rest = positions[...]
        while !rest.isEmpty {
            let page = rest.prefix(Self.pageEntries)
            try tell(try await node.readModel.snapshot { try $0.audit(at: page) })
            rest = rest.dropFirst(page.count)
        }
        try node.close()
    }

    private func times() throws -> ClosedRange<Timestamp> {
        let first = try since.map(WrittenTime.parse) ?? Timestamp.always.lowerBound
        let last = try until.map(WrittenTime.parse) ?? Timestamp.always.upperBound
        guard first <= last else { throw ValidationError("--since is after --until: nothing can lie between them") }
        return first...last
    }

    private func known(_ collection: CollectionUID, _ snapshot: Snapshot) throws -> CollectionUID {
        guard try snapshot.hasHistory(of: collection) else {
            throw ValidationError("there is no collection \(collection), and never was: --user NAME tells of a user's collections")
        }
        return collection
    }

    private func known(_ name: String, _ snapshot: Snapshot) throws -> UserID {
        guard let user = try snapshot.state(AccountNeeds(.name(CanonicalName(name)))).user else {
            throw ValidationError("there is no user \(name): `apus user list` tells which there are")
        }
        return user
    }

    private func tell(_ entries: [AuditEntry]) throws {
        for entry in entries { print(json ? try JSONLine.text(AuditLine(entry)) : AuditLine(entry).text) }
    }
}

/// An entry as it is printed.
private struct AuditLine: Encodable {
    let position: Int64
    let time: String
    let action: String
    let user: String?
    let session: String?
    let device: String?
    let address: String?
    let collection: String?
    let item: String?
    let revision: String?
    let chunk: String?
    let invitation: String?
    let member: String?
    let level: String?

    init(_ entry: AuditEntry) {
        position = entry.head.position.rawValue
        time = WrittenTime.text(entry.time)
        action = entry.action.rawValue
        user = entry.username
        session = entry.session
        device = entry.device
        address = entry.address
        collection = entry.collection?.rawValue
        item = entry.item?.rawValue
        revision = entry.revision?.rawValue
        chunk = entry.chunk?.rawValue
        invitation = entry.invitation?.rawValue
        member = entry.member
        level =
            switch entry.level {
            case .readOnly: "read-only"
            case .readWrite: "read-write"
            case .admin: "admin"
            case nil: nil
            }
    }

    /// For people: what is there, on one line.
    var text: String {
        let named = [
            ("collection", collection), ("item", item), ("revision", revision), ("chunk", chunk), ("invitation", invitation),
            ("member", member), ("level", level), ("session", session), ("device", device), ("address", address),
        ]
        let words = named.compactMap { name, value in value.map { "\(name)=\(Self.quoted($0))" } }
        return ([String(position), time, user?.visible ?? "(operator)", action] + words).joined(separator: " ")
    }

    /// What a client says it is may be any text: none of it can look like another line or another field.
    private static func quoted(_ text: String) -> String {
        let isPlain = text.unicodeScalars.allSatisfy {
            $0.isASCII && $0.value > 0x20 && $0.value != 0x22 && $0.value != 0x5c && $0.value != 0x7f
        }
        return isPlain && !text.isEmpty ? text : "\"" + text.visible.replacing("\"", with: #"\""#) + "\""
    }
}
