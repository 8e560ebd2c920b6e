/// Texts whose letters have no more than 30 marks each (UAX #15, Stream-Safe Text Format). To compare, hash or normalize others
/// takes time that grows with the square of the marks: 80 KB take a second and a half. No language has such words.
package enum StreamSafe {
    @usableFromInline static let marksLimit = 30

    @inlinable package static func contains(_ text: some StringProtocol) -> Bool {
        guard text.utf8.count > marksLimit, text.utf8.contains(where: { $0 >= 0x80 }) else { return true }
        var marks = 0
        for scalar in text.unicodeScalars {
            marks = scalar.isASCII || scalar.properties.canonicalCombiningClass == .notReordered ? 0 : marks + 1
            if marks > marksLimit { return false }
        }
        return true
    }
}
