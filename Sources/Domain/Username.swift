import Foundation

/// The rules of names and email addresses, as Django has them: what the original stored must be found again.
public enum Username {
    /// The form in which a name is stored and compared: compatibility-normalized (NFKC), lower case.
    public static func canonical(_ name: String) -> String {
        if name.utf8.allSatisfy({ $0 < 0x80 }) { return name.lowercased() }
        return name.precomposedStringWithCompatibilityMapping.lowercased()
    }

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

/// The rules of email addresses.
public enum EmailAddress {
    /// The form in which an address is stored: no blanks around it, the domain in lower case.
    public static func canonical(_ address: String) -> String {
        let trimmed = address.trimmingCharacters(in: .whitespacesAndNewlines)
        guard let at = trimmed.lastIndex(of: "@") else { return trimmed }
        return trimmed[...at] + trimmed[trimmed.index(after: at)...].lowercased()
    }

    /// Whether Django's validator takes the address. An empty one is no address, and allowed.
    static func isValid(_ address: String) -> Bool {
        guard address.unicodeScalars.count <= 320, let at = address.lastIndex(of: "@") else { return false }
        let domain = address[address.index(after: at)...]
        return isLocalPart(address[..<at]) && (domain == "localhost" || isDomain(domain))
    }

    private static func isLocalPart(_ part: Substring) -> Bool {
        if part.count >= 2, part.first == "\"", part.last == "\"" { return isQuoted(part.dropFirst().dropLast()) }
        return part.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { atom in
            !atom.isEmpty
                && atom.unicodeScalars.allSatisfy { Username.isASCIIWord($0) || "-!#$%&'*+/=?^`{}|~".unicodeScalars.contains($0) }
        }
    }

    /// Inside the quotes: printable characters and blanks; a quote or backslash only after a backslash.
    private static func isQuoted(_ text: Substring) -> Bool {
        var isEscaped = false
        for scalar in text.unicodeScalars {
            guard scalar.isASCII, scalar != "\0", scalar != "\n", scalar != "\r" else { return false }
            if isEscaped { isEscaped = false; continue }
            if scalar == "\"" { return false }
            isEscaped = scalar == "\\"
        }
        return !isEscaped
    }

    /// Labels of letters, digits and inner hyphens, two of them at least, the last of 2 to 63. International names are
    /// taken as they are written, since the original takes what encodes to such labels.
    private static func isDomain(_ domain: Substring) -> Bool {
        if domain.first == "[", domain.last == "]" { return isAddressLiteral(domain.dropFirst().dropLast()) }
        let labels = domain.split(separator: ".", omittingEmptySubsequences: false)
        guard labels.count >= 2, let last = labels.last, last.unicodeScalars.count >= 2 else { return false }
        return labels.allSatisfy { label in
            (1...63).contains(label.unicodeScalars.count) && label.first != "-" && label.last != "-"
                && label.unicodeScalars.allSatisfy { scalar in
                    scalar == "-" || (scalar.isASCII ? scalar != "_" && Username.isASCIIWord(scalar) : scalar.properties.isAlphabetic)
                }
        }
    }

    private static func isAddressLiteral(_ text: Substring) -> Bool {
        let numbers = text.split(separator: ".", omittingEmptySubsequences: false)
        if numbers.count == 4 { return numbers.allSatisfy { UInt8($0) != nil } }
        return text.contains(":") && text.unicodeScalars.allSatisfy { $0.properties.isASCIIHexDigit || $0 == ":" || $0 == "." }
    }
}
