internal import Domain
internal import Foundation
internal import Pages

/// The quota that a form asks for.
struct QuotaWish {
    /// Nil for the one that holds for all.
    let quota: Quota?

    /// - Returns: nil where the form does not say.
    init?(_ form: QueryString) {
        guard form["holds"] != "default" else {
            quota = nil
            return
        }
        var quota = Quota.none
        for kind in Quota.Kind.allCases {
            guard let text = form[kind.rawValue]?.trimmingCharacters(in: .whitespaces) else { return nil }
            guard !text.isEmpty else { continue }
            guard let limit = Self.limit(kind, text), limit > 0 else { return nil }
            quota[kind] = limit
        }
        self.quota = quota
    }

    private static func limit(_ kind: Quota.Kind, _ text: String) -> Int64? {
        guard kind == .bytes else { return Int64(text) }
        do { return try ByteCount.parse(text) } catch { return nil }
    }

    /// For the list of what was done.
    var shown: String { quota?.shown ?? "as for all" }
}

extension AdminPages.Limits {
    /// As they are.
    init(_ quota: Quota) {
        let texts = Quota.Kind.allCases.map { kind in quota[kind].map { "\($0)" } ?? "" }
        self.init(bytes: texts[0], items: texts[1], collections: texts[2])
    }

    /// As somebody has tried to set them.
    init(_ form: QueryString) {
        self.init(bytes: form["bytes"] ?? "", items: form["items"] ?? "", collections: form["collections"] ?? "")
    }
}
