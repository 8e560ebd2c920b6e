internal import Database
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import MessagePack
internal import ReadModel

extension API {
    /// `GET collection/UID/member/`
    func listMembers(_ call: Call) async throws -> Response {
        var validation = Validation()
        let limit = call.query.limit(&validation)
        let checked = Result { [validation] in try validation.finish(limit) }
        let page = try await read(call) { snapshot, user in
            let collection = try snapshot.adminAccess(to: call.collection, by: user.user)
            let limit = try checked.get().get()
            let iterator = call.query["iterator"].flatMap { $0.isEmpty ? nil : $0 }
            let page = try snapshot.members(of: collection, after: try snapshot.start(iterator), limit: limit)
            var writer = MessagePackWriter(capacity: 256)
            writer.map(count: 3)
            writer.key("data")
            writer.array(count: page.elements.count)
            for member in page.elements {
                writer.map(count: 2)
                writer.pair("username", member.username)
                writer.pair("accessLevel", member.level.rawValue)
            }
            writer.pair("iterator", try page.elements.last.map { try snapshot.stoken(at: $0.changed) } ?? iterator)
            writer.pair("done", page.isDone)
            return writer.buffer
        }
        return try await answer([.bytes(page)], to: call)
    }

    /// `PATCH collection/UID/member/NAME/`
    func changeMember(_ call: Call) async throws -> Response {
        let wanted = Result {
            try call.body.decode { validation, value, location in
                validation.fields(value, location)?.required("accessLevel", &validation) { $0.level($1, $2) }
            }
        }
        let name = CanonicalName(call.parameter("username"))
        try await commit(call) { snapshot, user in
            let collection = try snapshot.adminAccess(to: call.collection, by: user.user)
            let member = try snapshot.member(named: name, of: collection)
            return ChangeMemberLevel(collection: call.collection, author: user.user, member: member, level: try wanted.get())
        }
        return Answer.nothing(.noContent, to: call)
    }

    /// `DELETE collection/UID/member/NAME/`
    func removeMember(_ call: Call) async throws -> Response {
        let name = CanonicalName(call.parameter("username"))
        try await commit(call) { snapshot, user in
            let collection = try snapshot.adminAccess(to: call.collection, by: user.user)
            let member = try snapshot.member(named: name, of: collection)
            return RemoveMember(collection: call.collection, author: user.user, member: member)
        }
        return Answer.nothing(.noContent, to: call)
    }

    /// `POST collection/UID/member/leave/`
    func leave(_ call: Call) async throws -> Response {
        try await commit(call) { _, user in LeaveCollection(collection: call.collection, author: user.user) }
        return Answer.nothing(.noContent, to: call)
    }
}

extension Snapshot {
    /// The collection, for an admin.
    ///
    /// - Throws: `Refusal` for other members, and another one for everybody else, who is not told that there is a collection.
    func adminAccess(to collection: CollectionUID, by user: UserID) throws -> CollectionAccess {
        let access = try access(to: collection, by: user)
        guard access.level == .admin else {
            throw Refusal.adminAccessRequired(for: .members)
        }
        return access
    }
}

extension Validation {
    /// An access level; what reads as its number is taken (`member-change`).
    mutating func level(_ value: MessagePackValue, _ location: Location) -> AccessLevel? {
        var lenient = Validation()
        if let number = lenient.integer(value, location) {
            if let level = AccessLevel(rawValue: Int64(number)) { return level }
            if number == .max || number == .min { return noteTooLong(location, value) }
        }
        note("enum", location, "Input should be 0, 1 or 2", value, .expected("0, 1 or 2"))
        return nil
    }
}
