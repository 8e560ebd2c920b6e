internal import Glibc

/// The terminal that a command was started on.
enum Terminal {
    /// Whether somebody can be asked.
    static var isThere: Bool { isatty(STDIN_FILENO) == 1 }

    /// Asks, and takes only a yes for one.
    static func agrees(_ question: String) -> Bool {
        print(question, "[y/N]", terminator: " ")
        fflush(nil)
        return ["y", "yes"].contains(readLine()?.lowercased())
    }
}

/// A text of somebody else's as it may be printed: without what a terminal would obey, on one line.
struct Printable: CustomStringConvertible {
    private let text: String

    init(_ text: String) { self.text = text }

    var description: String {
        text.unicodeScalars.map { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: "\\u{\(String(scalar.value, radix: 16))}"
            default: String(scalar)
            }
        }.joined()
    }
}
