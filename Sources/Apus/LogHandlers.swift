internal import Domain
internal import Glibc
internal import Logging

/// Writes the log to the standard error stream, a line for each message.
struct LineLogHandler: LogHandler {
    let format: LogFormat
    let label: String
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata
        if let given = event.metadata { fields.merge(given) { $1 } }
        // Hummingbird's own; ours is called request_id.
        fields["hb.request.id"] = nil
        let time = Node.clock().text.replacing(" ", with: "T", maxReplacements: 1) + "Z"
        let sorted = fields.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        let line: String
        switch format {
        case .text:
            line = ([time, "\(event.level)", "\(event.message)"] + sorted.map { "\($0.0)=\(quoted($0.1))" }).joined(separator: " ")
        case .json:
            let pairs = [("time", time), ("level", "\(event.level)"), ("message", "\(event.message)")] + sorted
            line = "{" + pairs.map { "\(json($0.0)):\(json($0.1))" }.joined(separator: ",") + "}"
        }
        Self.write(Array((line + "\n").utf8))
    }

    /// Writes a line, whole. A log that nobody takes any more must not stop the server, so what cannot be written is lost.
    private static func write(_ line: [UInt8]) {
        var rest = line[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            guard written > 0 else { return }
            rest = rest.dropFirst(written)
        }
    }

    /// A value with blanks, quotes or line ends would make a line ambiguous.
    private func quoted(_ text: String) -> String {
        text.allSatisfy { !$0.isWhitespace && $0 != "\"" } && !text.isEmpty ? text : json(text)
    }

    private func json(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\" + String(scalar)
            case "\n": result += "\\n"
            case "\0"..<" ": result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension Logger {
    /// Of a command that ends by itself: its output is its answer, so only what goes wrong is logged.
    static var ofCommand: Logger {
        var logger = Logger(label: "apus")
        logger.logLevel = .warning
        return logger
    }
}
