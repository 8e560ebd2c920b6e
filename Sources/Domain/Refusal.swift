/// Why a command is not carried out. Nothing has changed then.
///
/// The code, the detail and the field errors are part of the wire contract: official clients match on the code, some on
/// the detail. The texts are those of the recorded exchanges.
public enum Refusal: Error, Hashable, Sendable {
    case staleStoken
    case dependenciesFailed([FieldError])
    case itemsFailed([FieldError])
    case invalidFields([FieldError])
    case noWriteAccess
    case adminAccessRequired(detail: String)
    /// What is named is not there, or not for this user to see; the name is that of the original's model.
    case doesNotExist(model: String)
    case collectionExists
    case etagOfNewCollection
    case collectionTypeMissing
    case collectionTypeTaken
    case chunkWithoutContent
    case chunkExists
    case userExists
    case userInactive
    case signupClosed
    case usernameMissing
    case notATestUser
    case selfInvitation
    case invitationExists
    case alreadyMember

    /// The code that clients match on.
    public var code: String {
        switch self {
        case .staleStoken: "stale_stoken"
        case .dependenciesFailed: "dep_failed"
        case .itemsFailed: "item_failed"
        case .invalidFields: "field_errors"
        case .noWriteAccess: "no_write_access"
        case .adminAccessRequired: "admin_access_required"
        case .doesNotExist: "does_not_exist"
        case .collectionExists: "unique_uid"
        case .etagOfNewCollection: "bad_etag"
        case .collectionTypeMissing, .collectionTypeTaken: "bad_collection_type"
        case .chunkWithoutContent: "chunk_no_content"
        case .chunkExists: "chunk_exists"
        case .userExists: "user_exists"
        case .userInactive: "authentication_failed"
        case .signupClosed, .usernameMissing, .notATestUser: "generic"
        case .selfInvitation: "no_self_invite"
        case .invitationExists: "invitation_exists"
        case .alreadyMember: "already_member"
        }
    }

    /// A sentence for people, in the original's words where it has some.
    public var detail: String {
        switch self {
        case .staleStoken: "Stoken is too old"
        case .dependenciesFailed: "Dependencies failed to validate"
        case .itemsFailed: "Items failed to validate"
        case .invalidFields: "Field validations failed."
        case .noWriteAccess: "You need write access to write to this collection"
        case .adminAccessRequired(let detail): detail
        case .doesNotExist(let model): "\(model) matching query does not exist."
        case .collectionExists: "Collection with this uid already exists"
        case .etagOfNewCollection: "etag is not null"
        case .collectionTypeMissing: "collectionType is null"
        case .collectionTypeTaken: "collectionType is in use by another user"
        case .chunkWithoutContent: FieldError.chunkWithoutContent
        case .chunkExists: "Chunk already exists."
        case .userExists: "User already exists"
        case .userInactive: "User inactive or deleted."
        case .signupClosed: "Signup is disabled for this server. Please refer to the README for more information."
        case .usernameMissing: "The given username must be set"
        case .notATestUser: "Endpoint not allowed for user."
        case .selfInvitation: "Inviting yourself is not allowed"
        case .invitationExists: "Invitation already exists"
        case .alreadyMember: "The user is already a member of this collection"
        }
    }

    /// What is wrong with each item or field, where the refusal is made of such.
    public var fieldErrors: [FieldError]? {
        switch self {
        case .dependenciesFailed(let errors), .itemsFailed(let errors), .invalidFields(let errors): errors
        default: nil
        }
    }
}

/// What is wrong with one item or field of a request.
public struct FieldError: Error, Hashable, Sendable {
    /// An item's uid, or the path of a field.
    public let field: String
    public let code: String
    public let detail: String

    public init(field: String, code: String, detail: String) {
        self.field = field
        self.code = code
        self.detail = detail
    }

    /// A login key that verifies nothing.
    public static let badLoginPubkey = "A login key has \(FieldLimits.loginPubkeyBytes) bytes."

    static let chunkWithoutContent = "Tried to create a new chunk without content"

    /// The item is at `current`, not where the client believed.
    static func wrongEtag(item: ItemUID, current: RevisionUID?, given: RevisionUID?) -> FieldError {
        FieldError(
            field: item.rawValue, code: "wrong_etag",
            detail: "Wrong etag. Expected \(current?.rawValue ?? "None") got \(given?.rawValue ?? "None")")
    }

    /// The revision's uid names another revision already.
    static let revisionExists = FieldError(
        field: "content.uid", code: "unique", detail: "Collection item revision with this Uid already exists.")
}
