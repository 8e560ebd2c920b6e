internal import Database
internal import Domain
internal import EventLog
internal import HTTPTypes
internal import Hummingbird
internal import MessagePack
package import NIOCore
package import ReadModel

extension API {
    /// `GET collection/UID/item/`
    func listItems(_ call: Call) async throws -> Response {
        var validation = Validation()
        let query = ListQuery(call, &validation)
        let includesMain = call.query.flag("withCollection", &validation)
        let checked = Result { [validation] in try validation.finish(query) }
        if let page = try await unchanged(.items(of: call.collection), try? checked.get(), call) { return page }
        func ahead(_ asked: inout Ahead) {
            guard let query = try? checked.get(), let limit = try? query.limit.get() else { return }
            asked.access(to: call.collection)
            asked.items(of: call.collection, after: query.stoken, limit: limit, includesMain: includesMain, query.prefetch)
        }
        let page = try await read(call, ahead: ahead) { snapshot, user in
            let collection = try snapshot.access(to: call.collection, by: user.user)
            let query = try checked.get()
            let start = try snapshot.start(query.stoken)
            let page = try snapshot.items(
                of: collection, after: start, limit: try query.limit.get(), includesMain: includesMain, query.prefetch)
            return try snapshot.itemList(page, from: query.stoken, query.prefetch)
        }
        return try await answer(page, to: call)
    }

    /// `GET collection/UID/item/UID/`
    func getItem(_ call: Call) async throws -> Response {
        let query = Result { try ContentQuery(call) }
        func ahead(_ asked: inout Ahead) {
            guard let query = try? query.get() else { return }
            asked.access(to: call.collection)
            asked.item(ItemUID(call.parameter("item_uid")), of: call.collection, query.prefetch)
        }
        let item = try await read(call, .small, ahead: ahead) { snapshot, user in
            let collection = try snapshot.access(to: call.collection, by: user.user)
            let uid = ItemUID(call.parameter("item_uid"))
            let prefetch = try query.get().prefetch
            guard let item = try snapshot.item(uid, of: collection, prefetch) else {
                throw Refusal.doesNotExist(.item)
            }
            var writer = AnswerWriter()
            writer.item(item, prefetch)
            return writer.finish()
        }
        return try await answer(item, to: call)
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
            var answer = AnswerWriter()
            answer.writer.map(count: 3)
            answer.writer.key("data")
            answer.writer.array(count: page.elements.count)
            for revision in page.elements { answer.revision(revision, query.prefetch) }
            answer.writer.pair("iterator", page.elements.last?.uid)
            answer.writer.pair("done", page.isDone)
            return answer.finish()
        }
        return try await answer(page, to: call)
    }

    /// Of how many items updates are told at once.
    private static let updatesAtOnce = 200

    /// `POST collection/UID/item/fetch_updates/`
    func fetchUpdates(_ call: Call) async throws -> Response {
        var validation = Validation()
        let prefetch = call.query.prefetch(&validation)
        let asked = Result { [validation] in
            let known = try Self.knownItems(call.body, after: validation)
            return (count: known.count, etags: Dictionary(known, uniquingKeysWith: { $0 == $1 ? $0 : nil }))
        }
        let stoken = call.query["stoken"].flatMap { $0.isEmpty ? nil : $0 }
        func ahead(_ inquiry: inout Ahead) {
            guard let known = try? asked.get(), known.count <= Self.updatesAtOnce else { return }
            inquiry.access(to: call.collection)
            inquiry.updates(of: call.collection, to: known.etags, after: stoken, prefetch)
        }
        let page = try await read(call, ahead: ahead) { snapshot, user in
            let collection = try snapshot.access(to: call.collection, by: user.user)
            let known = try asked.get()
            guard known.count <= Self.updatesAtOnce else { throw APIError.tooManyItems }
            let start = try snapshot.start(stoken)
            let page = try snapshot.updates(of: collection, to: known.etags, after: start, prefetch)
            return try snapshot.itemList(page, from: stoken, prefetch)
        }
        return try await answer(page, to: call)
    }

    /// `POST collection/UID/item/batch/` and `…/transaction/`
    func commitItems(_ call: Call, checksEtags: Bool) async throws -> Response {
        let offer = Result {
            let batch = try call.body.decode(ItemBatch.read)
            // What is more than may be sent is not looked up.
            guard max(batch.items.count, batch.dependencies.count) <= settings.batchLimit else { throw APIError.tooManyItems }
            try settings.requireChunk(ofBytes: batch.longestBytes)
            let needs = CommitItems.needs(of: batch.items, batch.dependencies, in: call.collection, checksEtags: checksEtags)
            return (batch, needs)
        }
        func ahead(_ asked: inout Ahead) {
            if let offer = try? offer.get() { asked.needs(offer.1, stoken: call.query["stoken"]) }
        }
        try await commitWithContents(call, ahead: ahead) { snapshot, user in
            if case .failure = offer { try snapshot.requireWriteAccess(to: call.collection, by: user.user) }
            let (batch, needs) = try offer.get()
            let command = CommitItems(
                collection: call.collection, author: user.user, items: batch.items, dependencies: batch.dependencies,
                stoken: try snapshot.expectedStoken(call.query["stoken"]), checksEtags: checksEtags, needs: needs)
            return (command, batch.contents)
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
    /// A list of items as it goes over the wire in the frames of sockets. All their contents are at hand.
    package static func itemList(_ items: [ItemContent], _ stoken: String?, _ isDone: Bool) -> ByteBuffer {
        var writer = AnswerWriter(capacity: 128 + items.reduce(0) { $0 + 512 + $1.wireBytes })
        writer.itemList(items, stoken, isDone: isDone, .auto)
        guard let buffer = writer.finish().buffer else { preconditionFailure("a frame is made in one piece") }
        return buffer
    }
}

extension Snapshot {
    /// A list of items as it goes over the wire. Its stoken is that of the last change in it, or the one that was given.
    fileprivate func itemList(_ page: Page<ItemContent>, from stoken: String?, _ prefetch: Prefetch) throws -> [AnswerPart] {
        var writer = AnswerWriter(capacity: 128 + page.elements.count * 512)
        let end = try page.elements.last.map { try self.stoken(at: $0.changed) } ?? stoken
        writer.itemList(page.elements, end, isDone: page.isDone, prefetch)
        return writer.finish()
    }

    /// The stoken that a commit expects the collection to have. One that is unknown is stale, not bad (`item-transaction`).
    fileprivate func expectedStoken(_ text: String?) throws -> CommitItems.ExpectedStoken {
        guard let text, !text.isEmpty else { return .any }
        return try position(ofStoken: text).map { .exactly($0) } ?? .unknown
    }
}

/// The body of a batch or transaction.
struct ItemBatch: Sendable {
    let items: [OfferedItem]
    let dependencies: [CommitItems.Dependency]
    let contents: [ChunkUID: [UInt8]]
    let longestBytes: Int

    private init(items: [OfferedItem], dependencies: [CommitItems.Dependency], _ reader: OfferReader) {
        self.items = items
        self.dependencies = dependencies
        contents = reader.contents
        longestBytes = reader.longestBytes
    }

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
        return ItemBatch(items: items, dependencies: dependencies ?? [], reader)
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

extension ItemContent {
    /// Roughly what it takes in an answer.
    fileprivate var wireBytes: Int {
        revision.chunks.reduce(revision.meta.count + (encryptionKey?.count ?? 0)) { $0 + $1.uid.utf8.count + 8 + ($1.content?.count ?? 0) }
    }
}
