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
        let (user, state, head) = try await prepare(call, .small) { snapshot, user in
            let state = try snapshot.state(of: call.collection, chunks: [uid])
            guard try state.level(of: user.user).canWrite else { throw Refusal.noWriteAccess }
            return (user, state, try snapshot.logHead())
        }
        guard body.readableBytes <= settings.chunkLimitBytes else {
            throw APIError.tooLarge("A chunk", limitBytes: settings.chunkLimitBytes)
        }
        let content = Array(body.readableBytesView)
        let command = StoreChunk(
            collection: call.collection, author: user.user, chunk: StoredChunk(uid: uid, content: content))
        try await commit(on: state, at: head, by: user, contents: [uid: content], call) { state throws(Refusal) in
            try decide(command, state)
        }
        return Answer.nothing(.created, to: call)
    }

    /// `GET collection/UID/item/UID/chunk/UID/download/`
    func downloadChunk(_ call: Call) async throws -> Response {
        let content = try await read(call) { snapshot, user in
            let collection = try snapshot.access(to: call.collection, by: user.user)
            guard let content = try snapshot.chunk(ChunkUID(call.parameter("chunk_uid")), in: collection) else {
                throw Refusal.doesNotExist(model: "CollectionItemChunk")
            }
            return content
        }
        let part: AnswerPart =
            switch content {
            case .bytes(let bytes): .bytes(ByteBuffer(bytes: bytes))
            case .stored(let stored): .stored(stored)
            }
        return try await answer([part], to: call, type: MediaType.binary)
    }
}
