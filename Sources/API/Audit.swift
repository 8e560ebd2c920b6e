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
        let checked = Result { [validation] in try validation.finish(limit) }
        // The history is in the log, so it is read where that is.
        let answer = try await prepare(call) { [stokens = readModel.stokens] snapshot, user in
            _ = try snapshot.adminAccess(to: call.collection, by: user.user)
            let limit = try checked.get().get()
            let iterator = call.query["iterator"].flatMap { $0.isEmpty ? nil : $0 }
            let page = try snapshot.audit(of: call.collection, after: try snapshot.start(iterator), limit: limit)
            var writer = MessagePackWriter(capacity: 4096)
            writer.map(count: 3)
            writer.key("data")
            writer.array(count: page.elements.count)
            for entry in page.elements { writer.entry(entry, for: user.user) }
            writer.pair("iterator", page.elements.last.map { stokens.stoken($0.head) } ?? iterator)
            writer.pair("done", page.isDone)
            return writer.buffer
        }
        return Answer.data(answer)
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
