/// What the values of new things may be. Old ones in an adopted database are served as they are.
enum FieldRules {
    /// Uids go into paths and file names, so new ones are of URL-safe characters (QUIRKS.md 33).
    static func uid(_ uid: some Identifier, field: FieldError.Field, maximum: Int = FieldLimits.uid) -> FieldError? {
        let isSafe = uid.rawValue.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
            default: false
            }
        }
        guard isSafe else { return FieldError(field, .notUID) }
        return length(uid, field: field, maximum: maximum)
    }

    private static func length(_ uid: some Identifier, field: FieldError.Field, maximum: Int) -> FieldError? {
        let length = uid.rawValue.unicodeScalars.count
        if length == 0 { return FieldError(field, .empty) }
        return tooLong(length, field: field, maximum: maximum)
    }

    /// The error of a text of `length` characters where at most `maximum` fit.
    static func tooLong(_ length: Int, field: FieldError.Field, maximum: Int) -> FieldError? {
        guard length > maximum else { return nil }
        return FieldError(field, .tooLong(length, maximum: maximum))
    }

    /// Versions are kept in columns of 16 bits.
    static func version(_ version: Int, field: FieldError.Field) -> FieldError? {
        if version < 0 {
            return FieldError(field, .tooSmall(minimum: 0))
        }
        if version > 32767 {
            return FieldError(field, .tooGreat(maximum: 32767))
        }
        return nil
    }

    static func collectionType(_ type: [UInt8]) -> FieldError? {
        tooLong(type.count, field: .collectionType, maximum: FieldLimits.collectionTypeBytes)
    }

    /// What is too long of a revision.
    static func content(_ revision: OfferedRevision) -> FieldError? {
        tooLong(revision.meta.count, field: .revisionMeta, maximum: FieldLimits.metaBytes)
            ?? tooLong(revision.chunks.count, field: .revisionChunks, maximum: FieldLimits.chunksOfRevision)
    }

    /// What is too long of an account's keys.
    static func keys(_ keys: UserKeys) -> FieldError? {
        tooLong(keys.salt.count, field: .salt, maximum: FieldLimits.saltBytes)
            ?? tooLong(keys.loginPubkey.count, field: .loginPubkey, maximum: FieldLimits.loginPubkeyBytes)
            ?? tooLong(keys.pubkey.count, field: .pubkey, maximum: FieldLimits.pubkeyBytes)
            ?? encryptedContent(keys.encryptedContent)
    }

    static func encryptedContent(_ content: [UInt8]) -> FieldError? {
        tooLong(content.count, field: .encryptedContent, maximum: FieldLimits.encryptedContentBytes)
    }
}
