/// Why a command is not carried out. Nothing has changed then.
///
/// How each is told to clients, in which words and with which code, is the table of the API.
package enum Refusal: Error, Hashable, Sendable {
    /// The collection has changed since the client looked at it.
    case staleStoken
    /// Items that the request depends on are not at the revisions that it names.
    case dependenciesFailed([FieldError])
    case itemsFailed([FieldError])
    case invalidFields([FieldError])
    case noWriteAccess
    case adminAccessRequired(for: AdminTask)
    /// What is named is not there, or not for this user to see.
    case doesNotExist(Thing)
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
    /// There is nothing to reset.
    case accountHasNoKeys
    case selfInvitation
    case invitationExists
    case alreadyMember
    /// The collections of the owner would hold more than they may.
    case quotaExceeded(Quota.Excess)
    /// Others have changed meanwhile what the owner's collections hold, and by how much is to be read again.
    case usageUnknown

    /// What only admins of a collection do.
    package enum AdminTask: Hashable, Sendable {
        /// See, change and remove members.
        case members
        case invitations
    }

    /// What a request can name.
    package enum Thing: Hashable, Sendable, CaseIterable {
        case collection, item, revision, chunk, member, invitation, user
        /// The keys with which a user initializes an account.
        case userKeys
    }

    /// What is wrong with each item or field, where the refusal is made of such.
    package var fieldErrors: [FieldError]? {
        switch self {
        case .dependenciesFailed(let errors), .itemsFailed(let errors), .invalidFields(let errors): errors
        case .staleStoken, .noWriteAccess, .adminAccessRequired, .doesNotExist, .collectionExists, .etagOfNewCollection,
            .collectionTypeMissing, .collectionTypeTaken, .chunkWithoutContent, .chunkExists, .userExists, .userInactive, .signupClosed,
            .usernameMissing, .notATestUser, .accountHasNoKeys, .selfInvitation, .invitationExists, .alreadyMember, .quotaExceeded,
            .usageUnknown:
            nil
        }
    }
}

/// What is wrong with one item or field of a request.
package struct FieldError: Hashable, Sendable {
    package let field: Field
    package let problem: Problem

    package init(_ field: Field, _ problem: Problem) {
        self.field = field
        self.problem = problem
    }

    /// What is meant.
    package enum Field: Hashable, Sendable {
        /// An item of a batch or transaction, as a whole.
        case item(ItemUID)
        case uid, version, encryptionKey
        case revisionUID, revisionMeta, revisionChunks
        case collectionType, collectionKey
        case signedEncryptionKey
        case username, displayName, email
        case salt, loginPubkey, pubkey, encryptedContent
    }

    /// What is wrong with it.
    package enum Problem: Hashable, Sendable {
        /// The item is at `current`, not where the client believed.
        case wrongEtag(current: RevisionUID?, given: RevisionUID?)
        /// It names a chunk that is neither there nor sent.
        case chunkWithoutContent
        /// It names another revision already.
        case revisionExists
        case notUID, notUsername, notEmailAddress, notLoginKey
        case empty
        /// Characters of a text, bytes of anything else, or how many there are.
        case tooLong(Int, maximum: Int)
        case tooSmall(minimum: Int)
        case tooGreat(maximum: Int)
    }
}
