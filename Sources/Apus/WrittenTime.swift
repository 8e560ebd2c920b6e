internal import ArgumentParser
internal import Domain
internal import Foundation

/// Times as people write them at the command line, and as it prints them: RFC 3339.
enum WrittenTime {
    /// - Throws: `ValidationError` for what is no moment, or could be several: a day, or a time without its zone.
    static func parse(_ text: String) throws -> Timestamp {
        let example = "write it like 2026-01-31T18:30:00Z, or with +01:00 in place of Z"
        guard let match = text.wholeMatch(of: form) else { throw ValidationError("\(text) is no time: \(example)") }
        guard let time = match.output.time else {
            throw ValidationError("\(text) is ambiguous, for it is a whole day: say the time of day and its zone; \(example)")
        }
        guard let zone = match.output.zone else {
            throw ValidationError("\(text) is ambiguous without its time zone: \(example)")
        }
        let parts = time.split(separator: ".")
        let clock = parts[0].utf8.count == 5 ? "\(parts[0]):00" : String(parts[0])
        let fraction = parts.count == 2 ? Int64((parts[1] + "000000").prefix(6)) ?? 0 : 0
        do {
            let local = Int64(try Date("\(match.output.day)T\(clock)Z", strategy: .iso8601).timeIntervalSince1970)
            let moment = Timestamp(rawValue: (local - offset(zone)) * 1_000_000 + fraction)
            // Foundation takes the 31st of February for the 3rd of March.
            let isThere = Timestamp(rawValue: local * 1_000_000).text.hasPrefix("\(match.output.day) \(clock)")
            if isThere, years.contains(moment) { return moment }
        } catch is CocoaError {}
        throw ValidationError("\(text) is no time that there is: \(example)")
    }

    /// From the first year to the last one with four digits: in UTC a time may be a day away.
    private static let years = Timestamp(rawValue: -62_135_596_800_000_000)...Timestamp(rawValue: 253_402_300_799_999_999)

    /// How far the zone is ahead of UTC, in seconds.
    private static func offset(_ zone: Substring) -> Int64 {
        let digits = zone.compactMap(\.wholeNumberValue).map(Int64.init)
        guard digits.count == 4 else { return 0 }
        let minutes = (digits[0] * 10 + digits[1]) * 60 + digits[2] * 10 + digits[3]
        return (zone.first == "-" ? -60 : 60) * minutes
    }

    /// `2026-01-31T18:30:00.000000Z`
    static func text(_ time: Timestamp) -> String { time.text.replacing(" ", with: "T", maxReplacements: 1) + "Z" }

    private static var form: Regex<(Substring, day: Substring, time: Substring?, zone: Substring?)> {
        /(?<day>[0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ](?<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)(?<zone>[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?/
    }
}
