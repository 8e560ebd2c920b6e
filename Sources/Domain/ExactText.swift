internal import Glibc

/// A text of which every byte counts, and which is no uid: what names, types, tokens, paths and the like are compared, sorted
/// and looked up as. Swift's strings are equal, too, when they only look alike, and are split where a reader sees characters:
/// a separator with an accent after it separates nothing. To the databases, and to the original, all of these are bytes.
package struct ExactText: Identifier {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
}

extension String {
    /// Whether both texts have the same bytes, as fast as that can be told: uids are compared whenever one is looked up.
    ///
    /// Safe: the bytes are looked at while they are lent.
    package func hasBytes(of other: String) -> Bool {
        let isSame: Bool?? = unsafe utf8.withContiguousStorageIfAvailable { bytes in
            unsafe other.utf8.withContiguousStorageIfAvailable { others -> Bool in
                guard bytes.count == others.count else { return false }
                guard let first = bytes.baseAddress, let other = others.baseAddress else { return true }
                return unsafe (memcmp(first, other, bytes.count) == 0)
            }
        }
        return (isSame ?? nil) ?? utf8.elementsEqual(other.utf8)
    }
}

// What is generic here is compiled where it is used: it looks at each byte of what comes in.
extension StringProtocol {
    /// Whether both texts have the same bytes.
    @inlinable package func isExactly(_ other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }

    /// What comes after the bytes of `prefix`; nil when the text does not begin with them.
    @inlinable package func after(_ prefix: String) -> String? {
        guard utf8.starts(with: prefix.utf8) else { return nil }
        return String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }

    /// The parts between separators, each an ASCII character, empty ones among them.
    ///
    /// - Parameter limit: how many parts there may be; the last one has the rest.
    @inlinable package func parts(separatedBy separator: Unicode.Scalar, limit: Int = .max) -> [String] {
        utf8.split(separator: UInt8(ascii: separator), maxSplits: limit - 1, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether the ASCII character stands anywhere in the text.
    @inlinable package func has(_ character: Unicode.Scalar) -> Bool { utf8.contains(UInt8(ascii: character)) }
}
