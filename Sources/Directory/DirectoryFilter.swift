/// A search filter in which a name is to be put, as `(&(objectClass=person)(uid=%s))`.
package struct DirectoryFilter: Hashable, Sendable {
    /// What stands before, between and behind the places of the name.
    private let parts: [Substring]

    /// - Returns: nil for a text without `%s`, or one whose parentheses do not match.
    package init?(_ text: String) {
        parts = text.split(separator: "%s", omittingEmptySubsequences: false)
        guard parts.count > 1, Self.isBalanced(text) else { return nil }
    }

    /// As it was written.
    var text: String { parts.joined(separator: "%s") }

    /// The filter for a name, which stands there as nothing but a value.
    func text(for name: String) -> String { parts.joined(separator: Self.escaped(name)) }

    /// A value as filters take it: what could mean something in one, and all that is not ASCII, is written as bytes.
    ///
    /// Source of the rule: RFC 4515, section 3.
    static func escaped(_ value: String) -> String {
        value.utf8.map { byte in
            switch byte {
            case 0, UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "*"), UInt8(ascii: "\\"), 0x80...:
                return "\\" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            default: return String(UnicodeScalar(byte))
            }
        }.joined()
    }

    private static func isBalanced(_ text: String) -> Bool {
        var depth = 0
        for byte in text.utf8 {
            if byte == UInt8(ascii: "(") { depth += 1 }
            if byte == UInt8(ascii: ")") { depth -= 1 }
            guard depth >= 0 else { return false }
        }
        return depth == 0
    }
}
