internal import Database
internal import Domain
internal import EventLog
internal import HTTPTypes
internal import Hummingbird
internal import MessagePack
internal import NIOCore
internal import ReadModel

extension API {
    /// `GET collection/`
    func listCollections(_ call: Call) async throws -> Response {
        let query = Result { try ListQuery(call) }
        if let page = try await unchanged(.collections, try? query.get(), call) { return page }
        let page = try await read(call) { snapshot, user in
            try snapshot.collectionPage(of: user.user, types: nil, try query.get())
        }
        return try await answer(page, to: call)
    }

    /// `POST collection/list_multi/`
    func listCollectionsOfTypes(_ call: Call) async throws -> Response {
        var validation = Validation()
        let query = ListQuery(call, &validation)
        let types = Result { [validation] in
            try call.body.decode(after: validation) { validation, value, location in
                validation.fields(value, location)?.required("collectionTypes", &validation) { validation, value, location in
                    validation.list(value, location, maximum: CollectionTypes.limit) { $0.bytes($1, $2) }.map { CollectionTypes($0) }
                }
            }
        }
        if case .success = types, let page = try await unchanged(.collections, query, call) { return page }
        let page = try await read(call) { snapshot, user in
            try snapshot.collectionPage(of: user.user, types: try types.get(), query)
        }
        return try await answer(page, to: call)
    }

    /// `GET collection/UID/`
    func getCollection(_ call: Call) async throws -> Response {
        let query = Result { try ContentQuery(call) }
        let collection = try await read(call, .small) { snapshot, user in
            _ = try snapshot.access(to: call.collection, by: user.user)
            let prefetch = try query.get().prefetch
            let collection = try snapshot.collection(call.collection, of: user.user, prefetch)
            var writer = AnswerWriter()
            writer.collection(collection, prefetch)
            return writer.finish()
        }
        return try await answer(collection, to: call)
    }

    /// `POST collection/`
    func createCollection(_ call: Call) async throws -> Response {
        let offer = Result {
            let new = try call.body.decode(NewCollection.read)
            try settings.requireChunk(ofBytes: new.longestBytes)
            return new
        }
        try await commitWithContents(call) { _, user in
            let new = try offer.get()
            let command = CreateCollection(
                author: user.user, item: new.item, collectionType: new.collectionType, collectionKey: new.collectionKey)
            return (command, new.contents)
        }
        return Answer.nothing(.created, to: call)
    }
}

/// The body of a collection's creation.
struct NewCollection: Sendable {
    let collectionType: [UInt8]?
    let collectionKey: [UInt8]
    let item: OfferedItem
    let contents: [ChunkUID: [UInt8]]
    let longestBytes: Int

    static func read(_ validation: inout Validation, _ value: MessagePackValue, _ location: Validation.Location) -> NewCollection? {
        guard let fields = validation.fields(value, location) else { return nil }
        var reader = OfferReader()
        let type = fields.optional("collectionType", &validation) { $0.bytes($1, $2) }
        let key = fields.bytes("collectionKey", &validation)
        let item = fields.required("item", &validation) { reader.item(&$0, $1, $2) }
        guard let type, let key, let item else { return nil }
        return NewCollection(
            collectionType: type, collectionKey: key, item: item, contents: reader.contents, longestBytes: reader.longestBytes)
    }
}

/// The query of a list that is followed by stokens.
struct ListQuery: Sendable {
    /// Nil where none was given, or an empty one.
    let stoken: String?
    let limit: PageLimit
    let prefetch: Prefetch

    init(_ call: Call, _ validation: inout Validation) {
        stoken = call.query["stoken"].flatMap { $0.isEmpty ? nil : $0 }
        limit = call.query.limit(&validation)
        prefetch = call.query.prefetch(&validation)
    }

    init(_ call: Call) throws(ValidationFailure) {
        var validation = Validation()
        let query = ListQuery(call, &validation)
        self = try validation.finish(query)
    }
}

/// The query of a single thing.
struct ContentQuery: Sendable {
    let prefetch: Prefetch

    init(_ call: Call) throws(ValidationFailure) {
        var validation = Validation()
        let prefetch = call.query.prefetch(&validation)
        self.prefetch = try validation.finish(prefetch)
    }
}

extension Snapshot {
    /// The position of a list's stoken; the beginning where there is none.
    ///
    /// - Throws: ``APIError/badStoken``.
    func start(_ stoken: String?) throws -> Position {
        guard let stoken else { return .none }
        guard let position = try position(ofStoken: stoken) else { throw APIError.badStoken }
        return position
    }

    /// A page of the user's collections as it goes over the wire.
    ///
    /// Removed memberships are told only when a stoken is given. The answer's stoken does not move past them, so they are
    /// told again until something else has changed, as recorded in `collection-removed`.
    func collectionPage(of user: UserID, types: CollectionTypes?, _ query: ListQuery) throws -> [AnswerPart] {
        try requireCollections(of: user)
        let start = try start(query.stoken)
        let page = try collections(of: user, types: types, after: start, limit: try query.limit.get(), query.prefetch)
        let end = page.elements.last?.changed
        let removals = query.stoken == nil ? [] : try removals(of: user, after: start, upTo: page.isDone ? nil : end?.at)
        var answer = AnswerWriter(capacity: 256 + page.elements.count * 512)
        answer.writer.map(count: removals.isEmpty ? 3 : 4)
        answer.writer.key("data")
        answer.writer.array(count: page.elements.count)
        for collection in page.elements { answer.collection(collection, query.prefetch) }
        answer.writer.pair("stoken", end?.stoken ?? query.stoken)
        answer.writer.pair("done", page.isDone)
        guard !removals.isEmpty else { return answer.finish() }
        answer.writer.key("removedMemberships")
        answer.writer.array(count: removals.count)
        for removal in removals {
            answer.writer.map(count: 1)
            answer.writer.pair("uid", removal.uid)
        }
        return answer.finish()
    }
}

extension AnswerWriter {
    /// A collection as a member sees it.
    fileprivate mutating func collection(_ collection: CollectionContent, _ prefetch: Prefetch) {
        writer.map(count: 5)
        pair("collectionType", collection.collectionType)
        pair("collectionKey", collection.collectionKey)
        writer.pair("accessLevel", collection.level.rawValue)
        writer.pair("stoken", collection.stoken)
        writer.key("item")
        item(collection.item, prefetch)
    }
}
