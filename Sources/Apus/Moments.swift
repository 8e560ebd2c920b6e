internal import ArgumentParser
internal import Domain
internal import Foundation

/// Moments as people write them at the command line, and as it prints them: RFC 3339.
enum Moment {
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
        let seconds = parts[0].utf8.count == 5 ? "\(parts[0]):00" : String(parts[0])
        let colonZone = zone.utf8.count == 5 ? "\(zone.prefix(3)):\(zone.suffix(2))" : String(zone)
        let date: Date
        do { date = try Date("\(match.output.day)T\(seconds)\(colonZone.uppercased())", strategy: .iso8601) } catch {
            throw ValidationError("\(text) is no time that there is: \(example)")
        }
        let fraction = parts.count == 2 ? Int64((parts[1] + "000000").prefix(6)) ?? 0 : 0
        return Timestamp(rawValue: Int64(date.timeIntervalSince1970) * 1_000_000 + fraction)
    }

    /// `2026-01-31T18:30:00.000000Z`
    static func text(_ time: Timestamp) -> String { time.text.replacing(" ", with: "T", maxReplacements: 1) + "Z" }

    private static var form: Regex<(Substring, day: Substring, time: Substring?, zone: Substring?)> {
        /(?<day>[0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ](?<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)(?<zone>[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?/
    }
}
