import Domain
import HTTPTypes
import TestSupport
import Testing

@testable import API

@Suite("How refusals are told") struct RefusalTableTests {
    @Test("of a field: its path, a code, and Django's words where it has some")
    func fields() {
        let cases: [(FieldError, [String])] = [
            (.init(.item("a"), .wrongEtag(current: "a-2", given: "a-1")), ["a", "wrong_etag", "Wrong etag. Expected a-2 got a-1"]),
            (.init(.item("x"), .wrongEtag(current: nil, given: "x-1")), ["x", "wrong_etag", "Wrong etag. Expected None got x-1"]),
            (.init(.item("n"), .wrongEtag(current: "n-1", given: nil)), ["n", "wrong_etag", "Wrong etag. Expected n-1 got None"]),
            (.init(.item("b"), .chunkWithoutContent), ["b", "chunk_no_content", "Tried to create a new chunk without content"]),
            (
                .init(.revisionUID, .revisionExists),
                ["content.uid", "unique", "Collection item revision with this Uid already exists."]
            ),
            (.init(.uid, .notUID), ["uid", "invalid", "Not a valid UID"]),
            (.init(.uid, .empty), ["uid", "blank", "This field cannot be blank."]),
            (
                .init(.revisionChunks, .tooLong(61, maximum: 60)),
                ["content.chunks", "max_length", "Ensure this value has at most 60 characters (it has 61)."]
            ),
            (
                .init(.version, .tooSmall(minimum: 0)),
                ["version", "min_value", "Ensure this value is greater than or equal to 0."]
            ),
            (
                .init(.version, .tooGreat(maximum: 32767)),
                ["version", "max_value", "Ensure this value is less than or equal to 32767."]
            ),
            (.init(.loginPubkey, .notLoginKey), ["loginPubkey", "invalid", "A login key has 32 bytes."]),
            (.init(.email, .notEmailAddress), ["user.email", "invalid", "Enter a valid email address."]),
            (
                .init(.username, .notUsername),
                [
                    "user.username", "invalid",
                    "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.",
                ]
            ),
            (
                .init(.displayName, .tooLong(151, maximum: 150)),
                ["user.first_name", "max_length", "Ensure this value has at most 150 characters (it has 151)."]
            ),
        ]
        for (error, told) in cases { #expect([error.path, error.code, error.detail] == told) }
    }

    @Test("of a thing that is not there: in the name that the original has for it, with 404")
    func things() {
        let told = Refusal.Thing.allCases.map { Refusal.doesNotExist($0).wireForm }
        #expect(told.allSatisfy { $0.status == .notFound && $0.code == "does_not_exist" && $0.shape == .withErrors })
        #expect(
            told.map { $0.detail.prefix { $0 != " " } } == [
                "Collection", "CollectionItem", "CollectionItemRevision", "CollectionItemChunk", "CollectionMember",
                "CollectionInvitation", "User", "UserInfo",
            ])
    }

    @Test("of access: with code and detail alone")
    func access() {
        for (refusal, code) in [
            (.noWriteAccess, "no_write_access"), (.adminAccessRequired(for: .members), "admin_access_required"),
            (.adminAccessRequired(for: .invitations), "admin_access_required"), (.userInactive, "authentication_failed"),
        ] as [(Refusal, String)] {
            #expect(refusal.wireForm.shape == .plain && refusal.wireForm.code == code)
        }
        let excess = Refusal.quotaExceeded(.init(.bytes, limit: 100, used: 90, wanted: 11)).wireForm
        #expect(excess.status == .forbidden && excess.code == "quota_exceeded" && excess.shape == .plain)
        #expect(excess.detail.contains("90 of 100 bytes are in use") && excess.detail.contains("11 more"))
        #expect(Refusal.adminAccessRequired(for: .members).words == "Only collection admins can perform this operation.")
        #expect(Refusal.adminAccessRequired(for: .invitations).words == "User is not an admin of this collection")
    }

    @Test("with 409 where somebody was first, and with 400 where the request was wrong from the start")
    func statuses() {
        let conflicts: [Refusal] = [
            .staleStoken, .dependenciesFailed([]), .itemsFailed([]), .collectionExists, .chunkExists, .userExists, .alreadyMember,
        ]
        #expect(conflicts.allSatisfy { $0.wireForm.status == .conflict })
        let mistakes: [Refusal] = [
            .invalidFields([]), .etagOfNewCollection, .collectionTypeMissing, .collectionTypeTaken, .chunkWithoutContent, .signupClosed,
            .usernameMissing, .notATestUser, .accountHasNoKeys, .selfInvitation, .invitationExists,
        ]
        #expect(mistakes.allSatisfy { $0.wireForm.status == .badRequest })
    }

    @Test("at the command line: with what is wrong with each field")
    func words() {
        let refusal = Refusal.invalidFields([.init(.email, .notEmailAddress), .init(.uid, .notUID)])
        #expect(refusal.words == "Field validations failed. Enter a valid email address. Not a valid UID")
    }
}
