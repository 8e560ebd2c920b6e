internal import Foundation

/// An object as a list has it.
package struct S3Object: Hashable, Sendable {
    /// Without the address's prefix.
    package let name: String
    package let bytes: Int
    /// When it was last put, in microseconds since 1970.
    package let putAt: Int64
}

/// A page of a list, read from the XML that all providers write alike: elements without attributes, texts with escapes.
struct S3List {
    private(set) var objects: [S3Object] = []
    /// Where the next page begins; nil where this is the last one.
    let next: String?

    /// - Parameter prefix: what all names begin with.
    /// - Returns: nil for what is no list.
    init?(_ text: String, prefix: String) {
        guard text.contains("<ListBucketResult") else { return nil }
        let isCut = text.element("IsTruncated") == "true"
        next = isCut ? text.element("NextContinuationToken") : nil
        guard !isCut || next != nil else { return nil }
        for entry in text.elements("Contents") {
            guard let key = entry.element("Key"), let size = entry.element("Size").flatMap({ Int($0) }),
                let putAt = entry.element("LastModified").flatMap(Self.time)
            else { return nil }
            if key.hasPrefix(prefix) { objects.append(S3Object(name: String(key.dropFirst(prefix.count)), bytes: size, putAt: putAt)) }
        }
    }

    private static func time(_ text: String) -> Int64? {
        let withFraction = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        let date: Date?
        do { date = try withFraction.parse(text) } catch {
            do { date = try Date.ISO8601FormatStyle().parse(text) } catch { date = nil }
        }
        // Rounded up: what is put later is never taken for earlier.
        return date.map { Int64(($0.timeIntervalSince1970 * 1_000_000).rounded(.up)) }
    }
}

extension String {
    /// What stands in the elements of a name, as it stands there.
    fileprivate func elements(_ name: String) -> [String] {
        components(separatedBy: "<\(name)>").dropFirst().compactMap { rest in
            rest.range(of: "</\(name)>").map { String(rest[..<$0.lowerBound]) }
        }
    }

    /// The text of the first element of a name.
    func element(_ name: String) -> String? {
        elements(name).first.map { text in
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#34;", "\""), ("&amp;", "&")].reduce(text) {
                $0.replacingOccurrences(of: $1.0, with: $1.1)
            }
        }
    }
}
