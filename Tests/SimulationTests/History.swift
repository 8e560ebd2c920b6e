/// What a reader was told of an item.
struct Told: Hashable {
    let item: String
    let revision: String
    /// Where the change is in the log; only for telling what a fork has lost.
    let position: Int64

    static func name(_ revision: String, _ position: Int64) -> String { "\(revision) at \(position)" }
    var name: String { Self.name(revision, position) }
}

/// What clients did and saw: the records of `Tests/Histories/checker.py`.
struct History {
    enum Outcome: String { case done, refused, unknown }

    struct Write {
        let session: String
        let collection: String
        let items: [(item: String, revision: String, after: String?)]
        var outcome: Outcome
        let begin: Double
        var end: Double
    }

    struct Seen {
        let isFrame: Bool
        let reader: String
        let user: String
        let collection: String
        let since: String?
        var told: [Told]
        let stoken: String?
        var isLast: Bool
        var begin: Double
        let end: Double
    }

    struct Access {
        let user: String
        let collection: String
        let isAllowed: Bool
        let begin: Double
        let end: Double
    }

    var writes: [Write] = []
    var seen: [Seen] = []
    var access: [Access] = []
    /// By collection and item, the oldest first.
    var revisions: [String: [String: [String]]] = [:]

    /// The history as lines of JSON.
    var lines: String {
        var lines: [String] = []
        func text(_ text: String?) -> String { text.map { "\"\($0)\"" } ?? "null" }
        for write in writes {
            let items = write.items.map { "[\(text($0.item)), \(text($0.revision)), \(text($0.after))]" }.joined(separator: ", ")
            lines.append(
                """
                {"kind": "write", "session": \(text(write.session)), "collection": \(text(write.collection)), "items": [\(items)], \
                "outcome": "\(write.outcome)", "begin": \(write.begin), "end": \(write.end)}
                """)
        }
        for seen in seen {
            let told = seen.told.map { "[\(text($0.item)), \(text($0.revision))]" }.joined(separator: ", ")
            let place = seen.isFrame ? "" : "\"since\": \(text(seen.since)), \"last\": \(seen.isLast), "
            lines.append(
                """
                {"kind": "\(seen.isFrame ? "frame" : "page")", "reader": \(text(seen.reader)), "user": \(text(seen.user)), \
                "collection": \(text(seen.collection)), \(place)"told": [\(told)], "stoken": \(text(seen.stoken)), \
                "begin": \(seen.begin), "end": \(seen.end)}
                """)
        }
        for access in access {
            lines.append(
                """
                {"kind": "access", "user": \(text(access.user)), "collection": \(text(access.collection)), \
                "allowed": \(access.isAllowed), "begin": \(access.begin), "end": \(access.end)}
                """)
        }
        for (collection, items) in revisions {
            for (item, told) in items {
                lines.append(
                    """
                    {"kind": "revisions", "collection": \(text(collection)), "item": \(text(item)), \
                    "told": [\(told.map { text($0) }.joined(separator: ", "))]}
                    """)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Takes out what a fork has lost, for whoever was told of it is told of the fork too.
    ///
    /// - Parameter isOfHistory: whether a stoken is one of what is there in the end. Whoever has read up to another one is not at the end
    ///   of anything.
    mutating func forget(_ lost: Set<String>, removals: Set<String>, isOfHistory: (String) -> Bool) {
        guard !lost.isEmpty || !removals.isEmpty else { return }
        let lostRevisions = Set(lost.map { String($0.prefix { $0 != " " }) })
        // What was lost may have come again, when somebody has sent it again.
        for index in writes.indices where writes[index].items.contains(where: { lostRevisions.contains($0.revision) }) {
            writes[index].outcome = .unknown
        }
        for index in seen.indices { seen[index].told.removeAll { lost.contains($0.name) } }
        for index in seen.indices where seen[index].stoken.map(isOfHistory) == false { seen[index].isLast = false }
        access.removeAll { removals.contains("\($0.collection) \($0.user)") }
    }
}
