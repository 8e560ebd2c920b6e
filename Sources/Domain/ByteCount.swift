/// A number of bytes as people write it: `75MB`, `32MiB`, or plain `75000000`.
package enum ByteCount {
    private static let units: [(name: String, bytes: Int64)] = [
        ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("kb", 1_000), ("mb", 1_000_000), ("gb", 1_000_000_000), ("b", 1), ("", 1),
    ]

    package enum Mistake: Error {
        case unreadable
        case tooLarge
    }

    /// - Throws: ``Mistake/unreadable`` for anything else, and for 0.
    package static func parse(_ text: String) throws(Mistake) -> Int64 {
        let word = text.lowercased()
        let digits = word.prefix { $0.isASCII && $0.isNumber }
        let unit = word.dropFirst(digits.count).drop { $0 == " " }
        guard let count = Int64(digits), count > 0, let bytes = units.first(where: { $0.name == unit })?.bytes else { throw .unreadable }
        let (size, isTooLarge) = count.multipliedReportingOverflow(by: bytes)
        guard !isTooLarge else { throw .tooLarge }
        return size
    }
}
