/// A text of which every byte counts, and which is no uid: what names, types, tokens, paths and the like are compared, sorted
/// and looked up as. Swift's strings are equal, too, when they only look alike, and are split where a reader sees characters:
/// a separator with an accent after it separates nothing. To the databases, and to the original, all of these are bytes.
package struct ExactText: Identifier {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
}

extension StringProtocol {
    /// Whether both texts have the same bytes.
    package func isExactly(_ other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }

    /// What comes after the bytes of `prefix`; nil when the text does not begin with them.
    package func after(_ prefix: String) -> String? {
        guard utf8.starts(with: prefix.utf8) else { return nil }
        return String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }

    /// The parts between separators, each an ASCII character, empty ones among them.
    ///
    /// - Parameter limit: how many parts there may be; the last one has the rest.
    package func parts(separatedBy separator: Unicode.Scalar, limit: Int = .max) -> [String] {
        utf8.split(separator: UInt8(ascii: separator), maxSplits: limit - 1, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether the ASCII character stands anywhere in the text.
    package func has(_ character: Unicode.Scalar) -> Bool { utf8.contains(UInt8(ascii: character)) }
}
