internal import Foundation
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
        let time = Date.now.formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true))
        let sorted = fields.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        let line: String
        switch format {
        case .text:
            line = ([time, "\(event.level)", "\(event.message)"] + sorted.map { "\($0.0)=\(quoted($0.1))" }).joined(separator: " ")
        case .json:
            let pairs = [("time", time), ("level", "\(event.level)"), ("message", "\(event.message)")] + sorted
            line = "{" + pairs.map { "\(json($0.0)):\(json($0.1))" }.joined(separator: ",") + "}"
        }
        FileHandle.standardError.write(Data((line + "\n").utf8))
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
