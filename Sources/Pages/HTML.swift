/// Pages for people, rendered on the server.
///
/// Pattern: ``HTML`` is made by string interpolation. What is written in the source is markup, what is put in is text and is escaped;
/// only another ``HTML`` goes in as it is. The compiler checks every name. There is no script: a page needs none, and its policy lets
/// none run. This module knows no request and no database; whoever answers with a page gives it what it shows.

/// Markup in which everything that came from outside is escaped.
package struct HTML: ExpressibleByStringInterpolation, Sendable {
    package let text: String

    package init(stringLiteral text: String) { self.text = text }
    package init(stringInterpolation interpolation: Interpolation) { text = interpolation.text }

    package struct Interpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        package init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity + 16 * interpolationCount) }

        package mutating func appendLiteral(_ literal: String) { text += literal }
        package mutating func appendInterpolation(_ html: HTML) { text += html.text }
        package mutating func appendInterpolation(_ many: [HTML]) { for html in many { text += html.text } }
        package mutating func appendInterpolation(_ html: HTML?) { text += html?.text ?? "" }
        package mutating func appendInterpolation(_ number: Int) { text += String(number) }

        package mutating func appendInterpolation(_ value: String) {
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
