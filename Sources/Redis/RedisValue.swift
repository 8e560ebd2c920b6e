/// What Redis answers.
package enum RedisValue: Hashable, Sendable {
    case null
    case integer(Int64)
    /// A word of Redis' own, such as `OK`.
    case status(String)
    case bytes([UInt8])
    case array([RedisValue])
    /// An error within an array, as a script or a transaction answers it. One that is the whole answer is thrown.
    case error(String)

    /// The bytes, where it is some.
    package var bytes: [UInt8]? {
        if case .bytes(let bytes) = self { bytes } else { nil }
    }

    /// The number, where it is one.
    package var integer: Int64? {
        if case .integer(let number) = self { number } else { nil }
    }
}

/// A word of a command. Any bytes will do.
package enum RedisArgument: Hashable, Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    case text(String)
    case bytes([UInt8])
    case number(Int)

    package init(stringLiteral text: String) { self = .text(text) }
    package init(integerLiteral number: Int) { self = .number(number) }

    var content: [UInt8] {
        switch self {
        case .text(let text): Array(text.utf8)
        case .bytes(let bytes): bytes
        case .number(let number): Array(String(number).utf8)
        }
    }
}

/// Why a command has no answer. The texts hold neither passwords nor what a command carried.
package enum RedisFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// Redis is away, or did not answer in time, or too much waits for it. Whether a command was carried out is not known.
    case unavailable(String)
    /// Redis said no, in its own words: `WRONGTYPE …`, `NOPERM …`.
    case refused(String)

    package var description: String {
        switch self {
        case .unavailable(let why): "Redis: \(why)"
        case .refused(let text): "Redis refuses: \(text)"
        }
    }
}
