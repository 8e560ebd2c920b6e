package import Domain
internal import Sodium

/// Where the file of a chunk lies, relative to the folder of all chunks. There is no other way to the name of a file: every
/// text that comes from outside, from a table, a backup or a folder, goes through here.
package struct ChunkPath: Hashable, Sendable {
    /// Compared by its bytes, as file systems do.
    private let exact: ExactText

    /// As it stands in the table of chunks.
    package var text: String { exact.rawValue }

    /// Where a new content goes: where the original puts it, `user_OWNER/COLLECTION/AB/CDEF…`.
    ///
    /// Uids that are no names for a file and its folders have a place of their own, by their hash: those that could leave the
    /// folder (`..`) or lie in another collection's (`/`), that differ in bytes only, or leave no name for the file (a chunk's
    /// of two characters). New uids of collections are good names (QUIRKS.md 33), so that is for adopted ones and short
    /// chunks. No name of another content has a tilde, and none is longer than the table's column.
    package init(of chunk: ChunkUID, in collection: CollectionUID, ownedBy owner: UserID) {
        let uid = chunk.rawValue
        let file =
            Self.isName(uid, longest: 60) && uid.utf8.count > 2 ? "\(uid.prefix(2))/\(uid.dropFirst(2))" : "~/" + Self.hash(uid)
        exact = ExactText("\(Self.owner)\(owner.rawValue)/\(Self.folder(of: collection))/\(file)")
    }

    /// How the folder of an owner begins.
    static let owner = "user_"

    /// The folder of a collection's contents in that of its owner.
    static func folder(of collection: CollectionUID) -> String {
        isName(collection.rawValue, longest: 43) ? collection.rawValue : "~" + hash(collection.rawValue)
    }

    /// The place that a text names, or nil when it is none below the folder: what an adopted row says is not to be trusted.
    package init?(row text: String) {
        let names = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let areGood = names.allSatisfy { name in
            (1...Self.longestName).contains(name.count) && !name.elementsEqual(".".utf8) && !name.elementsEqual("..".utf8)
        }
        guard areGood, !text.utf8.contains(0), text.utf8.count <= Self.longestText else { return nil }
        exact = ExactText(text)
    }

    /// The path that stands in the table of chunks, whether or not a file lies there.
    package static func path(of chunk: ChunkUID, in collection: CollectionUID, ownedBy owner: UserID) -> String {
        ChunkPath(of: chunk, in: collection, ownedBy: owner).text
    }

    private static func isName(_ text: String, longest: Int) -> Bool {
        (1...longest).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
                default: false
                }
            }
    }

    private static func hash(_ text: String) -> String {
        Sodium.blake2b(Array(text.utf8), personalization: "apus-chunk-path", length: 24).hexadecimal
    }

    /// What file systems keep.
    private static let longestName = 255
    private static let longestText = 2048
}
