internal import Domain
internal import Pages
internal import ReadModel

// What stands on pages, in words.

extension Timestamp {
    package var shown: String { text.prefix(16) + " UTC" }
}

extension Counted {
    var shown: String { isMore ? "more than \(Counted.limit)" : "\(count)" }
}

extension Int64 {
    /// A number of bytes, rounded down.
    package var shownAsBytes: String {
        var (whole, rest, unit): (Int64, Int64, String) = (self, 0, "")
        for larger in ["k", "M", "G", "T"] where whole >= 1000 { (whole, rest, unit) = (whole / 1000, whole % 1000, larger) }
        return whole >= 100 || rest < 100 ? "\(whole) \(unit)B" : "\(whole).\(rest / 100) \(unit)B"
    }
}

extension Quota.Kind {
    /// So many of a kind.
    func shown(_ amount: Int64) -> String { self == .bytes ? amount.shownAsBytes : "\(rawValue): \(amount)" }
}

extension Quota {
    var shown: String {
        let limits = Kind.allCases.compactMap { kind in self[kind].map { kind.shown($0) } }
        return limits.isEmpty ? "without a limit" : limits.joined(separator: ", ")
    }
}

extension AccountOverview {
    /// What the user's own collections hold, of all kinds.
    var usedShown: String { shown { used in Quota.Kind.allCases.map { $0.shown(used[$0]) }.joined(separator: ", ") } }

    /// The bytes of it, and of how many.
    func bytesShown(_ quotaOfAll: Quota) -> String {
        shown { used in used.bytes.shownAsBytes } + ((quota ?? quotaOfAll).bytes.map { " of \($0.shownAsBytes)" } ?? "")
    }

    private func shown(_ words: (Usage) -> String) -> String {
        guard let used else { return "not counted yet" }
        return (used.collections > Counted.limit ? "more than " : "") + words(used)
    }

    /// How much that may be.
    func quotaShown(_ quotaOfAll: Quota) -> String { quota.map(\.shown) ?? quotaOfAll.shown + ", as for all who have none of their own" }
}

extension AccessLevel {
    var shown: String {
        switch self {
        case .readOnly: "read only"
        case .readWrite: "read and write"
        case .admin: "admin"
        }
    }
}

extension CollectionHistory.Unrestorable {
    /// Why nothing was brought back.
    var words: String {
        switch self {
        case .noCollection: "There is no such collection any more."
        case .collectionIsNewer(_, let time): "There was no such collection yet: it was made at \(time.shown)."
        case .noItem: "There never was such an item."
        case .itemIsNewer(_, _, let time): "There was no such item yet: it was made at \(time.shown)."
        case .itemIsNotDeleted: "This item is not deleted."
        case .itemWasDeleted: "The item was deleted then, too."
        case .itemNeverLived: "The item never had content."
        case .itemIsNotKept: "What the item was then is not kept any more."
        case .nothingIsDeleted: "Nothing is deleted."
        case .nothingHasChanged: "Nothing has changed since then."
        }
    }
}

extension AccountPages.Device {
    init(_ session: ListedSession, isThis: Bool) {
        self.init(
            session: session.id, name: session.device?.visible ?? "a device that has not said what it is",
            since: session.since.prefix(16) + " UTC", lastUsed: session.lastUsed.map { $0.prefix(10) + "" }, isThis: isThis)
    }
}

extension AccountPages.Collection {
    init(_ collection: CollectionOverview) {
        self.init(
            uid: collection.uid.rawValue, owner: collection.owner, level: collection.level?.shown ?? "", items: collection.items.shown,
            members: collection.members.shown, isDeleted: collection.isDeleted, changedAt: collection.changedAt?.shown)
    }
}

extension AccountPages.DeletedItem {
    init(_ item: DeletionOverview) { self.init(uid: item.uid.rawValue, deletedAt: item.deletedAt?.shown) }
}

/// What somebody wants back, as a form says it.
struct RestoringWish: Sendable {
    /// Why a form says nothing that could be done.
    struct Mistake: Error {
        let words: String
    }

    let item: ItemUID?
    let moment: CollectionHistory.Moment?

    /// - Throws: ``Mistake``
    init(_ form: QueryString, at now: Timestamp) throws(Mistake) {
        item = form["what"] == "item" ? ItemUID(form["item"] ?? "") : nil
        guard form["what"] == "time" else {
            moment = nil
            return
        }
        guard let time = Timestamp(written: form["at"] ?? "") else { throw Mistake(words: "Enter a date and a time.") }
        guard time <= now else { throw Mistake(words: "This time is in the future.") }
        moment = .at(time)
    }
}

extension Timestamp {
    /// Reads what a browser sends for a date and a time: `2026-01-31T18:30`, with seconds or without.
    init?(written text: String) {
        guard let match = text.wholeMatch(of: Self.form) else { return nil }
        let (year, month, day) = (Int64(match.1) ?? 0, Int64(match.2) ?? 0, Int64(match.3) ?? 0)
        let (hour, minute, second) = (Int64(match.4) ?? 0, Int64(match.5) ?? 0, match.6.flatMap { Int64($0) } ?? 59)
        guard (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 60 else {
            return nil
        }
        // Days since 1970 in the Gregorian calendar, with years that begin in March.
        let shifted = month <= 2 ? year - 1 : year
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
        // The whole of the last second.
        self.init(rawValue: (days * 86_400 + hour * 3600 + minute * 60 + second) * 1_000_000 + 999_999)
        // A month may have fewer days.
        guard self.text.hasPrefix("\(match.1)-\(match.2)-\(match.3) ") else { return nil }
    }

    private static var form: Regex<(Substring, Substring, Substring, Substring, Substring, Substring, Substring?)> {
        /([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?/
    }
}

extension ActivityEntry {
    /// - Parameter reader: whose page it stands on; nil for the operator. What others did is told without where they were.
    init(_ entry: AuditEntry, for reader: UserID?) {
        let isOwn = reader == nil || entry.user == reader
        let details: [(String, String?)] = [
            ("collection", entry.collection?.rawValue), ("item", entry.item?.rawValue), ("with", entry.member?.visible),
            ("level", entry.level?.shown), ("device", isOwn ? entry.device?.visible : nil), ("address", isOwn ? entry.address : nil),
        ]
        self.init(
            time: entry.time.shown, what: entry.action.shown,
            who: entry.user != nil && entry.user == reader ? "you" : entry.username?.visible ?? "whoever runs the server",
            details: details.compactMap { name, value in value.map { (name, $0) } })
    }
}

extension AuditEntry.Action {
    fileprivate var shown: String {
        switch self {
        case .collectionCreated: "Collection made"
        case .collectionChanged: "Collection changed"
        case .collectionDeleted: "Collection deleted"
        case .collectionRestored: "Collection brought back"
        case .itemCreated: "Item made"
        case .itemChanged: "Item changed"
        case .itemDeleted: "Item deleted"
        case .itemRestored: "Item brought back"
        case .revisionsPruned: "Earlier revisions removed"
        case .chunkUploaded: "Content uploaded"
        case .memberInvited: "Somebody invited"
        case .invitationRejected: "Invitation rejected"
        case .invitationCancelled: "Invitation withdrawn"
        case .memberJoined: "Somebody joined"
        case .memberLevelChanged: "Somebody’s level changed"
        case .memberLeft: "Somebody left"
        case .memberRemoved: "Somebody removed"
        case .userCreated: "Account made"
        case .userInitialized: "Account set up"
        case .userDisabled: "Account disabled"
        case .userEnabled: "Account enabled"
        case .userReset: "Account reset"
        case .userErased: "Account erased"
        case .passwordChanged: "Password changed"
        case .recordsAdopted: "Taken over from the former server"
        }
    }
}
