internal import Domain
internal import EventLog
internal import Hummingbird
internal import MessagePack
internal import ReadModel

extension API {
    /// `GET collection/UID/audit/`: who did what in the collection, oldest first, for its admins.
    ///
    /// What an admin is shown: all that was done, when, and by which user, since admins know the members by name anyway; and the
    /// short id of the session, which tells whether two things were done from the same login, and nothing else. Which device
    /// that is and from which address it came is about a person, not about the collection: these an admin sees only of what
    /// she did herself. The operator sees them of everybody (`apus audit`).
    func audit(_ call: Call) async throws -> Response {
        var validation = Validation()
        let limit = call.query.limit(&validation)
        let times = call.query.times(&validation)
        let checked = Result { [validation] in try validation.finish((limit, times)) }
        // The history is in the log, so it is read where that is.
        let page = try await prepare(call) { [stokens = readModel.stokens] snapshot, user in
            _ = try snapshot.adminAccess(to: call.collection, by: user.user)
            let (limit, times) = try checked.get()
            let iterator = call.query["iterator"].flatMap { $0.isEmpty ? nil : $0 }
            let start = try snapshot.start(iterator)
            let page = try snapshot.audit(of: call.collection, after: start, at: times, limit: try limit.get())
            var writer = MessagePackWriter(capacity: 4096)
            writer.map(count: 3)
            writer.key("data")
            writer.array(count: page.elements.count)
            for entry in page.elements { writer.entry(entry, for: user.user) }
            writer.pair("iterator", page.elements.last.map { stokens.stoken($0.head) } ?? iterator)
            writer.pair("done", page.isDone)
            return writer.buffer
        }
        return try await answer([.bytes(page)], to: call)
    }
}

extension QueryString {
    /// The range of time from `since` to `until`, both in it and in milliseconds since 1970, as entries tell their times.
    fileprivate func times(_ validation: inout Validation) -> ClosedRange<Timestamp> {
        let since = time("since", &validation)
        let until = time("until", &validation)
        if let since, let until, until < since {
            validation.note(
                "greater_than_equal", [.name("query"), .name("until")], "Input should be greater than or equal to \(since)",
                .text(self["until"] ?? ""), .minimum(Int64(since)))
            return Timestamp.always
        }
        let first = since.map { Timestamp(milliseconds: $0) } ?? Timestamp.always.lowerBound
        // The whole of the last millisecond.
        let last = until.map { Timestamp(milliseconds: $0, rest: 999) } ?? Timestamp.always.upperBound
        return first...last
    }

    private func time(_ name: String, _ validation: inout Validation) -> Int? {
        guard let text = self[name], !text.isEmpty else { return nil }
        return validation.integer(text: text, [.name("query"), .name(name)], .text(text))
    }
}

extension Timestamp {
    /// The nearest that there is.
    fileprivate init(milliseconds: Int, rest: Int64 = 0) {
        let (whole, isTooLarge) = Int64(milliseconds).multipliedReportingOverflow(by: 1000)
        let (sum, isPastEnd) = whole.addingReportingOverflow(rest)
        self.init(rawValue: isTooLarge || isPastEnd ? (milliseconds < 0 ? .min : .max) : sum)
    }
}

extension MessagePackWriter {
    /// The same keys for every action; null where one does not apply. The time is in milliseconds since 1970, as in the
    /// protocol's own contents.
    fileprivate mutating func entry(_ entry: AuditEntry, for reader: UserID) {
        let isOwn = entry.user == reader
        map(count: 12)
        pair("action", entry.action.rawValue)
        pair("time", entry.time.rawValue / 1000)
        pair("username", entry.username)
        pair("session", entry.session)
        pair("device", isOwn ? entry.device : nil)
        pair("address", isOwn ? entry.address : nil)
        pair("item", entry.item?.rawValue)
        pair("revision", entry.revision?.rawValue)
        pair("chunk", entry.chunk?.rawValue)
        pair("invitation", entry.invitation?.rawValue)
        pair("member", entry.member)
        key("accessLevel")
        if let level = entry.level { int(level.rawValue) } else { null() }
    }
}
