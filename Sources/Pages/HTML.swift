/// Pages for people, rendered on the server.
///
/// Pattern: ``HTML`` is made by string interpolation. What is written in the source is markup, what is put in is text and is escaped;
/// only another ``HTML`` goes in as it is. The compiler checks every name. There is no script: a page needs none, and its policy lets
/// none run. This module knows no request and no database; whoever answers with a page gives it what it shows.

/// Markup in which everything that came from outside is escaped.
public struct HTML: ExpressibleByStringInterpolation, Sendable {
    public let text: String

    public init(stringLiteral text: String) { self.text = text }
    public init(stringInterpolation interpolation: Interpolation) { text = interpolation.text }

    public struct Interpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        public init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity + 16 * interpolationCount) }

        public mutating func appendLiteral(_ literal: String) { text += literal }
        public mutating func appendInterpolation(_ html: HTML) { text += html.text }
        public mutating func appendInterpolation(_ many: [HTML]) { for html in many { text += html.text } }
        public mutating func appendInterpolation(_ html: HTML?) { text += html?.text ?? "" }
        public mutating func appendInterpolation(_ number: Int) { text += String(number) }

        public mutating func appendInterpolation(_ value: String) {
            for scalar in value.unicodeScalars {
                switch scalar {
                case "&": text += "&amp;"
                case "<": text += "&lt;"
                case ">": text += "&gt;"
                case "\"": text += "&quot;"
                case "'": text += "&#39;"
                default: text.unicodeScalars.append(scalar)
                }
            }
        }
    }
}
