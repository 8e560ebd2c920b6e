internal import ArgumentParser

/// A number of bytes as people write it: `75MB`, `32MiB`, or plain `75000000`.
enum Size {
    private static let units: [(name: String, bytes: Int)] = [
        ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("kb", 1_000), ("mb", 1_000_000), ("gb", 1_000_000_000), ("b", 1), ("", 1),
    ]

    /// - Parameter name: of the setting, for what is said of a mistake.
    /// - Throws: `ValidationError` for anything else, and for 0.
    static func parse(_ text: String, of name: String) throws -> Int {
        let word = text.lowercased()
        let digits = word.prefix { $0.isASCII && $0.isNumber }
        let unit = word.dropFirst(digits.count).drop { $0 == " " }
        guard let count = Int(digits), count > 0, let bytes = units.first(where: { $0.name == unit })?.bytes else {
            throw ValidationError("\(name) is a size above 0, such as 75MB, 32MiB or a number of bytes, not \(text)")
        }
        let (size, isTooLarge) = count.multipliedReportingOverflow(by: bytes)
        guard !isTooLarge else { throw ValidationError("\(name) is too large: \(text)") }
        return size
    }
}
