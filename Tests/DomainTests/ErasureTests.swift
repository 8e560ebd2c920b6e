import Domain
import TestSupport
import Testing

private let proof = RedactionProof(id: [1], count: 2, digest: [3], signature: [4])

/// An account with the collections that concern it.
private func state(of user: UserID?, _ collections: CollectionState...) -> ErasureState {
    var account = UserState(username: "ada")
    account.user = user
    return ErasureState(of: account, in: collections)
}

private func collection(
    _ uid: CollectionUID, owner: UserID, members: [UserID], invitations: [CollectionState.Invitation] = []
) -> CollectionState {
    var state = CollectionState(uid: uid)
    state.owner = owner
    for member in members { state.members[member] = .init(level: .admin, stoken: Position(rawValue: 1)) }
    state.invitations = invitations
    return state
}

private func erase(_ state: ErasureState) throws -> [Event] {
    try decide(RecordErasure(try #require(state.erasure), redaction: proof), state)
}

@Suite("Erasing a user") struct ErasureTests {
    @Test("takes along the collections in which nobody else is a member, whoever made them") func alone() throws {
        let erasure = try #require(
            state(
                of: ada, collection("a", owner: ada, members: [ada]), collection("b", owner: eve, members: [ada]),
                collection("c", owner: ada, members: [ada, eve]), collection("d", owner: eve, members: [eve]),
                collection("e", owner: ada, members: []), collection("f", owner: ada, members: [eve])
            ).erasure)
        #expect(erasure == Erasure(of: ada, collections: ["a", "b", "e"]))
    }

    @Test("is told to everybody whom it concerns: those who share collections, and those who were invited") func told() throws {
        let events = try erase(
            state(
                of: ada,
                collection(
                    "a", owner: ada, members: [ada],
                    invitations: [.init(uid: "i", inviter: ada, invitee: eve, level: .readOnly)]),
                collection(
                    "c", owner: ada, members: [ada, eve],
                    invitations: [.init(uid: "j", inviter: ada, invitee: ben, level: .readOnly)]),
                collection(
                    "d", owner: eve, members: [eve],
                    invitations: [
                        .init(uid: "k", inviter: eve, invitee: ada, level: .readOnly),
                        .init(uid: "l", inviter: eve, invitee: ben, level: .readOnly),
                    ])))
        #expect(
            events == [
                .invitationWithdrawn(.init(collection: "a", invitation: "i", inviter: ada, invitee: eve)),
                .memberRemoved(.init(collection: "c", user: ada, invitees: [ben])),
                .invitationWithdrawn(.init(collection: "d", invitation: "k", inviter: eve, invitee: ada)),
                .userErased(.init(user: ada, collections: ["a"], redaction: proof)),
            ])
    }

    @Test("takes along what was lost when the account was reset before") func lostBefore() {
        var state = state(of: ada, collection("c", owner: ada, members: [ada, eve]))
        state.reset = ["b"]
        #expect(state.erasure == Erasure(of: ada, collections: ["b"]))
    }

    @Test("is not what a reset is: what is owned goes unless it is shared, and what others share is left") func reset() throws {
        var before = state(
            of: ada, collection("a", owner: ada, members: [ada]), collection("b", owner: eve, members: [ada]),
            collection(
                "c", owner: ada, members: [ada, eve], invitations: [.init(uid: "j", inviter: ada, invitee: ben, level: .readOnly)]),
            collection("d", owner: eve, members: [eve], invitations: [.init(uid: "k", inviter: eve, invitee: ada, level: .readOnly)]))
        #expect(throws: Refusal.accountHasNoKeys) { try decide(ResetAccount(username: "ada"), before) }
        before.user.isInitialized = true
        let events = try decide(ResetAccount(username: "ada"), before)
        #expect(
            events == [
                .memberRemoved(.init(collection: "b", user: ada, invitees: [])),
                .memberRemoved(.init(collection: "c", user: ada, invitees: [ben])),
                .invitationWithdrawn(.init(collection: "d", invitation: "k", inviter: eve, invitee: ada)),
                .userReset(.init(user: ada, keys: nil, collections: ["a"])),
            ])
        var after = before
        for event in events { after.evolve(event, at: Position(rawValue: 9)) }
        #expect(!after.user.isInitialized && after.collections[2].members.keys.elementsEqual([eve]))
        before.user.collections = ["new"]
        #expect(throws: Refusal.staleStoken, "what was not read") { try decide(ResetAccount(username: "ada"), before) }
    }

    @Test("is refused where there is no such account, and where others have come to what was to go") func refused() throws {
        #expect(state(of: nil).erasure == nil)
        let erasure = try #require(state(of: ada, collection("a", owner: ada, members: [ada])).erasure)
        for state in [state(of: nil), state(of: ada, collection("a", owner: ada, members: [ada, eve])), state(of: eve)] {
            #expect(throws: Refusal.doesNotExist(.user)) { try decide(RecordErasure(erasure, redaction: proof), state) }
        }
    }

    @Test("leaves no account that could be enabled, and a name that can be taken again") func after() throws {
        var account = state(of: ada).user
        account.taken[.username("ada")] = ada
        account.evolve(.userErased(.init(user: ada, collections: [], redaction: proof)), at: Position(rawValue: 9))
        #expect(account.user == nil && account.taken.isEmpty)
        var erased = UserState(username: Username.ofErased(ada))
        erased.user = ada
        erased.isActive = false
        #expect(throws: Refusal.doesNotExist(.user)) { try decide(ChangeUserActivity(username: "ada", isActive: true), erased) }
    }

    @Test("changes nothing that decisions about collections are made on", arguments: 1...6 as ClosedRange<UInt64>)
    func sameDecisions(seed: UInt64) throws {
        let history = try History(seed: seed, wishes: 300)
        for collections: Set<CollectionUID> in [[], [notes]] {
            let erasure = Erasure(of: UserID(rawValue: 2), collections: collections)
            var (before, after) = (CollectionState(uid: notes), CollectionState(uid: notes))
            for (position, event) in history.records {
                let remains = erasure.remains(of: event, at: position)
                before.evolve(event, at: position)
                after.evolve(remains, at: position)
                #expect(Picture(of: after) == Picture(of: before))
                #expect(remains.stream == event.stream && remains.touches == event.touches)
                #expect(remains.storedChunks.map(\.uid) == event.storedChunks.map(\.uid), "ids are counted by them")
                #expect(erasure.remains(of: remains, at: position) == remains)
            }
        }
    }

    @Test("leaves of adopted records what others need, and nothing of the user's") func adopted() throws {
        let record = { (kind: AdoptedRecord.Kind, id: Int64, fields: [AdoptedRecord.Field]) in
            AdoptedRecord(kind: kind, id: id, fields: fields)
        }
        let secret = AdoptedRecord.Value.bytes(Array("secret".utf8))
        let user = AdoptedRecord.Field("user_id", .number(ada.rawValue))
        let other = AdoptedRecord.Field("user_id", .number(eve.rawValue))
        let records = [
            record(
                .user, ada.rawValue,
                ["username", "first_name", "last_name", "email", "password"].map { .init($0, .text("secret")) } + [
                    .init("is_active", .number(1))
                ]),
            record(.userKeys, ada.rawValue, ["salt", "loginPubkey", "encryptedContent", "pubkey"].map { .init($0, secret) }),
            record(.collectionType, 5, [.init("owner_id", .number(ada.rawValue)), .init("uid", secret)]),
            record(.item, 6, [.init("uid", .text("a")), .init("encryptionKey", secret)]),
            record(.revision, 7, [.init("uid", .text("r")), .init("meta", secret)]),
            record(.member, 8, [user, .init("encryptionKey", secret)]),
            record(.invitation, 9, [user, .init("signedEncryptionKey", secret)]),
        ]
        let kept = [
            record(.user, eve.rawValue, [.init("username", .text("eve"))]),
            record(.collectionType, 15, [.init("owner_id", .number(eve.rawValue)), .init("uid", secret)]),
            record(.member, 18, [other, .init("encryptionKey", secret)]),
            record(.invitation, 19, [other, .init("signedEncryptionKey", secret)]),
            AdoptedRecord(kind: .item, id: 20, fields: nil),
        ]
        func remains(_ collections: Set<CollectionUID>, _ records: [AdoptedRecord]) throws -> [AdoptedRecord] {
            let event = Erasure(of: ada, collections: collections).remains(
                of: .recordsAdopted(.init(owner: .collection(notes), records: records)), at: Position(rawValue: 1))
            guard case .recordsAdopted(let adopted) = event else { return try #require(nil) }
            return adopted.records
        }
        let erased = try remains([notes], records)
        #expect(!String(describing: erased).contains("secret"))
        #expect(!String(describing: erased).contains(String(describing: Array("secret".utf8))))
        #expect(erased.map(\.id) == records.map(\.id) && erased[0].number("is_active") == 1 && erased[4].text("uid") == "r")
        #expect(try remains([], kept) == kept)
        #expect(try remains([], [records[3], records[4]]) == [records[3], records[4]], "content of others")
    }
}
