internal import Domain
internal import EventLog
internal import HTTPTypes
internal import Hummingbird
internal import MessagePack
public import NIOCore
public import ReadModel

extension API {
    /// `GET collection/UID/item/`
    func listItems(_ call: Call) async throws -> Response {
        var validation = Validation()
        let query = ListQuery(call, &validation)
        let includesMain = call.query.flag("withCollection", &validation)
        let checked = Result { [validation] in try validation.finish(query) }
        if let page = try await unchanged(.items(of: call.collection), try? checked.get(), call) { return page }
        let page = try await read(call) { snapshot, user in
            let collection = try snapshot.access(to: call.collection, by: user.user)
            let query = try checked.get()
            let start = try snapshot.start(query.stoken)
            let page = try snapshot.items(
                of: collection, after: start, limit: try query.limit.get(), includesMain: includesMain, query.prefetch)
            return try snapshot.itemList(page.elements, from: query.stoken, isDone: page.isDone)
        }
        return Answer.data(page)
    }

    /// `GET collection/UID/item/UID/`
    func getItem(_ call: Call) async throws -> Response {
        let query = Result { try ContentQuery(call) }
        let item = try await read(call) { snapshot, user in
            let collection = try snapshot.access(to: call.collection, by: user.user)
            let uid = ItemUID(call.parameter("item_uid"))
            guard let item = try snapshot.item(uid, of: collection, try query.get().prefetch) else {
                throw Refusal.doesNotExist(model: "CollectionItem")
            }
            var writer = MessagePackWriter(capacity: 1024)
            writer.item(item)
            return writer.buffer
        }
        return Answer.data(item)
    }

    /// `GET collection/UID/item/UID/revision/`
    func listRevisions(_ call: Call) async throws -> Response {
        let query = Result { try ListQuery(call) }
        let page = try await read(call) { snapshot, user in
            let collection = try snapshot.access(to: call.collection, by: user.user)
            let query = try query.get()
            let page = try snapshot.revisions(
                of: ItemUID(call.parameter("item_uid")), in: collection, before: call.query["iterator"].map { RevisionUID($0) },
                limit: try query.limit.get(), query.prefetch)
            var writer = MessagePackWriter(capacity: 1024)
            writer.map(count: 3)
            writer.key("data")
            writer.array(count: page.elements.count)
            for revision in page.elements { writer.revision(revision) }
            writer.pair("iterator", page.elements.last?.uid)
            writer.pair("done", page.isDone)
            return writer.buffer
        }
        return Answer.data(page)
    }

    /// `POST collection/UID/item/fetch_updates/`
    func fetchUpdates(_ call: Call) async throws -> Response {
        var validation = Validation()
        let prefetch = call.query.prefetch(&validation)
        let asked = Result { [validation] in try Self.knownItems(call.body, after: validation) }
        let answer = try await read(call) { snapshot, user in
            let collection = try snapshot.access(to: call.collection, by: user.user)
            let known = try asked.get()
            guard known.count <= 200 else { throw APIError.tooManyItems }
            let stoken = call.query["stoken"].flatMap { $0.isEmpty ? nil : $0 }
            let start = try snapshot.start(stoken)
            let etags = Dictionary(known, uniquingKeysWith: { $0 == $1 ? $0 : nil })
            let items = try snapshot.updates(of: collection, to: etags, after: start, prefetch)
            return try snapshot.itemList(items, from: stoken, isDone: true)
        }
        return Answer.data(answer)
    }

    /// `POST collection/UID/item/batch/` and `…/transaction/`
    func commitItems(_ call: Call, checksEtags: Bool) async throws -> Response {
        let offer = Result { try call.body.decode(ItemBatch.read) }
        let (user, batch, command, state, head) = try await prepare(call) { [settings] snapshot, user in
            let state = try snapshot.state(of: call.collection, for: offer, checksEtags: checksEtags)
            guard try state.level(of: user.user).canWrite else { throw Refusal.noWriteAccess }
            let batch = try offer.get()
            guard batch.items.count <= settings.batchLimit else { throw APIError.tooManyItems }
            guard batch.longestBytes <= settings.chunkLimitBytes else {
                throw APIError.tooLarge("A chunk", limitBytes: settings.chunkLimitBytes)
            }
            let command = CommitItems(
                collection: call.collection, author: user.user, items: batch.items, dependencies: batch.dependencies,
                stoken: try snapshot.expectedStoken(call.query["stoken"]), checksEtags: checksEtags)
            return (user, batch, command, state, try snapshot.logHead())
        }
        try await commit(on: state, at: head, by: user, contents: batch.contents, call) { state throws(Refusal) in
            try decide(command, state)
        }
        return Answer.data(ByteBuffer())
    }

    /// The items that the caller asks about. An empty list is a good list here, not a missing body (QUIRKS.md 38).
    private static func knownItems(_ body: Body, after validation: Validation) throws -> [(ItemUID, RevisionUID?)] {
        if case .emptyList = body { return try validation.finish([]) }
        return try body.decode(after: validation) { validation, value, location in
            validation.list(value, location) { validation, value, location in
                guard let fields = validation.fields(value, location) else { return nil }
                let uid = fields.text("uid", &validation)
                let etag = fields.optional("etag", &validation) { $0.text($1, $2) }
                guard let uid, let etag else { return nil }
                return (ItemUID(uid), etag.map { RevisionUID($0) })
            }
        }
    }
}

extension API {
    /// A list of items as it goes over the wire, in answers and in the frames of sockets.
    public static func itemList(_ items: [ItemContent], _ stoken: String?, _ isDone: Bool) -> ByteBuffer {
        var writer = MessagePackWriter(capacity: 128 + items.count * 512)
        writer.map(count: 3)
        writer.key("data")
        writer.array(count: items.count)
        for item in items { writer.item(item) }
        writer.pair("stoken", stoken)
        writer.pair("done", isDone)
        return writer.buffer
    }
}

extension Snapshot {
    /// A list of items as it goes over the wire. Its stoken is that of the last change in it, or the one that was given.
    fileprivate func itemList(_ items: [ItemContent], from stoken: String?, isDone: Bool) throws -> ByteBuffer {
        API.itemList(items, try items.last.map { try self.stoken(at: $0.changed) } ?? stoken, isDone)
    }

    /// The state that a batch is decided on. Who may not write is told so before what is wrong with the batch, so there is one
    /// for a bad batch too.
    fileprivate func state(
        of collection: CollectionUID, for offer: Result<ItemBatch, any Error>, checksEtags: Bool
    ) throws -> CollectionState {
        guard case .success(let batch) = offer else { return try state(of: collection) }
        return try state(
            of: collection, items: batch.items.map(\.uid) + batch.dependencies.map(\.item),
            chunks: batch.items.flatMap { $0.revision.chunks.map(\.uid) },
            claims: batch.items.map { .revision($0.revision.uid) }, offered: checksEtags ? [] : batch.items)
    }

    /// The stoken that a commit expects the collection to have. One that is unknown is stale, not bad (`item-transaction`).
    fileprivate func expectedStoken(_ text: String?) throws -> CommitItems.ExpectedStoken {
        guard let text, !text.isEmpty else { return .any }
        return try position(ofStoken: text).map { .exactly($0) } ?? .unknown
    }
}

/// The body of a batch or transaction.
private struct ItemBatch: Sendable {
    let items: [OfferedItem]
    let dependencies: [CommitItems.Dependency]
    let contents: [ChunkUID: [UInt8]]
    let longestBytes: Int

    static func read(_ validation: inout Validation, _ value: MessagePackValue, _ location: Validation.Location) -> ItemBatch? {
        guard let fields = validation.fields(value, location) else { return nil }
        var reader = OfferReader()
        let items = fields.required("items", &validation) { validation, value, location in
            validation.list(value, location) { reader.item(&$0, $1, $2) }
        }
        let dependencies = fields.optional("deps", &validation) { validation, value, location in
            validation.list(value, location, dependency)
        }
        guard let items, let dependencies else { return nil }
        return ItemBatch(
            items: items, dependencies: dependencies ?? [], contents: reader.contents, longestBytes: reader.longestBytes)
    }

    private static func dependency(
        _ validation: inout Validation, _ value: MessagePackValue, _ location: Validation.Location
    ) -> CommitItems.Dependency? {
        guard let fields = validation.fields(value, location) else { return nil }
        let uid = fields.text("uid", &validation)
        let etag = fields.text("etag", &validation)
        guard let uid, let etag else { return nil }
        return .init(item: ItemUID(uid), etag: RevisionUID(etag))
    }
}
