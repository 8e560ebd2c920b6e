internal import API
internal import ArgumentParser
internal import Contents
internal import Database
internal import Domain
internal import EventLog
internal import Logging
internal import ReadModel
internal import Replay
internal import Server
internal import Sodium

/// `apus gc`
struct CollectGarbage: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc", abstract: "Removes contents of chunks that nothing names, and earlier revisions where a policy is given.",
        discussion: """
            Without a policy all revisions are kept, and what an event names stays, also where no revision does. With \
            --keep-revisions or --keep-for earlier revisions of items go that neither of the two keeps, from the history too: what \
            clients encrypted in them, and the contents that no other revision names. That they were written, when, and by whom \
            stays. The current revision is always kept; what is deleted can be brought back for as long as its last revision is kept.

            The log and the tables are verified first, as apus verify does: where they do not agree nothing is removed. A server may \
            run on.
            """)

    @Flag(help: "Only tells what would be removed.")
    var dryRun = false

    @Option(help: "How many revisions of each item are kept, the current one among them. (default all)")
    var keepRevisions: Int?

    @Option(help: "For how long a revision is kept after another has taken its place: 12h, 30d. (default for ever)")
    var keepFor: String?

    @Option(help: "How long files and objects must have lain untouched: 90s, 12h, 30d.")
    var olderThan = "1d"

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        guard let age = try Lifetime.parse(olderThan) else { throw ValidationError("--older-than is a span of time such as 1d") }
        let policy = try policy()
        let node = try await Node(dataOptions, dataOptions.environment(), logger: .ofCommand)
        try await withMistakesTold { try await node.requireKnownStores() }
        let verification = try await node.verify()
        guard verification.faults.isEmpty else {
            throw ValidationError("something is wrong, and nothing is removed: apus verify tells what. First: \(verification.faults[0])")
        }
        if let policy {
            let found = try await node.committing { try await Pruner(policy: policy, node: node, removes: !dryRun).run() }
            for collection in found.collections { print("revisions\t\(collection.uid.rawValue.visible)\t\(collection.revisions)") }
            print("\(found.revisions) revisions and \(found.contents) contents, \(dryRun ? "would be removed" : "were removed").")
            if found.files > 0 {
                print("\(found.files) of these contents lie in files, each of which goes when nobody has touched it for \(olderThan).")
            }
        }
        let waste = Waste(database: node.database, chunks: node.chunks) { position in
            try await node.readModel.snapshot { try $0.require(position) }
        }
        let report = try await node.committing {
            try await waste.run(before: Self.time(before: age), removes: !dryRun, holding: min(age, ObjectContents.namingTime))
        }
        try node.close()
        for row in report.rows { print("row\t\(row.visible)") }
        for file in report.files { print("file\t\(file.visible)") }
        for object in report.objects { print("object\t\(object)") }
        let objects = node.chunks.objects == nil ? "" : " and \(report.objects.count) objects"
        let found = "\(report.rows.count) contents in the database and \(report.files.count) files\(objects), \(report.bytes) bytes"
        print(dryRun ? "\(found), would be removed." : "\(found), were removed.")
    }

    /// Nil where everything is kept.
    private func policy() throws -> RetentionPolicy? {
        if let keepRevisions, keepRevisions < 1 {
            throw ValidationError("--keep-revisions is 1 or more: the current revision is always kept")
        }
        let span = try keepFor.flatMap { try Lifetime.parse($0) }
        // For ever.
        if keepFor != nil, span == nil { return nil }
        guard keepRevisions != nil || span != nil else { return nil }
        return RetentionPolicy(newest: keepRevisions, since: span.map(Self.time))
    }

    private static func time(before span: Duration) -> Timestamp {
        Timestamp(rawValue: Node.clock().rawValue - span.components.seconds * 1_000_000)
    }
}

/// Does away with the revisions that a policy does not keep, collection by collection, some at a time.
private struct Pruner: Sendable {
    /// How many revisions go in one transaction.
    private static let pageRevisions = 1000
    /// How often it is tried again when clients write to the collection at the same moment.
    private static let attempts = 20

    let policy: RetentionPolicy
    let node: Node
    let removes: Bool

    struct Report: Sendable {
        var collections: [(uid: CollectionUID, revisions: Int)] = []
        var contents = 0
        /// How many of the contents lie in files.
        var files = 0
        var revisions: Int { collections.reduce(0) { $0 + $1.revisions } }
    }

    func run() async throws -> Report {
        var report = Report()
        for uid in try await node.readModel.snapshot(.large, { try $0.collectionsWithOldRevisions() }) {
            let old = try await node.readModel.snapshot { try $0.history(of: uid).revisions(notKeptBy: policy) }
            guard !old.isEmpty else { continue }
            report.collections.append((uid, old.count))
            guard removes else {
                let pruning = try await node.readModel.snapshot { try $0.pruning(of: old, in: uid) }
                report.contents += pruning.command.chunks.count
                report.files += pruning.files
                continue
            }
            var rest = old[...]
            while !rest.isEmpty {
                let (contents, files) = try await prune(Array(rest.prefix(Self.pageRevisions)), of: uid)
                report.contents += contents
                report.files += files
                rest = rest.dropFirst(Self.pageRevisions)
            }
            // What is not projected yet is still there.
            try await node.readModel.snapshot { try $0.require([.collection(uid)]) }
        }
        return report
    }

    /// - Returns: how many contents went, and how many of those lie in files.
    private func prune(_ revisions: [OldRevision], of uid: CollectionUID) async throws -> (contents: Int, files: Int) {
        for attempt in 1... {
            let (prepared, files) = try await node.readModel.snapshot { snapshot in
                let pruning = try snapshot.pruning(of: revisions, in: uid)
                return (try snapshot.prepare(pruning.command), pruning.files)
            }
            guard !prepared.command.revisions.isEmpty else { return (0, 0) }
            do {
                try await node.door.commit(prepared, by: .operator, at: Node.clock(), key: SealKey(secret: node.secret.value))
                return (prepared.command.chunks.count, files)
            } catch let fault as DatabaseFault {
                guard case .conflict = fault.kind, attempt < Self.attempts else { throw fault }
            } catch let refusal as Refusal {
                // One of them has just been brought back.
                guard attempt < Self.attempts else { throw ValidationError(refusal.words) }
            }
        }
        preconditionFailure("a loop without an end has ended")
    }
}
