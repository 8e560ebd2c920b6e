internal import Domain
internal import Foundation

/// Prints a line. Names, uids, devices and the like are what strangers wrote: nothing in them reaches the terminal as anything
/// else than text on this line. Between tabs, use `visible` for each; for lines of our own alone there is `Swift.print`.
func print(_ line: String) { Swift.print(line.visibleLine) }

/// Lines of JSON for machines, and for terminals.
enum JSONLine {
    static func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let line = String(decoding: try encoder.encode(value), as: UTF8.self)
        guard line.unicodeScalars.contains(where: { !$0.isVisible }) else { return line }
        return line.unicodeScalars.map { $0.isVisible ? String($0) : escape($0) }.joined()
    }

    /// As JSON has it, in units of UTF-16.
    private static func escape(_ scalar: Unicode.Scalar) -> String {
        String(scalar).utf16.map { unit in
            let digits = String(unit, radix: 16)
            return #"\u"# + String(repeating: "0", count: 4 - digits.count) + digits
        }.joined()
    }
}
