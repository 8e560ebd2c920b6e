internal import Domain
internal import MessagePack

extension CollectionCreated: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            collection: try reader.collection(), owner: try reader.user("owner"), version: Int(try reader.number("version")),
            revision: try Revision(reader.field("revision")))
    }

    func write(to writer: inout PayloadWriter) {
        writer.collection(collection)
        writer.user("owner", owner)
        writer.number("version", Int64(self.version))
        revision.write(to: &writer)
    }
}

extension ItemCreated: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            collection: try reader.collection(), item: ItemUID(try reader.text("item")),
            version: Int(try reader.number("version")),
            encryptionKey: try reader.optional("encryptionKey").map { value throws(PayloadReader.Failure) in
                try value.requireBytes()
            }, revision: try Revision(reader.field("revision")))
    }

    func write(to writer: inout PayloadWriter) {
        writer.collection(collection)
        writer.text("item", item.rawValue)
        writer.number("version", Int64(self.version))
        if let encryptionKey { writer.bytes("encryptionKey", encryptionKey) }
        revision.write(to: &writer)
    }
}

extension ItemRevised: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            collection: try reader.collection(), item: ItemUID(try reader.text("item")),
            revision: try Revision(reader.field("revision")))
    }

    func write(to writer: inout PayloadWriter) {
        writer.collection(collection)
        writer.text("item", item.rawValue)
        revision.write(to: &writer)
    }
}

extension ItemRestored: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            collection: try reader.collection(), item: ItemUID(try reader.text("item")),
            revision: RevisionUID(try reader.text("revision")))
    }

    func write(to writer: inout PayloadWriter) {
        writer.collection(collection)
        writer.text("item", item.rawValue)
        writer.text("revision", revision.rawValue)
    }
}

extension ChunkStored: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(collection: try reader.collection(), chunk: try StoredChunk(reader.field("chunk")))
    }

    func write(to writer: inout PayloadWriter) {
        writer.collection(collection)
        writer.field("chunk") { chunk.write(to: &$0) }
    }
}

extension RevisionsPruned: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            collection: try reader.collection(),
            revisions: try reader.list("revisions") { value throws(PayloadReader.Failure) in RevisionUID(try value.requireText()) },
            chunks: try reader.list("chunks") { value throws(PayloadReader.Failure) in ChunkUID(try value.requireText()) },
            redaction: try RedactionProof(reader.field("redaction")))
    }

    func write(to writer: inout PayloadWriter) {
        writer.collection(collection)
        writer.list("revisions", revisions) { $0.string($1.rawValue) }
        writer.list("chunks", chunks) { $0.string($1.rawValue) }
        redaction.write(to: &writer)
    }
}

extension MemberJoined: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            collection: try reader.collection(), user: try reader.user("user"), level: try reader.level("level"),
            encryptionKey: try reader.bytes("encryptionKey"), collectionType: try reader.bytes("collectionType"),
            invitation: try reader.optional("invitation").map { value throws(PayloadReader.Failure) in
                InvitationUID(try value.requireText())
            }, inviters: try reader.users("inviters"))
    }

    func write(to writer: inout PayloadWriter) {
        writer.collection(collection)
        writer.user("user", user)
        writer.number("level", level.rawValue)
        writer.bytes("encryptionKey", encryptionKey)
        writer.bytes("collectionType", collectionType)
        if let invitation { writer.text("invitation", invitation.rawValue) }
        writer.users("inviters", inviters)
    }
}

extension MemberLevelChanged: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(collection: try reader.collection(), user: try reader.user("user"), level: try reader.level("level"))
    }

    func write(to writer: inout PayloadWriter) {
        writer.collection(collection)
        writer.user("user", user)
        writer.number("level", level.rawValue)
    }
}

extension MemberRemoved: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(collection: try reader.collection(), user: try reader.user("user"), invitees: try reader.users("invitees"))
    }

    func write(to writer: inout PayloadWriter) {
        writer.collection(collection)
        writer.user("user", user)
        writer.users("invitees", invitees)
    }
}

extension InvitationSent: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            collection: try reader.collection(), invitation: InvitationUID(try reader.text("invitation")),
            version: Int(try reader.number("version")), inviter: try reader.user("inviter"), invitee: try reader.user("invitee"),
            level: try reader.level("level"), signedEncryptionKey: try reader.bytes("signedEncryptionKey"))
    }

    func write(to writer: inout PayloadWriter) {
        writer.collection(collection)
        writer.text("invitation", invitation.rawValue)
        writer.number("version", Int64(self.version))
        writer.user("inviter", inviter)
        writer.user("invitee", invitee)
        writer.number("level", level.rawValue)
        writer.bytes("signedEncryptionKey", signedEncryptionKey)
    }
}

extension InvitationWithdrawn: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            collection: try reader.collection(), invitation: InvitationUID(try reader.text("invitation")),
            inviter: try reader.user("inviter"), invitee: try reader.user("invitee"))
    }

    func write(to writer: inout PayloadWriter) {
        writer.collection(collection)
        writer.text("invitation", invitation.rawValue)
        writer.user("inviter", inviter)
        writer.user("invitee", invitee)
    }
}

extension Revision {
    fileprivate init(_ value: MessagePackValue) throws(PayloadReader.Failure) {
        let reader = try PayloadReader(value)
        self.init(
            uid: RevisionUID(try reader.text("uid")), meta: try reader.bytes("meta"), isDeleted: try reader.flag("deleted"),
            chunks: try reader.list("chunks") { value throws(PayloadReader.Failure) in ChunkUID(try value.requireText()) },
            stored: try reader.list("stored") { value throws(PayloadReader.Failure) in try StoredChunk(value) })
    }

    fileprivate func write(to writer: inout PayloadWriter) {
        writer.map("revision") { inner in
            inner.text("uid", uid.rawValue)
            inner.bytes("meta", meta)
            inner.flag("deleted", isDeleted)
            inner.list("chunks", chunks) { $0.string($1.rawValue) }
            inner.list("stored", stored) { $1.write(to: &$0) }
        }
    }
}

extension StoredChunk {
    fileprivate init(_ value: MessagePackValue) throws(PayloadReader.Failure) {
        guard case .array(let fields) = value.kind, fields.count == 3 else { throw PayloadReader.Failure() }
        let parts = Array(fields)
        self.init(
            uid: ChunkUID(try parts[0].requireText()), bytes: Int(try parts[1].requireNumber()), digest: try parts[2].requireBytes())
    }

    fileprivate func write(to writer: inout MessagePackWriter) {
        writer.array(count: 3)
        writer.string(uid.rawValue)
        writer.int(bytes)
        writer.bytes(digest)
    }
}
