extension Timestamp {
    /// `2026-01-31 23:59:59.000000`: how Django writes a moment in UTC on SQLite, and PostgreSQL reads it with the session's
    /// time zone at UTC.
    package var text: String {
        let (days, microsecond) = rawValue.quotientAndRemainder(dividingByFloored: 86_400_000_000)
        let (second, fraction) = microsecond.quotientAndRemainder(dividingBy: 1_000_000)
        let date = Self.civil(days: days)
        let fields = [date.year, date.month, date.day, second / 3600, second / 60 % 60, second % 60]
        let widths = [4, 2, 2, 2, 2, 2]
        let texts = zip(fields, widths).map { Self.padded($0, to: $1) }
        return "\(texts[0])-\(texts[1])-\(texts[2]) \(texts[3]):\(texts[4]):\(texts[5]).\(Self.padded(fraction, to: 6))"
    }

    private static func padded(_ number: Int64, to width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
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
