import Domain
import TestSupport
import Testing

/// An event as it stands in logs: its payload before sealing, in hexadecimal digits. The bytes were made with Python's
/// msgpack, not with our writer. They are never changed: a new version of a type gets lines of its own.
struct Golden: Sendable, CustomTestStringConvertible {
    let type: String
    let version: Int64
    let event: Event
    let hex: String

    var testDescription: String { "\(type) \(version), \(hex.count / 2) bytes" }
    var bytes: [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}

private let notes = CollectionUID("notes")
private let c = CollectionUID("c")
private let fullKeys = UserKeys(
    salt: Array(0..<16), loginPubkey: Array(0..<32), pubkey: Array(32..<64), encryptedContent: Array(repeating: 255, count: 40))
private let emptyKeys = UserKeys(salt: [], loginPubkey: [], pubkey: [], encryptedContent: [])
private let fullRevision = Revision(
    uid: RevisionUID("Rev-isionUID_0123456789"), meta: Array(repeating: 7, count: 300), isDeleted: true,
    chunks: [ChunkUID("chunk1"), ChunkUID("chunk2"), ChunkUID("chunk1")],
    stored: [
        StoredChunk(uid: ChunkUID("chunk1"), bytes: 70000, digest: Array(0..<16)),
        StoredChunk(uid: ChunkUID("chunk2"), bytes: 0, digest: []),
    ])
private let emptyRevision = Revision(uid: RevisionUID("r"), meta: [], isDeleted: false, chunks: [], stored: [])

extension Golden {
    /// For each type and version a representative event and a minimal one.
    static let all: [Golden] = [
        Golden(
            type: "UserCreated", version: 1,
            event: .userCreated(
                .init(username: "zoë", displayName: "Zoë", email: "zoe@example.com", unusablePassword: "!salt", keys: fullKeys)),
            hex: """
                85a8757365726e616d65a47a6fc3abab646973706c61794e616d65a45a6fc3aba5656d61696caf7a6f65406578616d706c65\
                2e636f6da870617373776f7264a52173616c74a46b65797384a473616c74c410000102030405060708090a0b0c0d0e0fab6c\
                6f67696e5075626b6579c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa67075626b65\
                79c420202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3fb0656e63727970746564436f6e7465\
                6e74c428ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
                """),
        Golden(
            type: "UserCreated", version: 1,
            event: .userCreated(.init(username: "a", displayName: "", email: "", unusablePassword: "!", keys: nil)),
            hex: """
                84a8757365726e616d65a161ab646973706c61794e616d65a0a5656d61696ca0a870617373776f7264a121
                """),
        Golden(
            type: "UserInitialized", version: 1,
            event: .userInitialized(.init(user: UserID(rawValue: 1_234_567_890_123), keys: fullKeys)),
            hex: """
                82a475736572cf0000011f71fb04cba46b65797384a473616c74c410000102030405060708090a0b0c0d0e0fab6c6f67696e\
                5075626b6579c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa67075626b6579c42020\
                2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3fb0656e63727970746564436f6e74656e74c428\
                ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
                """),
        Golden(
            type: "UserInitialized", version: 1,
            event: .userInitialized(.init(user: UserID(rawValue: 1), keys: emptyKeys)),
            hex: """
                82a47573657201a46b65797384a473616c74c400ab6c6f67696e5075626b6579c400a67075626b6579c400b0656e63727970\
                746564436f6e74656e74c400
                """),
        Golden(
            type: "PasswordChanged", version: 1,
            event: .passwordChanged(.init(user: UserID(rawValue: 128), loginPubkey: Array(0..<32), encryptedContent: [1, 2, 3])),
            hex: """
                83a475736572cc80ab6c6f67696e5075626b6579c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b\
                1c1d1e1fb0656e63727970746564436f6e74656e74c403010203
                """),
        Golden(
            type: "PasswordChanged", version: 1,
            event: .passwordChanged(.init(user: UserID(rawValue: 1), loginPubkey: [], encryptedContent: [])),
            hex: """
                83a47573657201ab6c6f67696e5075626b6579c400b0656e63727970746564436f6e74656e74c400
                """),
        Golden(
            type: "UserActivityChanged", version: 1,
            event: .userActivityChanged(.init(user: UserID(rawValue: 65536), isActive: true)),
            hex: """
                82a475736572ce00010000a86973416374697665c3
                """),
        Golden(
            type: "UserActivityChanged", version: 1,
            event: .userActivityChanged(.init(user: UserID(rawValue: 1), isActive: false)),
            hex: """
                82a47573657201a86973416374697665c2
                """),
        Golden(
            type: "UserReset", version: 1,
            event: .userReset(.init(user: UserID(rawValue: 7), keys: fullKeys, collections: [notes, CollectionUID("a/b")])),
            hex: """
                83a47573657207a46b65797384a473616c74c410000102030405060708090a0b0c0d0e0fab6c6f67696e5075626b6579c420\
                000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa67075626b6579c420202122232425262728\
                292a2b2c2d2e2f303132333435363738393a3b3c3d3e3fb0656e63727970746564436f6e74656e74c428ffffffffffffffff\
                ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffab636f6c6c656374696f6e7392a56e6f7465\
                73a3612f62
                """),
        Golden(
            type: "UserReset", version: 1,
            event: .userReset(.init(user: UserID(rawValue: 1), keys: emptyKeys, collections: [])),
            hex: """
                83a47573657201a46b65797384a473616c74c400ab6c6f67696e5075626b6579c400a67075626b6579c400b0656e63727970\
                746564436f6e74656e74c400ab636f6c6c656374696f6e7390
                """),
        Golden(
            type: "UserReset", version: 2,
            event: .userReset(.init(user: UserID(rawValue: 7), keys: nil, collections: [notes])),
            hex: """
                82a47573657207ab636f6c6c656374696f6e7391a56e6f746573
                """),
        Golden(
            type: "UserErased", version: 1,
            event: .userErased(
                .init(
                    user: UserID(rawValue: 300), collections: [notes, CollectionUID("a/b")],
                    redaction: .init(id: Array(0..<16), count: 70000, digest: Array(0..<32), signature: Array(0..<64)))),
            hex: """
                83a475736572cd012cab636f6c6c656374696f6e7392a56e6f746573a3612f62a9726564616374696f6e84a26964c4100001\
                02030405060708090a0b0c0d0e0fa5636f756e74ce00011170a6646967657374c420000102030405060708090a0b0c0d0e0f\
                101112131415161718191a1b1c1d1e1fa97369676e6174757265c440000102030405060708090a0b0c0d0e0f101112131415\
                161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f
                """),
        Golden(
            type: "UserErased", version: 1,
            event: .userErased(
                .init(user: UserID(rawValue: 1), collections: [], redaction: .init(id: [], count: 0, digest: [], signature: []))),
            hex: """
                83a47573657201ab636f6c6c656374696f6e7390a9726564616374696f6e84a26964c400a5636f756e7400a6646967657374\
                c400a97369676e6174757265c400
                """),
        Golden(
            type: "CollectionCreated", version: 1,
            event: .collectionCreated(.init(collection: notes, owner: UserID(rawValue: 300), version: 32767, revision: fullRevision)),
            hex: """
                84aa636f6c6c656374696f6ea56e6f746573a56f776e6572cd012ca776657273696f6ecd7fffa87265766973696f6e85a375\
                6964b75265762d6973696f6e5549445f30313233343536373839a46d657461c5012c
                """ + metaHex + """
                    a764656c65746564c3a66368756e6b7393a66368756e6b31a66368756e6b32a66368756e6b31a673746f7265649293a66368\
                    756e6b31ce00011170c410000102030405060708090a0b0c0d0e0f93a66368756e6b3200c400
                    """),
        Golden(
            type: "CollectionCreated", version: 1,
            event: .collectionCreated(.init(collection: c, owner: UserID(rawValue: 1), version: 0, revision: emptyRevision)),
            hex: """
                84aa636f6c6c656374696f6ea163a56f776e657201a776657273696f6e00a87265766973696f6e85a3756964a172a46d6574\
                61c400a764656c65746564c2a66368756e6b7390a673746f72656490
                """),
        Golden(
            type: "ItemCreated", version: 1,
            event: .itemCreated(
                .init(collection: notes, item: ItemUID("item"), version: 2, encryptionKey: [9, 9], revision: fullRevision)),
            hex: """
                85aa636f6c6c656374696f6ea56e6f746573a46974656da46974656da776657273696f6e02ad656e6372797074696f6e4b65\
                79c4020909a87265766973696f6e85a3756964b75265762d6973696f6e5549445f30313233343536373839a46d657461c501\
                2c
                """ + metaHex + """
                    a764656c65746564c3a66368756e6b7393a66368756e6b31a66368756e6b32a66368756e6b31a673746f7265649293a66368\
                    756e6b31ce00011170c410000102030405060708090a0b0c0d0e0f93a66368756e6b3200c400
                    """),
        Golden(
            type: "ItemCreated", version: 1,
            event: .itemCreated(.init(collection: c, item: ItemUID("i"), version: 0, encryptionKey: nil, revision: emptyRevision)),
            hex: """
                84aa636f6c6c656374696f6ea163a46974656da169a776657273696f6e00a87265766973696f6e85a3756964a172a46d6574\
                61c400a764656c65746564c2a66368756e6b7390a673746f72656490
                """),
        Golden(
            type: "ItemRevised", version: 1,
            event: .itemRevised(.init(collection: notes, item: ItemUID("item"), revision: fullRevision)),
            hex: """
                83aa636f6c6c656374696f6ea56e6f746573a46974656da46974656da87265766973696f6e85a3756964b75265762d697369\
                6f6e5549445f30313233343536373839a46d657461c5012c
                """ + metaHex + """
                    a764656c65746564c3a66368756e6b7393a66368756e6b31a66368756e6b32a66368756e6b31a673746f7265649293a66368\
                    756e6b31ce00011170c410000102030405060708090a0b0c0d0e0f93a66368756e6b3200c400
                    """),
        Golden(
            type: "ItemRevised", version: 1,
            event: .itemRevised(.init(collection: c, item: ItemUID("i"), revision: emptyRevision)),
            hex: """
                83aa636f6c6c656374696f6ea163a46974656da169a87265766973696f6e85a3756964a172a46d657461c400a764656c6574\
                6564c2a66368756e6b7390a673746f72656490
                """),
        Golden(
            type: "ItemRestored", version: 1,
            event: .itemRestored(.init(collection: notes, item: ItemUID("item"), revision: fullRevision.uid)),
            hex: """
                83aa636f6c6c656374696f6ea56e6f746573a46974656da46974656da87265766973696f6eb75265762d6973696f6e554944\
                5f30313233343536373839
                """),
        Golden(
            type: "ItemRestored", version: 1,
            event: .itemRestored(.init(collection: c, item: ItemUID("i"), revision: emptyRevision.uid)),
            hex: """
                83aa636f6c6c656374696f6ea163a46974656da169a87265766973696f6ea172
                """),
        Golden(
            type: "ChunkStored", version: 1,
            event: .chunkStored(
                .init(collection: notes, chunk: StoredChunk(uid: ChunkUID("chunk1"), bytes: 4_294_967_296, digest: Array(0..<16)))),
            hex: """
                82aa636f6c6c656374696f6ea56e6f746573a56368756e6b93a66368756e6b31cf0000000100000000c41000010203040506\
                0708090a0b0c0d0e0f
                """),
        Golden(
            type: "ChunkStored", version: 1,
            event: .chunkStored(.init(collection: c, chunk: StoredChunk(uid: ChunkUID("k"), bytes: 0, digest: []))),
            hex: """
                82aa636f6c6c656374696f6ea163a56368756e6b93a16b00c400
                """),
        Golden(
            type: "RevisionsPruned", version: 1,
            event: .revisionsPruned(
                .init(
                    collection: notes, revisions: [RevisionUID("Rev-isionUID_0123456789"), RevisionUID("r")], chunks: [ChunkUID("chunk1")],
                    redaction: .init(id: Array(0..<16), count: 2, digest: Array(0..<32), signature: Array(0..<64)))),
            hex: """
                84aa636f6c6c656374696f6ea56e6f746573a97265766973696f6e7392b75265762d6973696f6e5549445f30313233343536\
                373839a172a66368756e6b7391a66368756e6b31a9726564616374696f6e84a26964c410000102030405060708090a0b0c0d\
                0e0fa5636f756e7402a6646967657374c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\
                a97369676e6174757265c440000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425\
                262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f
                """),
        Golden(
            type: "RevisionsPruned", version: 1,
            event: .revisionsPruned(
                .init(collection: c, revisions: [], chunks: [], redaction: .init(id: [], count: 0, digest: [], signature: []))),
            hex: """
                84aa636f6c6c656374696f6ea163a97265766973696f6e7390a66368756e6b7390a9726564616374696f6e84a26964c400a5\
                636f756e7400a6646967657374c400a97369676e6174757265c400
                """),
        Golden(
            type: "MemberJoined", version: 1,
            event: .memberJoined(
                .init(
                    collection: notes, user: UserID(rawValue: 5), level: .readWrite, encryptionKey: [1, 2], collectionType: [3, 4],
                    invitation: InvitationUID("inv"), inviters: [UserID(rawValue: 1), UserID(rawValue: 200)])),
            hex: """
                87aa636f6c6c656374696f6ea56e6f746573a47573657205a56c6576656c02ad656e6372797074696f6e4b6579c4020102ae\
                636f6c6c656374696f6e54797065c4020304aa696e7669746174696f6ea3696e76a8696e7669746572739201ccc8
                """),
        Golden(
            type: "MemberJoined", version: 1,
            event: .memberJoined(
                .init(
                    collection: c, user: UserID(rawValue: 1), level: .admin, encryptionKey: [], collectionType: [], invitation: nil,
                    inviters: [])),
            hex: """
                86aa636f6c6c656374696f6ea163a47573657201a56c6576656c01ad656e6372797074696f6e4b6579c400ae636f6c6c6563\
                74696f6e54797065c400a8696e76697465727390
                """),
        Golden(
            type: "MemberLevelChanged", version: 1,
            event: .memberLevelChanged(.init(collection: notes, user: UserID(rawValue: 70000), level: .readWrite)),
            hex: """
                83aa636f6c6c656374696f6ea56e6f746573a475736572ce00011170a56c6576656c02
                """),
        Golden(
            type: "MemberLevelChanged", version: 1,
            event: .memberLevelChanged(.init(collection: c, user: UserID(rawValue: 1), level: .readOnly)),
            hex: """
                83aa636f6c6c656374696f6ea163a47573657201a56c6576656c00
                """),
        Golden(
            type: "MemberRemoved", version: 1,
            event: .memberRemoved(
                .init(collection: notes, user: UserID(rawValue: 5), invitees: [UserID(rawValue: 6), UserID(rawValue: 7)])),
            hex: """
                83aa636f6c6c656374696f6ea56e6f746573a47573657205a8696e766974656573920607
                """),
        Golden(
            type: "MemberRemoved", version: 1,
            event: .memberRemoved(.init(collection: c, user: UserID(rawValue: 1), invitees: [])),
            hex: """
                83aa636f6c6c656374696f6ea163a47573657201a8696e76697465657390
                """),
        Golden(
            type: "InvitationSent", version: 1,
            event: .invitationSent(
                .init(
                    collection: notes, invitation: InvitationUID("inv"), version: 1, inviter: UserID(rawValue: 5),
                    invitee: UserID(rawValue: 6), level: .admin, signedEncryptionKey: [1, 2, 3])),
            hex: """
                87aa636f6c6c656374696f6ea56e6f746573aa696e7669746174696f6ea3696e76a776657273696f6e01a7696e7669746572\
                05a7696e766974656506a56c6576656c01b37369676e6564456e6372797074696f6e4b6579c403010203
                """),
        Golden(
            type: "InvitationSent", version: 1,
            event: .invitationSent(
                .init(
                    collection: c, invitation: InvitationUID("i"), version: 0, inviter: UserID(rawValue: 1), invitee: UserID(rawValue: 2),
                    level: .readOnly, signedEncryptionKey: [])),
            hex: """
                87aa636f6c6c656374696f6ea163aa696e7669746174696f6ea169a776657273696f6e00a7696e766974657201a7696e7669\
                74656502a56c6576656c00b37369676e6564456e6372797074696f6e4b6579c400
                """),
        Golden(
            type: "InvitationWithdrawn", version: 1,
            event: .invitationWithdrawn(
                .init(collection: notes, invitation: InvitationUID("inv"), inviter: UserID(rawValue: 5), invitee: UserID(rawValue: 6))),
            hex: """
                84aa636f6c6c656374696f6ea56e6f746573aa696e7669746174696f6ea3696e76a7696e766974657205a7696e7669746565\
                06
                """),
        Golden(
            type: "InvitationWithdrawn", version: 1,
            event: .invitationWithdrawn(
                .init(collection: c, invitation: InvitationUID("i"), inviter: UserID(rawValue: 1), invitee: UserID(rawValue: 2))),
            hex: """
                84aa636f6c6c656374696f6ea163aa696e7669746174696f6ea169a7696e766974657201a7696e766974656502
                """),
        Golden(
            type: "RecordsAdopted", version: 1,
            event: .recordsAdopted(
                .init(
                    owner: .collection(notes), users: [UserID(rawValue: 2), UserID(rawValue: 300)],
                    records: [
                        AdoptedRecord(kind: .stoken, id: 17, fields: [.init("uid", .text("old-stoken"))]),
                        AdoptedRecord(
                            kind: .revision, id: 9, fields: [.init("current", .number(1)), .init("meta", .bytes([0x00, 0xff]))]),
                        AdoptedRecord(kind: .chunkUse, id: 70000, fields: nil),
                    ])),
            hex: """
                83a56f776e6572b0636f6c6c656374696f6e2f6e6f746573a575736572739202cd012ca77265636f7264739393a673746f6b\
                656e1181a3756964aa6f6c642d73746f6b656e93a87265766973696f6e0982a763757272656e7401a46d657461c40200ff92\
                a86368756e6b557365ce00011170
                """),
        Golden(
            type: "RecordsAdopted", version: 1,
            event: .recordsAdopted(
                .init(owner: .user(UserID(rawValue: 0)), records: [AdoptedRecord(kind: .userKeys, id: 1, fields: [])])),
            hex: """
                83a56f776e6572a6757365722f30a5757365727390a77265636f7264739193a8757365724b6579730180
                """),
    ]

    private static let metaHex = String(repeating: "07", count: 300)
}
