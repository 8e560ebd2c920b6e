import Contents
import Database
import Domain
import EventLog
import TestSupport

extension Node {
    /// A history with every type of event, in which everything that can go away goes away once.
    func wholeHistory() async throws {
        let ada = try await user("ada")
        let ben = try await user("ben", keys: nil)
        _ = try await user("ben")
        let eve = try await user("eve")
        let test = try await user("test_user1")
        try await commit(ChangePassword(user: ada, loginPubkey: [UInt8](repeating: 8, count: 32), encryptedContent: [9]))
        for isActive in [false, true] {
            try await commit(ChangeUserActivity(username: "eve", isActive: isActive))
        }

        try await create(notes, by: ada)
        try await commit(OfferedItem("a", "a-1", chunks: "k1", "k2", "k1"), OfferedItem("b", "b-1"), by: ada)
        try await commit(StoreChunk(collection: notes, author: ada, chunk: StoredChunk(uid: "k3", content: content)), by: ada)
        try await commit(OfferedItem("a", "a-2", chunks: "k3", "k2"), OfferedItem("notes", "notes-2", chunks: "k4"), by: ada)
        try await commit(OfferedItem("b", "b-2", isDeleted: true), by: ada)
        try await restore(["b": "b-1"])
        try await restore(["a": "a-1"])
        try await commit(OfferedItem("b", "b-3"), OfferedItem("c", "c-1"), OfferedItem("c", "c-2", isDeleted: true), by: ada)
        try await restore(["a": "a-2", "b": "b-1", "c": "c-1"])
        try await restore(["b": "b-3", "c": "c-2", "notes": "notes-1"])
        try await restore(["b": "b-1", "c": "c-1", "notes": "notes-2"])

        // Contents that go, one of which comes back, and one that another item has as well.
        try await commit(OfferedItem("p", "p-1", chunks: "k10", "k11", "k12"), OfferedItem("q", "q-1", chunks: "k12"), by: ada)
        try await commit(OfferedItem("p", "p-2", chunks: "k11"), by: ada)
        try await commit(OfferedItem("p", "p-3"), by: ada)
        try await restore(["p": "p-1"])
        try await commit(OfferedItem("p", "p-4"), by: ada)
        try await prune(keeping: RetentionPolicy(newest: 2, since: nil))
        try await commit(OfferedItem("p", "p-5", chunks: "k11"), by: ada)
        try await prune(keeping: RetentionPolicy(newest: 1, since: nil))
        try await commit(OfferedItem("p", "p-6", chunks: "k10"), by: ada)

        try await share(notes, of: ada, with: ben, .admin)
        try await share(notes, of: ben, with: test, .readWrite)
        try await invite(eve, to: notes, by: ben)
        try await remove(ben, from: notes, by: ada)
        try await share(notes, of: ada, with: ben, .readOnly)
        try await commit(ChangeMemberLevel(collection: notes, author: ada, member: ben, level: .admin), by: ada)
        try await commit(LeaveCollection(collection: notes, author: ben), by: ben)
        try await invite(eve, to: notes, by: ada)
        try await commit(WithdrawInvitation(collection: notes, author: eve, invitation: "to-4-by-1"), by: eve)
        try await invite(eve, to: notes, by: ada)

        // A user who owns, shares, invites and is invited, and then is reset.
        try await create("tests", by: test)
        try await commit(OfferedItem("x", "x-1", chunks: "k1"), OfferedItem("y", "y-1"), to: "tests", by: test)
        try await share("tests", of: test, with: ben, .readWrite)
        try await invite(eve, to: "tests", by: test)
        try await create("bens", by: ben)
        try await invite(test, to: "bens", by: ben)
        try await commit(ResetUser(username: "test_user1", keys: keys))
        try await create("tests2", by: test)
        try await commit(OfferedItem("a", "a-3", chunks: "k5"), by: ada)
        try await share(notes, of: ada, with: test, .readOnly)

        // One who forgets the password, and signs up again, with what is shared and what is not.
        let lost = try await user("lost")
        try await create("losts", by: lost)
        try await commit(OfferedItem("x", "x-4", chunks: "k1"), to: "losts", by: lost)
        try await create("both", by: lost)
        try await share("both", of: lost, with: ben, .admin)
        try await share(notes, of: ada, with: lost, .readWrite)
        try await invite(lost, to: "bens", by: ben)
        try await reset("lost")
        _ = try await user("lost")
        try await create("losts2", by: lost)

        // A user who owns, shares, invites and is invited, and then is erased.
        let gone = try await user("gone")
        try await create("own", by: gone)
        try await commit(OfferedItem("x", "x-2", chunks: "k1", "k2"), OfferedItem("y", "y-2"), to: "own", by: gone)
        try await commit(OfferedItem("x", "x-3", chunks: "k3"), to: "own", by: gone)
        try await share("own", of: gone, with: ben, .readWrite)
        try await remove(ben, from: "own", by: gone)
        try await invite(eve, to: "own", by: gone)
        try await create("team", by: gone)
        try await commit(OfferedItem("z", "z-1", chunks: "k1"), to: "team", by: gone)
        try await share("team", of: gone, with: ben, .admin)
        try await invite(eve, to: "team", by: gone)
        try await share(notes, of: ada, with: gone, .readWrite)
        try await invite(gone, to: "bens", by: ben)
        try await erase("gone")
        try await commit(OfferedItem("z", "z-2", chunks: "k2"), to: "team", by: ben)
    }

    func share(_ uid: CollectionUID, of admin: UserID, with user: UserID, _ level: AccessLevel) async throws {
        try await invite(user, to: uid, by: admin, level)
        try await commit(
            AcceptInvitation(
                collection: uid, author: user, invitation: InvitationUID("to-\(user.rawValue)-by-\(admin.rawValue)"),
                collectionType: Array("type of \(user.rawValue)".utf8), encryptionKey: [6]), by: user)
    }

    private func invite(_ invitee: UserID, to uid: CollectionUID, by admin: UserID, _ level: AccessLevel = .readWrite) async throws {
        try await commit(
            SendInvitation(
                collection: uid, author: admin, invitation: InvitationUID("to-\(invitee.rawValue)-by-\(admin.rawValue)"), version: 1,
                invitee: invitee, level: level, signedEncryptionKey: [7]), by: admin)
    }

    func remove(_ user: UserID, from uid: CollectionUID, by admin: UserID) async throws {
        try await commit(RemoveMember(collection: uid, author: admin, member: user), by: admin)
    }
}
