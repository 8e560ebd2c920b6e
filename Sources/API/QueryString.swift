internal import Domain
internal import MessagePack
internal import ReadModel

/// The parameters after the question mark. Of a name that stands twice the last counts (`collection-list`).
struct QueryString: Sendable {
    /// More than any name that is asked for.
    private static let longestName = 64

    private let values: [ExactText: String]

    init(_ text: Substring?) {
        var values: [ExactText: String] = [:]
        for pair in (text ?? "").parts(separatedBy: "&") where !pair.isEmpty {
            let parts = pair.parts(separatedBy: "=", limit: 2)
            let name = PercentCoding.decode(parts[0][...], plusIsBlank: true)
            guard name.utf8.count <= Self.longestName else { continue }
            values[ExactText(name)] = parts.count == 2 ? PercentCoding.decode(parts[1][...], plusIsBlank: true) : ""
        }
        self.values = values
    }

    subscript(name: String) -> String? { values[ExactText(name)] }

    /// How many elements a page may have: 50 unless said otherwise, 1,000 at most (QUIRKS.md 16).
    func limit(_ validation: inout Validation) -> PageLimit {
        guard let text = self["limit"] else { return PageLimit(count: 50, text: "") }
        let count = validation.integer(text: text, PageLimit.place, .text(text))
        return PageLimit(count: min(count ?? 50, 1000), text: text)
    }

    /// How much content is wanted.
    func prefetch(_ validation: inout Validation) -> Prefetch {
        guard let text = self["prefetch"] else { return .auto }
        if let prefetch = Prefetch(rawValue: text) { return prefetch }
        let expected = "'auto' or 'medium'"
        validation.note(
            "literal_error", [.name("query"), .name("prefetch")], "Input should be \(expected)", .text(text), .expected(expected))
        return .auto
    }

    /// A truth value, false where it is not given.
    func flag(_ name: String, _ validation: inout Validation) -> Bool {
        guard let text = self[name] else { return false }
        return validation.flag(text: text, [.name("query"), .name(name)], .text(text)) ?? false
    }

    /// A text that must be given.
    func required(_ name: String, _ validation: inout Validation) -> String? {
        if let text = self[name] { return text }
        validation.note("missing", [.name("query"), .name(name)], "Field required", nil)
        return nil
    }
}

/// How many elements a page may have.
struct PageLimit: Sendable {
    fileprivate static let place: Validation.Location = [.name("query"), .name("limit")]

    fileprivate let count: Int
    fileprivate let text: String

    /// The number, 1 at least. A page is cut after its stoken was looked up, so a bad stoken is told first.
    func get() throws(ValidationFailure) -> Int {
        guard count < 1 else { return count }
        var validation = Validation()
        validation.note(
            "greater_than_equal", Self.place, "Input should be greater than or equal to 1", .text(text), .minimum(1))
        throw ValidationFailure(faults: validation.faults)
    }
}

/// Percent-encoding as Python's `unquote` reads it.
enum PercentCoding {
    /// What is not UTF-8 becomes the replacement character, and a percent sign that begins no escape stays.
    static func decode(_ text: Substring, plusIsBlank: Bool = false) -> String {
        let source = Array(text.utf8)
        guard source.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) else {
            return source.allSatisfy({ $0 < 0x80 }) || StreamSafe.contains(text) ? String(text) : unreadable
        }
        var bytes: [UInt8] = []
        var index = 0
        while index < source.count {
            let byte = source[index]
            if byte == UInt8(ascii: "%"), index + 2 < source.count, let high = digit(source[index + 1]), let low = digit(source[index + 2])
            {
                bytes.append(high << 4 | low)
                index += 3
            } else {
                bytes.append(plusIsBlank && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
                index += 1
            }
        }
        let text = String(decoding: bytes, as: UTF8.self)
        return StreamSafe.contains(text) ? text : unreadable
    }

    /// What stands for a text that nobody writes.
    private static let unreadable = "\u{FFFD}"

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
