import Domain
import TestSupport
import Testing

/// Ada administers, Ben writes.
private let shared = Event.adasNotes + [.joined(ben, .readWrite)]

@Suite("Members") struct MembersTests {
    private let given = CollectionState(given: shared + [.invited(eve, by: ada, "i1"), .invited(eve, by: ben, "i2")])

    @Test("an admin changes a level; the level that is there already is no event") func levels() throws {
        let change = ChangeMemberLevel(collection: notes, author: ada, member: ben, level: .readOnly)
        let events = try decide(change, given)
        #expect(events == [.memberLevelChanged(.init(collection: notes, user: ben, level: .readOnly))])
        #expect(try decide(change, CollectionState(given: shared + events)) == [])
    }

    @Test("the last admin may demote herself, and go") func lastAdmin() throws {
        #expect(try decide(ChangeMemberLevel(collection: notes, author: ada, member: ada, level: .readOnly), given).count == 1)
        #expect(try decide(RemoveMember(collection: notes, author: ada, member: ada), given).count == 1)
        #expect(try decide(LeaveCollection(collection: notes, author: ada), given).count == 1)
    }

    @Test("the invitations that a member sent go with the member, the others stay") func invitationsGo() throws {
        let events = try decide(RemoveMember(collection: notes, author: ada, member: ben), given)
        #expect(events == [.removed(ben, invitees: [eve])])
        var state = given
        state.evolve(.removed(ben, invitees: [eve]), at: Position(rawValue: 6))
        #expect(state.invitations.map(\.uid) == ["i1"])
        #expect(state.members.keys.sorted { $0.rawValue < $1.rawValue } == [ada])
    }

    @Test("a member leaves") func leaves() throws {
        #expect(try decide(LeaveCollection(collection: notes, author: ben), given) == [.removed(ben, invitees: [eve])])
    }

    @Test("only admins change and remove members, and strangers learn nothing") func access() {
        #expect(throws: Refusal.adminAccessRequired(for: .members)) {
            try decide(ChangeMemberLevel(collection: notes, author: ben, member: ada, level: .readOnly), given)
        }
        #expect(throws: Refusal.adminAccessRequired(for: .members)) {
            try decide(RemoveMember(collection: notes, author: ben, member: ben), given)
        }
        #expect(throws: Refusal.doesNotExist(.collection)) {
            try decide(RemoveMember(collection: notes, author: eve, member: ben), given)
        }
        #expect(throws: Refusal.doesNotExist(.collection)) {
            try decide(ChangeMemberLevel(collection: notes, author: eve, member: ben, level: .admin), given)
        }
        #expect(throws: Refusal.doesNotExist(.collection)) {
            try decide(LeaveCollection(collection: notes, author: eve), given)
        }
    }

    @Test("who is no member can be neither changed nor removed") func noMember() {
        #expect(throws: Refusal.doesNotExist(.member)) {
            try decide(ChangeMemberLevel(collection: notes, author: ada, member: eve, level: .admin), given)
        }
        #expect(throws: Refusal.doesNotExist(.member)) {
            try decide(RemoveMember(collection: notes, author: ada, member: eve), given)
        }
    }
}

@Suite("Invitations") struct InvitationsTests {
    private let given = CollectionState(given: shared)

    private func invite(_ invitee: UserID, by author: UserID = ada, uid: InvitationUID = "i1", version: Int = 1) -> SendInvitation {
        SendInvitation(
            collection: notes, author: author, invitation: uid, version: version, invitee: invitee, level: .readOnly,
            signedEncryptionKey: [8])
    }

    private func accept(_ uid: InvitationUID = "i1", by author: UserID = eve, type: [UInt8] = [5]) -> AcceptInvitation {
        AcceptInvitation(collection: notes, author: author, invitation: uid, collectionType: type, encryptionKey: [6])
    }

    @Test("an admin invites") func sends() throws {
        #expect(try decide(invite(eve), given) == [.invited(eve, by: ada, "i1", .readOnly)])
    }

    @Test("only admins invite, which is told in other words") func access() {
        let refusal = Refusal.adminAccessRequired(for: .invitations)
        for author in [ben, eve] { #expect(throws: refusal) { try decide(invite(eve, by: author), given) } }
        #expect(throws: Refusal.doesNotExist(.collection)) { try decide(invite(eve), CollectionState(uid: notes)) }
    }

    @Test("an admin has one open invitation for a user, and each admin may have one") func exists() throws {
        let admins = Event.adasNotes + [.joined(ben, .admin), .invited(eve, by: ada, "i1")]
        let state = CollectionState(given: admins)
        #expect(throws: Refusal.invitationExists) { try decide(invite(eve, uid: "i2"), state) }
        #expect(try decide(invite(eve, by: ben, uid: "i2"), state).count == 1)
    }

    @Test("uid and version have their bounds") func fields() {
        #expect(throws: Refusal.self) { try decide(invite(eve, uid: "a/b"), given) }
        #expect(throws: Refusal.self) { try decide(invite(eve, version: 32768), given) }
    }

    @Test("who accepts joins at the level of the invitation, and all invitations to the collection are used up") func accepts() throws {
        let invited: [Event] = [
            .invited(eve, by: ben, "i2", .admin), .invited(eve, by: ada, "i1", .readOnly), .invited(UserID(rawValue: 4), by: ada, "i3"),
        ]
        let events = try decide(accept(), CollectionState(given: shared + invited))
        #expect(
            events == [
                .memberJoined(
                    .init(
                        collection: notes, user: eve, level: .readOnly, encryptionKey: [6], collectionType: [5], invitation: "i1",
                        inviters: [ada, ben]))
            ])
        let state = CollectionState(given: shared + invited + events)
        #expect(state.invitations.map(\.uid) == ["i3"])
        #expect(try state.level(of: eve) == .readOnly)
    }

    @Test("of two invitations with one uid the newer counts") func newest() throws {
        let invited: [Event] = [.invited(eve, by: ben, "i1", .admin), .invited(eve, by: ada, "i1", .readOnly)]
        let events = try decide(accept(), CollectionState(given: shared + invited))
        guard case .memberJoined(let joined) = events.first else {
            Issue.record("nobody joined")
            return
        }
        #expect(joined.level == .readOnly)
    }

    @Test("nobody but the invitee accepts") func foreign() {
        let state = CollectionState(given: shared + [.invited(eve, by: ada, "i1")])
        for user in [ada, ben, UserID(rawValue: 4)] {
            #expect(throws: Refusal.doesNotExist(.invitation)) { try decide(accept(by: user), state) }
        }
        #expect(throws: Refusal.doesNotExist(.invitation)) { try decide(accept("i2"), state) }
    }

    @Test("who is a member already does not join twice") func member() {
        let state = CollectionState(given: shared + [.invited(ben, by: ada, "i1")])
        #expect(throws: Refusal.alreadyMember) { try decide(accept(by: ben), state) }
    }

    @Test("the type of another user is refused") func types() throws {
        let state = CollectionState(given: shared + [.invited(eve, by: ada, "i1")])
        #expect(throws: Refusal.collectionTypeTaken) { try decide(accept(type: Array("type of 1".utf8)), state) }
    }

    @Test("inviter and invitee do away with an invitation, and nobody else") func withdraws() throws {
        let given = shared + [.invited(eve, by: ada, "i1"), .invited(eve, by: ben, "i2")]
        for author in [ada, eve] {
            let events = try decide(WithdrawInvitation(collection: notes, author: author, invitation: "i1"), CollectionState(given: given))
            #expect(events == [.invitationWithdrawn(.init(collection: notes, invitation: "i1", inviter: ada, invitee: eve))])
            #expect(CollectionState(given: given + events).invitations.map(\.uid) == ["i2"])
        }
        #expect(throws: Refusal.doesNotExist(.invitation)) {
            try decide(WithdrawInvitation(collection: notes, author: ben, invitation: "i1"), CollectionState(given: given))
        }
    }
}
