public import Domain

/// Where the file of a chunk lies, relative to the folder of all chunks: where the original puts it.
public enum ChunkPath {
    /// The path that stands in the table of chunks, whether or not a file lies there.
    public static func path(of chunk: ChunkUID, in collection: CollectionUID, ownedBy owner: UserID) -> String {
        let uid = chunk.rawValue
        return "user_\(owner.rawValue)/\(collection.rawValue)/\(uid.prefix(2))/\(uid.dropFirst(2))"
    }

    /// The path, when the uids are good names for a file and its folders. Others could leave the folder (`..`), or lie in the
    /// folder of another collection (`/`); a uid of two characters leaves no name for the file.
    static func writable(_ chunk: ChunkUID, in collection: CollectionUID, ownedBy owner: UserID) -> String? {
        guard isName(collection.rawValue), isName(chunk.rawValue), chunk.rawValue.utf8.count > 2 else { return nil }
        return path(of: chunk, in: collection, ownedBy: owner)
    }

    /// Whether a path, which may come from an adopted table, stays below the folder.
    static func isInside(_ path: String) -> Bool {
        !path.utf8.contains(0)
            && path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { !["", ".", ".."].contains($0) }
    }

    private static func isName(_ text: String) -> Bool {
        (1...longestName).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
                default: false
                }
            }
    }

    /// File systems keep names of up to 255 bytes; the rules allow uids of 60.
    private static let longestName = 200
}
