/// How each refusal is told: the wire contract. Official clients match on the code, some on the text, and the texts are those of
/// the recorded exchanges.
package import Domain
internal import HTTPTypes

/// How a refusal is told to a client.
struct WireForm {
    let status: HTTPResponse.Status
    let code: String
    let detail: String
    let shape: APIError.Shape

    fileprivate init(_ status: HTTPResponse.Status, _ code: String, _ detail: String, _ shape: APIError.Shape = .withErrors) {
        self.status = status
        self.code = code
        self.detail = detail
        self.shape = shape
    }
}

extension Refusal {
    /// How it is told to a client.
    var wireForm: WireForm {
        switch self {
        case .staleStoken: .init(.conflict, "stale_stoken", "Stoken is too old")
        case .dependenciesFailed: .init(.conflict, "dep_failed", "Dependencies failed to validate")
        case .itemsFailed: .init(.conflict, "item_failed", "Items failed to validate")
        case .invalidFields: .init(.badRequest, "field_errors", "Field validations failed.")
        case .noWriteAccess:
            .init(.forbidden, "no_write_access", "You need write access to write to this collection", .plain)
        case .adminAccessRequired(for: .members):
            .init(.forbidden, "admin_access_required", "Only collection admins can perform this operation.", .plain)
        case .adminAccessRequired(for: .invitations):
            .init(.forbidden, "admin_access_required", "User is not an admin of this collection", .plain)
        case .doesNotExist(let thing): .init(.notFound, "does_not_exist", "\(thing.model) matching query does not exist.")
        case .collectionExists: .init(.conflict, "unique_uid", "Collection with this uid already exists")
        case .etagOfNewCollection: .init(.badRequest, "bad_etag", "etag is not null")
        case .collectionTypeMissing: .init(.badRequest, "bad_collection_type", "collectionType is null")
        case .collectionTypeTaken: .init(.badRequest, "bad_collection_type", "collectionType is in use by another user")
        case .chunkWithoutContent: .init(.badRequest, "chunk_no_content", "Tried to create a new chunk without content")
        case .chunkExists: .init(.conflict, "chunk_exists", "Chunk already exists.")
        case .userExists: .init(.conflict, "user_exists", "User already exists")
        case .userInactive: .init(.unauthorized, "authentication_failed", "User inactive or deleted.", .plain)
        case .signupClosed:
            .init(.badRequest, "generic", "Signup is disabled for this server. Please refer to the README for more information.")
        case .usernameMissing: .init(.badRequest, "generic", "The given username must be set")
        case .notATestUser: .init(.badRequest, "generic", "Endpoint not allowed for user.")
        case .accountHasNoKeys: .init(.badRequest, "generic", "The account is empty: its user signs up with the name in the app.")
        case .selfInvitation: .init(.badRequest, "no_self_invite", "Inviting yourself is not allowed")
        case .invitationExists: .init(.badRequest, "invitation_exists", "Invitation already exists")
        // The owner need not be the one who writes, and is not named.
        case .quotaExceeded(let excess):
            .init(
                .forbidden, "quota_exceeded",
                """
                The quota of the collection's owner is used up: \(excess.used) of \(excess.limit) \(excess.kind.rawValue) are in use, and this would \
                be \(excess.wanted) more.
                """, .plain)
        case .usageUnknown:
            .init(.serviceUnavailable, "unavailable", "What the owner's collections hold has changed: try again.", .plain)
        case .alreadyMember: .init(.conflict, "already_member", "The user is already a member of this collection")
        }
    }

    /// What is wrong, for the command line.
    package var words: String { ([wireForm.detail] + (fieldErrors ?? []).map(\.detail)).joined(separator: " ") }
}

extension Refusal.Thing {
    /// The original's name for it.
    fileprivate var model: String {
        switch self {
        case .collection: "Collection"
        case .item: "CollectionItem"
        case .revision: "CollectionItemRevision"
        case .chunk: "CollectionItemChunk"
        case .member: "CollectionMember"
        case .invitation: "CollectionInvitation"
        case .user: "User"
        case .userKeys: "UserInfo"
        }
    }
}

extension FieldError {
    /// An item's uid, or the path of a field.
    var path: String {
        switch field {
        case .item(let uid): uid.rawValue
        case .uid: "uid"
        case .version: "version"
        case .encryptionKey: "encryptionKey"
        case .revisionUID: "content.uid"
        case .revisionMeta: "content.meta"
        case .revisionChunks: "content.chunks"
        case .collectionType: "collectionType"
        case .collectionKey: "collectionKey"
        case .signedEncryptionKey: "signedEncryptionKey"
        case .username: "user.username"
        case .displayName: "user.first_name"
        case .email: "user.email"
        case .salt: "salt"
        case .loginPubkey: "loginPubkey"
        case .pubkey: "pubkey"
        case .encryptedContent: "encryptedContent"
        }
    }

    var code: String { told.code }
    var detail: String { told.detail }

    /// In Django's words where it has some.
    private var told: (code: String, detail: String) {
        switch problem {
        case .wrongEtag(let current, let given):
            ("wrong_etag", "Wrong etag. Expected \(current?.rawValue ?? "None") got \(given?.rawValue ?? "None")")
        case .chunkWithoutContent: ("chunk_no_content", "Tried to create a new chunk without content")
        case .revisionExists: ("unique", "Collection item revision with this Uid already exists.")
        case .notUID: ("invalid", "Not a valid UID")
        case .notUsername:
            ("invalid", "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.")
        case .notEmailAddress: ("invalid", "Enter a valid email address.")
        case .notLoginKey: ("invalid", "A login key has \(FieldLimits.loginPubkeyBytes) bytes.")
        case .empty: ("blank", "This field cannot be blank.")
        case .tooLong(let length, let maximum):
            ("max_length", "Ensure this value has at most \(maximum) characters (it has \(length)).")
        case .tooSmall(let minimum): ("min_value", "Ensure this value is greater than or equal to \(minimum).")
        case .tooGreat(let maximum): ("max_value", "Ensure this value is less than or equal to \(maximum).")
        }
    }
}
