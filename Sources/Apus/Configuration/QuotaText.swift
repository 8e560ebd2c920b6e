internal import ArgumentParser
internal import Domain

/// A quota as people write it: `bytes=5GB,items=100000,collections=50`, or `5GB` for bytes alone, or `none`.
enum QuotaText {
    /// - Parameter name: of the setting, for what is said of a mistake.
    /// - Throws: `ValidationError` for anything else.
    static func parse(_ text: String, of name: String) throws -> Quota {
        guard text != "none" else { return .none }
        var quota = Quota.none
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let words = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { String($0) }
            let named = words.count == 2 ? words[0] : Quota.Kind.bytes.rawValue
            guard let kind = Quota.Kind(rawValue: named.drop { $0 == " " }.lowercased()), quota[kind] == nil, let value = words.last else {
                throw mistake(text, name)
            }
            quota[kind] = try kind == .bytes ? Int64(Size.parse(value, of: name)) : count(value, text, name)
        }
        return quota
    }

    private static func count(_ value: String, _ text: String, _ name: String) throws -> Int64 {
        guard let count = Int64(value), count > 0 else { throw mistake(text, name) }
        return count
    }

    private static func mistake(_ text: String, _ name: String) -> ValidationError {
        ValidationError("\(name) is a quota such as 5GB, bytes=5GB,items=100000,collections=50, or none, not \(text.visible)")
    }

    /// As it can be read again.
    static func text(_ quota: Quota) -> String {
        let parts = Quota.Kind.allCases.compactMap { kind in quota[kind].map { "\(kind.rawValue)=\($0)" } }
        return parts.isEmpty ? "none" : parts.joined(separator: ",")
    }

    /// What is in use, and of how much: for people.
    static func text(_ used: Usage, of quota: Quota) -> String {
        Quota.Kind.allCases.map { kind in
            "\(used[kind])\(quota[kind].map { " of \($0)" } ?? "") \(kind.rawValue)"
        }.joined(separator: ", ")
    }
}
