internal import ArgumentParser

/// A span of time as people write it: `90s`, `15m`, `12h`, `365d`; `0` is for ever.
enum Lifetime {
    private static let longestCount = 1_000_000

    static func parse(_ text: String) throws -> Duration? {
        if text == "0" { return nil }
        let seconds: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let last = text.last, let unit = seconds[last], let count = Int(text.dropLast()), (1...longestCount).contains(count)
        else {
            throw ValidationError("\(text) is no span of time; write 90s, 15m, 12h or 365d, or 0 for ever")
        }
        return .seconds(count * unit)
    }
}
