package import Domain
internal import Sodium

/// A stream as the log's tables name it.
package struct StreamName: Identifier {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
}

/// A claim as the log's tables name it.
struct ClaimKey: Identifier {
    let rawValue: String
}

/// How streams and claims are written in the log's tables. The forms are for ever: they stand in every log.
extension StreamID {
    /// How the log's tables name the stream.
    package var name: StreamName {
        switch self {
        case .collection(let uid): StreamName("collection/" + uid.rawValue)
        case .user(let user): StreamName("user/\(user.rawValue)")
        case .createdUser: preconditionFailure("the stream of a created user is named once its position is known")
        }
    }

    init?(_ name: StreamName) {
        if let uid = name.rawValue.after("collection/") {
            self = .collection(CollectionUID(uid))
        } else if let id = name.rawValue.after("user/").flatMap({ Int64($0) }) {
            self = .user(UserID(rawValue: id))
        } else {
            return nil
        }
    }
}

extension Claim {
    /// How the log's tables name the claim that is made now.
    var key: ClaimKey { keys[0] }

    /// All names under which the claim may stand there, the present one first.
    var keys: [ClaimKey] {
        switch self {
        case .username(let name): [ClaimKey("username/" + name)]
        case .collection(let uid): [ClaimKey("collection/" + uid.rawValue)]
        case .revision(let uid): [ClaimKey("revision/" + uid.rawValue)]
        case .collectionType(let type):
            // An entry of PostgreSQL's index holds no more than some 2,700 bytes. On SQLite an adopted one may stand in full.
            type.count > Self.longestInFull
                ? [ClaimKey("long-type/" + Sodium.blake2b(type, personalization: "apus-type").hexadecimal), Self.inFull(type)]
                : [Self.inFull(type)]
        }
    }

    private static func inFull(_ type: [UInt8]) -> ClaimKey { ClaimKey("type/" + type.hexadecimal) }

    /// Up to how many bytes a type stands in its claim as it is.
    private static let longestInFull = 1024
}
