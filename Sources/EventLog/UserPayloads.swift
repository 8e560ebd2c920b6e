internal import Domain
internal import MessagePack

extension UserCreated: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            username: try reader.text("username"), displayName: try reader.text("displayName"), email: try reader.text("email"),
            unusablePassword: try reader.text("password"),
            keys: try reader.optional("keys").map { value throws(PayloadReader.Failure) in try UserKeys(value) })
    }

    func write(to writer: inout PayloadWriter) {
        writer.text("username", username)
        writer.text("displayName", displayName)
        writer.text("email", email)
        writer.text("password", unusablePassword)
        if let keys { keys.write(to: &writer) }
    }
}

extension UserInitialized: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(user: try reader.user("user"), keys: try UserKeys(reader.field("keys")))
    }

    func write(to writer: inout PayloadWriter) {
        writer.user("user", user)
        keys.write(to: &writer)
    }
}

extension PasswordChanged: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            user: try reader.user("user"), loginPubkey: try reader.bytes("loginPubkey"),
            encryptedContent: try reader.bytes("encryptedContent"))
    }

    func write(to writer: inout PayloadWriter) {
        writer.user("user", user)
        writer.bytes("loginPubkey", loginPubkey)
        writer.bytes("encryptedContent", encryptedContent)
    }
}

extension UserActivityChanged: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(user: try reader.user("user"), isActive: try reader.flag("isActive"))
    }

    func write(to writer: inout PayloadWriter) {
        writer.user("user", user)
        writer.flag("isActive", isActive)
    }
}

extension UserReset: EventPayload {
    /// Since the second there may be no keys.
    static var typeVersion: Int64 { 2 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            user: try reader.user("user"),
            keys: try version == 1
                ? UserKeys(reader.field("keys"))
                : reader.optional("keys").map { value throws(PayloadReader.Failure) in
                    try UserKeys(value)
                },
            collections: try reader.list("collections") { value throws(PayloadReader.Failure) in
                CollectionUID(try value.requireText())
            })
    }

    func write(to writer: inout PayloadWriter) {
        writer.user("user", user)
        keys?.write(to: &writer)
        writer.list("collections", collections) { $0.string($1.rawValue) }
    }
}

extension UserErased: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        self.init(
            user: try reader.user("user"),
            collections: try reader.list("collections") { value throws(PayloadReader.Failure) in
                CollectionUID(try value.requireText())
            }, redaction: try RedactionProof(reader.field("redaction")))
    }

    func write(to writer: inout PayloadWriter) {
        writer.user("user", user)
        writer.list("collections", collections) { $0.string($1.rawValue) }
        redaction.write(to: &writer)
    }
}

extension RedactionProof {
    init(_ value: MessagePackValue) throws(PayloadReader.Failure) {
        let reader = try PayloadReader(value)
        self.init(
            id: try reader.bytes("id"), count: Int(try reader.number("count")), digest: try reader.bytes("digest"),
            signature: try reader.bytes("signature"))
    }

    func write(to writer: inout PayloadWriter) {
        writer.map("redaction") { inner in
            inner.bytes("id", id)
            inner.number("count", Int64(count))
            inner.bytes("digest", digest)
            inner.bytes("signature", signature)
        }
    }
}

extension UserKeys {
    fileprivate init(_ value: MessagePackValue) throws(PayloadReader.Failure) {
        let reader = try PayloadReader(value)
        self.init(
            salt: try reader.bytes("salt"), loginPubkey: try reader.bytes("loginPubkey"), pubkey: try reader.bytes("pubkey"),
            encryptedContent: try reader.bytes("encryptedContent"))
    }

    fileprivate func write(to writer: inout PayloadWriter) {
        writer.map("keys") { inner in
            inner.bytes("salt", salt)
            inner.bytes("loginPubkey", loginPubkey)
            inner.bytes("pubkey", pubkey)
            inner.bytes("encryptedContent", encryptedContent)
        }
    }
}

extension PayloadReader {
    func user(_ name: String) throws(Failure) -> UserID { UserID(rawValue: try number(name)) }

    func users(_ name: String) throws(Failure) -> [UserID] {
        try list(name) { value throws(Failure) in UserID(rawValue: try value.requireNumber()) }
    }

    func level(_ name: String) throws(Failure) -> AccessLevel {
        guard let level = AccessLevel(rawValue: try number(name)) else { throw Failure() }
        return level
    }

    func collection() throws(Failure) -> CollectionUID { CollectionUID(try text("collection")) }
}

extension PayloadWriter {
    mutating func user(_ name: String, _ user: UserID) { number(name, user.rawValue) }
    mutating func users(_ name: String, _ users: [UserID]) { list(name, users) { $0.int($1.rawValue) } }
    mutating func collection(_ collection: CollectionUID) { text("collection", collection.rawValue) }
}
