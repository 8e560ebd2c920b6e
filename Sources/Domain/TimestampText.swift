extension Timestamp {
    /// `2026-01-31 23:59:59.000000`: how Django writes a moment in UTC on SQLite, and PostgreSQL reads it with the session's
    /// time zone at UTC.
    package var text: String {
        let (days, microsecond) = rawValue.quotientAndRemainder(dividingByFloored: 86_400_000_000)
        let (second, fraction) = microsecond.quotientAndRemainder(dividingBy: 1_000_000)
        let date = Self.civil(days: days)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(26)
        Self.write(date.year, width: 4, to: &bytes)
        Self.write(date.month, after: "-", to: &bytes)
        Self.write(date.day, after: "-", to: &bytes)
        Self.write(second / 3600, after: " ", to: &bytes)
        Self.write(second / 60 % 60, after: ":", to: &bytes)
        Self.write(second % 60, after: ":", to: &bytes)
        Self.write(fraction, after: ".", width: 6, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// `Sat, 31 Jan 2026 23:59:59 GMT`: how HTTP writes a moment (RFC 9110 §5.6.7).
    package var httpText: String {
        let (days, microsecond) = rawValue.quotientAndRemainder(dividingByFloored: 86_400_000_000)
        let second = microsecond / 1_000_000
        let date = Self.civil(days: days)
        // The first of all days was a Thursday.
        let weekday = (days + 4).quotientAndRemainder(dividingByFloored: 7).remainder
        var bytes = Array("\(Self.weekdays[Int(weekday)]), ".utf8)
        Self.write(date.day, to: &bytes)
        bytes += " \(Self.months[Int(date.month) - 1]) ".utf8
        Self.write(date.year, width: 4, to: &bytes)
        Self.write(second / 3600, after: " ", to: &bytes)
        Self.write(second / 60 % 60, after: ":", to: &bytes)
        Self.write(second % 60, after: ":", to: &bytes)
        return String(decoding: bytes, as: UTF8.self) + " GMT"
    }

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// A number with zeros before it where it is short.
    private static func write(_ number: Int64, after separator: Unicode.Scalar? = nil, width: Int = 2, to bytes: inout [UInt8]) {
        if let separator { bytes.append(UInt8(ascii: separator)) }
        let digits = String(number).utf8
        for _ in digits.count..<max(width, digits.count) { bytes.append(UInt8(ascii: "0")) }
        bytes += digits
    }

    /// The date of a day counted from 1970-01-01, in the Gregorian calendar: years are taken to begin in March, so that the
    /// leap day comes last.
    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = (days + 719_468).quotientAndRemainder(dividingByFloored: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}

extension Int64 {
    /// Division that rounds down, so that moments before 1970 have a positive remainder too.
    fileprivate func quotientAndRemainder(dividingByFloored divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
