internal import Domain
internal import Pages
internal import ReadModel

// What stands on pages, in words.

extension Timestamp {
    var shown: String { text.prefix(16) + " UTC" }
}

extension Counted {
    var shown: String { isMore ? "more than \(Counted.limit)" : "\(count)" }
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
        guard let match = text.wholeMatch(of: /(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?/) else { return nil }
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
