import Foundation
import Glibc

/// The rules of names and email addresses, as Django has them: what the original stored must be found again.
package enum Username {
    /// The form in which a name is stored and compared: compatibility-normalized (NFKC), lower case.
    ///
    /// Of what cannot be a name it is a text that nobody has as a name: normalizing it could take for ever.
    static func canonical(_ name: String) -> String {
        guard canBe(name) else { return nobodys }
        if name.utf8.allSatisfy({ $0 < 0x80 }) { return name.lowercased() }
        // In two steps, because the one that does both does not compose what it has just taken apart.
        return LowerCase.of(name.decomposedStringWithCompatibilityMapping.precomposedStringWithCanonicalMapping)
    }

    /// Whether a text can be a name or an email address at all, by its length alone.
    static func canBe(_ text: String) -> Bool { text.utf8.count <= longestBytes && StreamSafe.contains(text) }

    /// What the longest email address of 254 characters takes in UTF-8, and taken apart into letters and marks.
    private static let longestBytes = 2048
    /// A noncharacter: no name can have it.
    static let nobodys = "\u{FFFF}"

    /// Whether a name is of letters, digits and `@.+-_` (`^[\w.@+-]+\Z`, where `\w` is Python's).
    static func isValid(_ name: String) -> Bool {
        !name.isEmpty
            && name.unicodeScalars.allSatisfy { scalar in
                if scalar.isASCII { return isASCIIWord(scalar) || "@.+-".unicodeScalars.contains(scalar) }
                switch scalar.properties.generalCategory {
                case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
                    .letterNumber, .otherNumber:
                    return true
                default: return false
                }
            }
    }

    fileprivate static func isASCIIWord(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "A"..."Z", "a"..."z", "0"..."9", "_": true
        default: false
        }
    }
}

/// Lower case as Python has it.
enum LowerCase {
    /// Swift's own, but for the capital sigma, which at the end of a word becomes the final one.
    static func of(_ text: String) -> String {
        guard text.unicodeScalars.contains("Σ") else { return text.lowercased() }
        let scalars = Array(text.unicodeScalars)
        return scalars.indices.map { index in
            guard scalars[index] == "Σ" else { return scalars[index].properties.lowercaseMapping }
            return endsWord(at: index, scalars) ? "ς" : "σ"
        }.joined()
    }

    /// Whether a cased letter comes before and none after; what is ignored for case does not count.
    private static func endsWord(at index: Int, _ scalars: [Unicode.Scalar]) -> Bool {
        let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
        let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
        return before?.properties.isCased == true && after?.properties.isCased != true
    }
}

/// The rules of email addresses.
package enum EmailAddress {
    /// The form in which an address is stored: no blanks around it, the domain in lower case.
    static func canonical(_ address: String) -> String {
        guard Username.canBe(address) else { return Username.nobodys }
        var scalars = Substring(address).unicodeScalars
        while let first = scalars.first, isBlank(first) { scalars.removeFirst() }
        while let last = scalars.last, isBlank(last) { scalars.removeLast() }
        let trimmed = String(scalars)
        guard let at = trimmed.unicodeScalars.lastIndex(of: "@") else { return address }
        return String(trimmed.unicodeScalars[...at])
            + LowerCase.of(String(trimmed.unicodeScalars[trimmed.unicodeScalars.index(after: at)...]))
    }

    /// What Python strips.
    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || ("\u{1c}"..."\u{1f}").contains(scalar)
    }

    /// Whether Django's validator takes the address. An empty one is no address, and allowed.
    static func isValid(_ address: String) -> Bool {
        guard address.unicodeScalars.count <= 320, let at = address.unicodeScalars.lastIndex(of: "@") else { return false }
        let domain = address[address.unicodeScalars.index(after: at)...]
        return isLocalPart(address[..<at]) && (domain == "localhost" || isDomain(domain))
    }

    private static func isLocalPart(_ part: Substring) -> Bool {
        if part.count >= 2, part.first == "\"", part.last == "\"" { return isQuoted(part.dropFirst().dropLast()) }
        return part.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { atom in
            !atom.isEmpty
                && atom.unicodeScalars.allSatisfy { Username.isASCIIWord($0) || "-!#$%&'*+/=?^`{}|~".unicodeScalars.contains($0) }
        }
    }

    /// Inside the quotes: ASCII without line ends; a blank, a tab, a quote and a backslash only behind a backslash.
    private static func isQuoted(_ text: Substring) -> Bool {
        var isEscaped = false
        for scalar in text.unicodeScalars {
            guard scalar.isASCII, !["\0", "\n", "\r"].contains(scalar) else { return false }
            if isEscaped {
                isEscaped = false
                continue
            }
            if scalar == "\\" {
                isEscaped = true
                continue
            }
            guard ![" ", "\t", "\""].contains(scalar) else { return false }
        }
        return !isEscaped
    }

    /// Labels of letters, digits and inner hyphens, two of them at least, the last of 2 to 63. Django tries a domain that is
    /// not ASCII in its encoded form, in which such a label is long enough and has none but good characters.
    private static func isDomain(_ domain: Substring) -> Bool {
        if domain.first == "[", domain.last == "]" { return isAddressLiteral(domain.dropFirst().dropLast()) }
        let dots: [Unicode.Scalar] = [".", "\u{3002}", "\u{ff0e}", "\u{ff61}"]
        let isInternational = domain.unicodeScalars.contains { !$0.isASCII }
        let labels = domain.unicodeScalars.split(omittingEmptySubsequences: false) { scalar in
            isInternational ? dots.contains(scalar) : scalar == "."
        }
        guard labels.count >= 2, let last = labels.last else { return false }
        return labels.dropLast().allSatisfy { isLabel($0) && $0.first != "-" } && isLabel(last)
            && (last.count >= 2 || last.contains { !$0.isASCII })
    }

    private static func isLabel(_ label: Substring.UnicodeScalarView) -> Bool {
        (1...63).contains(label.count) && label.last != "-"
            && label.allSatisfy { $0 == "-" || !$0.isASCII || ($0 != "_" && Username.isASCIIWord($0)) }
    }

    private static func isAddressLiteral(_ text: Substring) -> Bool {
        // What is behind a NUL would not be looked at, and no database takes one.
        guard !text.utf8.contains(0) else { return false }
        var address = in6_addr()
        return unsafe inet_pton(AF_INET, String(text), &address) == 1 || inet_pton(AF_INET6, String(text), &address) == 1
    }
}
