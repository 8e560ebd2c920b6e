internal import API
internal import ArgumentParser
internal import Domain
internal import EventLog
internal import Logging
internal import ReadModel
internal import Server

/// `apus undelete`
struct UndeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "undelete",
        abstract: "Brings back what was deleted, or an earlier state; clients fetch it in their normal sync.",
        discussion: """
            With neither --at nor --before the last deletion is undone: of the item, or else of the collection itself if it is \
            deleted, or of the items that were deleted last. What the same request of a client deleted comes back with it; what \
            was deleted before is the next one's turn.

            With --at or --before, the item, or every item of the collection, is what it was then. What was deleted then, or \
            was made later, stays as it is: nothing is ever deleted.

            Nothing is lost by it: what is replaced is an earlier revision then, and can be brought back too. A server may run.
            """)

    // A uid may begin with a hyphen.
    @Option(parsing: .unconditional, help: "The collection, by its uid.")
    var collection: String

    @Option(parsing: .unconditional, help: "Only this item, by its uid.")
    var item: String?

    @Option(help: "The state of this time, like 2026-01-31T18:30:00Z.")
    var at: String?

    @Option(help: "The state before this event, by the number that `apus audit` prints first.")
    var before: Int64?

    @Flag(help: "Changes nothing, and tells what is deleted and can be brought back, since when, and who deleted it.")
    var list = false

    @Flag(help: "A line of JSON for each item.")
    var json = false

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        let environment = try dataOptions.environment()
        guard at == nil || before == nil else { throw ValidationError("--at and --before are two moments: say one") }
        let moment = try moment()
        if list, item != nil || moment != nil { throw ValidationError("--list tells all that is deleted: it takes no other choice") }
        let node = try await Node(dataOptions, environment, logger: .ofCommand)
        do {
            if list {
                try await tellDeletions(node)
            } else {
                try tell(try await node.committing { try await restore(asOf: moment, node) })
            }
        } catch let refusal as CollectionHistory.Unrestorable {
            throw ValidationError(refusal.advice(for: CollectionUID(collection)))
        } catch let refusal as Refusal {
            throw ValidationError(refusal.advice)
        }
    }

    private func moment() throws -> CollectionHistory.Moment? {
        if let before { return .before(Position(rawValue: before)) }
        guard let at else { return nil }
        let time = try WrittenTime.parse(at)
        guard time <= Node.clock() else { throw ValidationError("\(at) is in the future: nothing is known of it") }
        return .at(time)
    }

    private func restore(asOf moment: CollectionHistory.Moment?, _ node: Node) async throws -> [RecordedEvent] {
        try await node.door.restore(
            CollectionUID(collection), item: item.map { ItemUID($0) }, asOf: moment, author: nil, by: .operator, at: Node.clock()
        ) { snapshot in
            let end = try snapshot.logHead().position
            if case .before(let position) = moment, !(Position(rawValue: 1)...end).contains(position) {
                throw ValidationError("there is no event \(position.rawValue): the log has the events 1 to \(end.rawValue)")
            }
        }
    }

    private func tell(_ events: [RecordedEvent]) throws {
        for case .itemRestored(let event) in events.map(\.event) {
            let isMain = event.item.rawValue.isExactly(collection)
            if json {
                print(try JSONLine.text(["item": event.item.rawValue, "revision": event.revision.rawValue]))
            } else {
                print(
                    isMain
                        ? "The collection itself is back at revision \(event.revision.rawValue.visible)."
                        : "\(event.item.rawValue.visible) is back at revision \(event.revision.rawValue.visible).")
            }
        }
    }

    private func tellDeletions(_ node: Node) async throws {
        let (deletions, names) = try await node.readModel.snapshot { snapshot in
            let history = try snapshot.history(of: CollectionUID(collection))
            guard history.exists else { throw CollectionHistory.Unrestorable.noCollection }
            let deletions = history.deletions
            return (deletions, try snapshot.usernames(of: Set(deletions.compactMap(\.step.actor.user))))
        }
        for deletion in deletions {
            let line = DeletionLine(deletion, by: deletion.step.actor.user.flatMap { names[$0] }, in: collection)
            print(json ? try JSONLine.text(line) : line.text)
        }
        if deletions.isEmpty, !json { print("Nothing is deleted in \(collection).") }
    }
}

/// A deletion as it is printed.
private struct DeletionLine: Encodable {
    let item: String
    let isCollection: Bool
    let position: Int64
    let deletedAt: String
    let deletedBy: String?
    let session: String?
    /// The revision that would come back.
    let revision: String?

    init(_ deletion: CollectionHistory.Deletion, by name: String?, in collection: String) {
        item = deletion.item.rawValue
        isCollection = item.isExactly(collection)
        position = deletion.step.position.rawValue
        deletedAt = WrittenTime.text(deletion.step.time)
        deletedBy = name
        session = deletion.step.actor.session
        revision = deletion.last?.rawValue
    }

    /// For people.
    var text: String {
        "\(position) \(item.visible)\(isCollection ? " (the collection itself)" : "") deleted at \(deletedAt) by \(deletedBy?.visible ?? "(operator)")"
    }
}

extension CollectionHistory.Unrestorable {
    /// What is wrong, and what can be done about it.
    fileprivate func advice(for collection: CollectionUID) -> String {
        switch self {
        case .noCollection: "there is no collection \(collection), or its owner's account was reset: `apus audit` tells what became of it"
        case .collectionIsNewer(let moment, let time):
            "\(moment.text) there was no collection \(collection) yet: it was made at \(WrittenTime.text(time))"
        case .noItem(let item): "there never was an item \(item) in \(collection): --list tells what is deleted there"
        case .itemIsNewer(let item, let moment, let time):
            "\(moment.text) there was no item \(item) yet: it was made at \(WrittenTime.text(time))"
        case .itemIsNotDeleted(let item): "\(item) is not deleted: say --at TIME or --before EVENT for an earlier state of it"
        case .itemWasDeleted(let item, let moment): "\(moment.text) \(item) was deleted too: `apus audit` tells when it was not"
        case .itemNeverLived(let item): "\(item) was deleted from its first revision on: there is nothing to bring back"
        case .itemIsNotKept(let item): "what \(item) was then is not kept any more: `apus gc` has done away with it"
        case .nothingIsDeleted:
            "nothing is deleted in \(collection): say --at TIME or --before EVENT for an earlier state of it"
        case .nothingHasChanged(let moment): "there is nothing to bring back: what was there \(moment.text) is as it was then"
        }
    }
}

extension CollectionHistory.Moment {
    fileprivate var text: String {
        switch self {
        case .at(let time): "at \(WrittenTime.text(time))"
        case .before(let position): "before event \(position.rawValue)"
        }
    }
}

extension Refusal {
    fileprivate var advice: String {
        switch self {
        case .itemsFailed: "clients change these items just now: try again"
        case .doesNotExist(.revision):
            "the revision that was current then is not kept any more: `apus audit` tells which there were, and --at TIME names another"
        case .doesNotExist, .staleStoken, .dependenciesFailed, .invalidFields, .noWriteAccess, .adminAccessRequired, .collectionExists,
            .etagOfNewCollection, .collectionTypeMissing, .collectionTypeTaken, .chunkWithoutContent, .chunkExists, .userExists,
            .userInactive, .signupClosed, .usernameMissing, .notATestUser, .accountHasNoKeys, .selfInvitation, .invitationExists,
            .alreadyMember, .quotaExceeded, .usageUnknown:
            words
        }
    }
}
