internal import Contents
internal import Database
internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import ReadModel

extension API {
    /// `PUT collection/UID/item/UID/chunk/UID/`. The body is the content, whatever its media type; the item need not exist.
    func uploadChunk(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        let uid = ChunkUID(call.parameter("chunk_uid"))
        let offer = Result {
            try settings.requireChunk(ofBytes: body.readableBytes)
            let content = Array(body.readableBytesView)
            return (StoredChunk(uid: uid, content: content), content)
        }
        try await commitWithContents(call) { snapshot, user in
            if case .failure = offer { try snapshot.requireWriteAccess(to: call.collection, by: user.user) }
            let (chunk, content) = try offer.get()
            return (StoreChunk(collection: call.collection, author: user.user, chunk: chunk), [uid: content])
        }
        return Answer.nothing(.created, to: call)
    }

    /// `GET collection/UID/item/UID/chunk/UID/download/`
    func downloadChunk(_ call: Call) async throws -> Response {
        let content = try await read(call) { snapshot, user in
            let collection = try snapshot.access(to: call.collection, by: user.user)
            guard let content = try snapshot.chunk(ChunkUID(call.parameter("chunk_uid")), in: collection) else {
                throw Refusal.doesNotExist(.chunk)
            }
            return content
        }
        let part: AnswerPart =
            switch content {
            case .bytes(let bytes): .bytes(ByteBuffer(bytes: bytes))
            case .stored(let stored): .stored(stored)
            }
        if let sendfile = settings.sendfile, case .stored(let stored) = content, let file = try await readModel.file(of: stored),
            let answer = sendfile.answer(file)
        {
            return answer
        }
        if let proxy = settings.sendsObjects, case .stored(let stored) = content,
            let object = readModel.object(of: stored, to: call.method.rawValue), let answer = proxy.answer(object: object)
        {
            return answer
        }
        guard call.method != .head else { throw APIError.methodNotAllowed(allowed: [.get]) }
        return try await answer([part], to: call, type: MediaType.binary)
    }
}

extension APISettings {
    /// - Throws: ``APIError`` where a chunk's content is longer than it may be.
    func requireChunk(ofBytes count: Int) throws(APIError) {
        guard count <= chunkLimitBytes else { throw .tooLarge("A chunk", limitBytes: chunkLimitBytes) }
    }
}
