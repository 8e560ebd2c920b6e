internal import Foundation
internal import NIOCore

/// A host as people, clients and proxies write it, in the one form in which hosts are compared: lower case, without a final
/// dot, an international name in its ASCII form (RFC 3490), an IPv6 address in its shortest form and without brackets.
package struct HostName: Hashable, Sendable {
    /// What a text may have, so that work on it is bounded: a name of 253 characters, each of which UTF-8 may need four bytes
    /// for, and a port.
    private static let limitBytes = 1024
    /// The longest name in ASCII (RFC 1035 §2.3.4).
    private static let nameLimit = 253
    /// What separates or ends hosts in other texts, and is in none.
    private static let separators = Set("/\\?#@[]:<>\"^`|%{},;&".utf8)

    /// The host, to be compared.
    package let name: String
    /// The port, where one stands there.
    package let port: Int?

    /// Whether it is an IPv6 address.
    var isAddress6: Bool { name.utf8.contains(UInt8(ascii: ":")) }

    /// Reads `name`, `name:port`, `[IPv6]` or `[IPv6]:port`, or an IPv6 address alone.
    ///
    /// - Returns: nil for what is no host.
    package init?(_ text: String) {
        guard (1...Self.limitBytes).contains(text.utf8.count) else { return nil }
        let colons = text.utf8.count { $0 == UInt8(ascii: ":") }
        if text.utf8.first == UInt8(ascii: "[") {
            guard let end = text.utf8.firstIndex(of: UInt8(ascii: "]")),
                let port = Self.port(text.utf8[text.utf8.index(after: end)...]),
                let address = Self.address6(Substring(text.utf8[text.utf8.index(after: text.utf8.startIndex)..<end]))
            else { return nil }
            (name, self.port) = (address, port.number)
        } else if colons > 1 {
            guard let address = Self.address6(text[...]) else { return nil }
            (name, port) = (address, nil)
        } else {
            let end = text.utf8.firstIndex(of: UInt8(ascii: ":")) ?? text.utf8.endIndex
            guard let port = Self.port(text.utf8[end...]), let name = Self.canonical(Substring(text.utf8[..<end])) else { return nil }
            (self.name, self.port) = (name, port.number)
        }
    }

    /// The port behind a host: nothing, or a colon and a number, which may be missing (RFC 3986 §3.2.3).
    private static func port(_ text: Substring.UTF8View) -> (number: Int?, Void)? {
        guard let colon = text.first else { return (nil, ()) }
        let digits = text.dropFirst()
        guard colon == UInt8(ascii: ":"), digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        guard !digits.isEmpty else { return (nil, ()) }
        guard let number = Int(Substring(digits)), number <= UInt16.max else { return nil }
        return (number, ())
    }

    /// The shortest form of an address (RFC 5952). What stands behind a percent sign means something on one host only.
    private static func address6(_ text: Substring) -> String? {
        let address = text.prefix { $0 != "%" }
        // What is behind a NUL would not be looked at.
        guard address.utf8.contains(UInt8(ascii: ":")), !address.utf8.contains(0) else { return nil }
        do { return try SocketAddress(ipAddress: String(address), port: 0).ipAddress } catch { return nil }
    }

    /// Whether it is a name in the one form already, as nearly all are.
    private static func isPlain(_ text: Substring.UTF8View) -> Bool {
        var isInLabel = false
        for byte in text {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): isInLabel = true
            case UInt8(ascii: ".") where isInLabel: isInLabel = false
            default: return false
            }
        }
        return isInLabel && text.count <= nameLimit
    }

    private static func canonical(_ text: Substring) -> String? {
        if isPlain(text.utf8) { return String(text) }
        var name = String(text)
        if name.utf8.contains(where: { $0 >= 0x80 }) {
            // As browsers do, but for what is forbidden: it is only compared here (UTS 46).
            name = name.decomposedStringWithCompatibilityMapping.precomposedStringWithCanonicalMapping
            name = String(String.UnicodeScalarView(name.unicodeScalars.map { Punycode.dots.contains($0) ? "." : $0 }))
        }
        name = name.lowercased()
        guard name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f && !separators.contains($0) }) else { return nil }
        if name.utf8.last == UInt8(ascii: ".") { name.removeLast() }
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        guard labels.allSatisfy({ !$0.isEmpty }) else { return nil }
        name = labels.map(Punycode.label).joined(separator: ".")
        return name.utf8.count <= nameLimit ? name : nil
    }
}

/// International labels in ASCII (RFC 3492).
private enum Punycode {
    /// What separates labels, beside the full stop (RFC 3490 §3.1).
    static let dots: Set<Unicode.Scalar> = ["\u{3002}", "\u{ff0e}", "\u{ff61}"]

    private static let base = 36
    private static let lowestThreshold = 1
    private static let highestThreshold = 26

    /// The label itself where it is ASCII.
    static func label(_ label: Substring) -> String {
        let scalars = label.unicodeScalars.map { Int($0.value) }
        var output = scalars.filter { $0 < 0x80 }.map { Unicode.Scalar(UInt8($0)) }
        guard output.count < scalars.count else { return String(label) }
        let basics = output.count
        if basics > 0 { output.append("-") }
        var (code, delta, bias, handled) = (0x80, 0, 72, basics)
        while handled < scalars.count {
            let next = scalars.lazy.filter { $0 >= code }.min() ?? code
            delta += (next - code) * (handled + 1)
            code = next
            for scalar in scalars {
                if scalar < code { delta += 1 }
                guard scalar == code else { continue }
                append(delta, bias, to: &output)
                bias = adapted(delta, handled + 1, isFirst: handled == basics)
                (delta, handled) = (0, handled + 1)
            }
            (delta, code) = (delta + 1, code + 1)
        }
        return "xn--" + String(String.UnicodeScalarView(output))
    }

    private static func append(_ delta: Int, _ bias: Int, to output: inout [Unicode.Scalar]) {
        var (rest, position) = (delta, base)
        while true {
            let threshold = min(max(position - bias, lowestThreshold), highestThreshold)
            guard rest >= threshold else { return output.append(digit(rest)) }
            output.append(digit(threshold + (rest - threshold) % (base - threshold)))
            rest = (rest - threshold) / (base - threshold)
            position += base
        }
    }

    private static func digit(_ value: Int) -> Unicode.Scalar {
        Unicode.Scalar(value < 26 ? UInt8(ascii: "a") + UInt8(value) : UInt8(ascii: "0") + UInt8(value - 26))
    }

    private static func adapted(_ delta: Int, _ count: Int, isFirst: Bool) -> Int {
        var delta = isFirst ? delta / 700 : delta / 2
        delta += delta / count
        var steps = 0
        while delta > (base - lowestThreshold) * highestThreshold / 2 {
            delta /= base - lowestThreshold
            steps += base
        }
        return steps + (base - lowestThreshold + 1) * delta / (delta + 38)
    }
}
